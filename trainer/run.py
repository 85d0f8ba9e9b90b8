"""The main path of one trial: data, networks, training, artifact, reload, score, result."""

from __future__ import annotations

import math
import platform
import shutil
import time
from collections.abc import Mapping

import torch
import yaml

from trainer.artifact.pack import pack
from trainer.attempt import Attempt
from trainer.config.trial import TrialConfig
from trainer.control import Command, Stopped
from trainer.device import compute_dtype, place, prepare_device
from trainer.device_facts import reset_peak_memory, synchronize
from trainer.errors import DataError, Diverged, TrialFolderError
from trainer.locks import sole_owner
from trainer.model.gpt import GPT
from trainer.model.initialization import build_networks
from trainer.model.networks import export_weights, scored_model
from trainer.result import Status, TrialResult, save_curve
from trainer.score_artifact import reload_and_score
from trainer.scoring.validation import Validation
from trainer.training.looks import look_steps, look_tokens
from trainer.training.loop import LoopCallbacks, TrainingJob, train
from trainer.trial_files import TrialFiles
from trainer.workspace import Callbacks, Workspace

SECONDS_TO_WAIT_FOR_A_DYING_OWNER = 30.0


def run(config: TrialConfig, workspace: Workspace, callbacks: Callbacks | None = None) -> TrialResult:
    """Train, pack, reload and score one trial; go on from its checkpoint, or return its finished result.

    A loss that stops being finite and memory that runs out are outcomes, not errors.

    Raises:
        TrialFolderError: if the folder holds another trial.
        DataError: if the dataset is missing, damaged, of another vocabulary, or has another fingerprint.
        DeviceError: if the device that the config names is not here.
        Stopped: if `callbacks.report` says so; the next call goes on from the checkpoint.
        Busy: if another process works on this trial.
    """
    files, callbacks = TrialFiles(workspace.folder), callbacks or Callbacks()
    with sole_owner(files.root, wait_seconds=SECONDS_TO_WAIT_FOR_A_DYING_OWNER):
        _check_folder(config, files)
        if files.result_file.exists():
            return TrialResult.load(files.result_file)
        files.state_file.unlink(missing_ok=True)
        callbacks.stage("data")
        attempt = Attempt(config, workspace, callbacks.note)
        if workspace.data_sha256 not in (None, attempt.dataset.sha256):
            where = f"{config.data} in {workspace.data_root} on {platform.node()}"
            raise DataError(f"{where} is not the data of this sweep (SHA-256)")
        try:
            status, error = _outcome(attempt, callbacks)
        except Stopped as stopped:
            _write_state(attempt, stopped.command)
            raise
        result = attempt.result(status, error)
        save_curve(files.curve_file, attempt.state.curve)
        result.save(files.result_file)  # last: a trial is finished when, and only when, this file is there
        shutil.rmtree(files.checkpoint_file.parent, ignore_errors=True)
        return result


def _outcome(attempt: Attempt, callbacks: Callbacks) -> tuple[Status, str | None]:
    """Train, pack and score; how that ended, and why."""
    try:
        callbacks.stage("compile")
        networks = _build_networks(attempt)
        _train(attempt, networks, callbacks)
        callbacks.stage("score")
        _score_as_trained(attempt, networks)
        callbacks.stage("pack")
        _pack(attempt, networks)
        networks.clear()  # nothing of what was trained may reach the score
        callbacks.stage("score")
        _score(attempt)
    except Diverged as error:
        return attempt.ended("diverged", error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        return attempt.ended("out_of_memory", error)
    except RuntimeError as error:
        # torch has no class of its own for the host's allocator
        if "can't allocate memory" not in str(error):
            raise
        return attempt.ended("out_of_memory", error)
    return attempt.completed()


def _build_networks(attempt: Attempt) -> dict[str, GPT]:
    """Every network of the recipe at its start, on its device, compiled where the config asks for it."""
    config = attempt.config
    prepare_device(attempt.device, config)
    reset_peak_memory(attempt.device)
    networks = build_networks(config, compute_dtype=compute_dtype(config))
    if attempt.compiled:
        # Graphs of an earlier trial in this process count towards PyTorch's limit of graphs per function, and its
        # cache on disk makes them cheap to get back.
        torch.compiler.reset()
    for network in networks.values():
        place(network, config, attempt.device)
        if attempt.compiled:
            network.compile_blocks()
    return networks


def _train(attempt: Attempt, networks: Mapping[str, GPT], callbacks: Callbacks) -> None:
    model = scored_model(attempt.recipe, networks)
    job = TrainingJob(config=attempt.config, recipe=attempt.recipe, networks=networks, dataset=attempt.dataset)

    def score(validation: Validation) -> float:
        callbacks.stage("score")
        ce = validation.score(model, attempt.config).ce
        callbacks.stage("train")
        return ce

    few = attempt.validation.first_tokens(look_tokens(attempt.config, attempt.recipe))
    loop_callbacks = LoopCallbacks(
        resumed=attempt.resumed,
        stage=callbacks.stage,
        report=lambda report: attempt.reported(report, callbacks.report),
        validate=lambda: score(attempt.validation),
        look=lambda: score(few),
        look_steps=look_steps(attempt.recipe) if attempt.workspace.is_looked_at else (),
    )
    train(job, attempt.state, attempt.checkpoint(), loop_callbacks)


def _score_as_trained(attempt: Attempt, networks: Mapping[str, GPT]) -> None:
    """Score the model before packing. Raises Diverged if the loss is not finite."""
    before = time.perf_counter()
    attempt.raw = attempt.validation.score(scored_model(attempt.recipe, networks), attempt.config)
    if not math.isfinite(attempt.raw.ce):
        raise Diverged(f"the validation loss is {attempt.raw.ce}")
    attempt.state.eval_seconds += time.perf_counter() - before


def _pack(attempt: Attempt, networks: Mapping[str, GPT]) -> None:
    """Write the artifact. Raises Diverged if it would hold a value beyond fp16."""
    before = time.perf_counter()
    weights = export_weights(attempt.recipe, networks)
    try:
        path = attempt.files.artifact_file
        attempt.packed = pack(attempt.config, weights, data_sha256=attempt.dataset.sha256, path=path)
    except ValueError as error:  # a weight that is no number, or beyond what fp16 can hold
        raise Diverged(str(error)) from error
    attempt.pack_seconds = time.perf_counter() - before


def _score(attempt: Attempt) -> None:
    """Reload the artifact and score that."""
    before = time.perf_counter()
    attempt.reloaded = reload_and_score(
        attempt.files.artifact_file,
        dataset=attempt.dataset,
        device=attempt.device,
        scores_test=attempt.workspace.scores_test,
    )
    synchronize(attempt.device)
    attempt.state.eval_seconds += time.perf_counter() - before


def _write_state(attempt: Attempt, command: Command) -> None:
    """Leave what a trial has so far: progress, curve, and its row as `state.json`, written last."""
    assert command.status is not None
    attempt.save_progress()
    attempt.log(f"{command.status}: {command.reason}")
    save_curve(attempt.files.curve_file, attempt.state.curve)
    attempt.result(command.status, command.reason or None).save(attempt.files.state_file)


def _check_folder(config: TrialConfig, files: TrialFiles) -> None:
    """Refuse a folder of another trial: its result or checkpoint would be taken for this one's."""
    if not files.config_file.exists():
        return
    try:
        there = TrialConfig.model_validate(yaml.safe_load(files.config_file.read_text()))
        is_same = there.trial_id == config.trial_id
    except (ValueError, yaml.YAMLError):
        is_same = False
    if not is_same:
        raise TrialFolderError(f"{files.root} holds another trial, see its config.yaml: choose another folder")
