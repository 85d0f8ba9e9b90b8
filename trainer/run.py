"""The main path of one trial, top to bottom: data, model, training, artifact, reload, score."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from trainer.artifact import Artifact, PackReport, pack, read
from trainer.byte_rule import ByteTables, load_byte_tables
from trainer.checkpoint import Checkpoint
from trainer.code_size import code_bytes
from trainer.config import TrialConfig
from trainer.data import DataError, Dataset, ValidationRows, open_dataset, validation_rows
from trainer.device import (
    compute_dtype,
    device_name,
    peak_memory_bytes,
    place,
    prepare_device,
    select_device,
    synchronize,
)
from trainer.evaluate import Score, evaluate
from trainer.files import sole_owner, write_atomically
from trainer.loop import Diverged, Hooks, Interrupted, Ledger, Report, train
from trainer.networks import Scored, build_networks, export_weights, load_networks, scored_model
from trainer.recipes import plan
from trainer.result import Status, TrialResult, save_curve, utc_now

RESULT_FILE = "result.json"
ARTIFACT_FILE = "artifact.frost"
SECONDS_TO_WAIT_FOR_A_DYING_OWNER = 30.0


class FolderError(ValueError):
    """A trial's folder cannot be used."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """The fixed tokens a trial is scored on, and what their pieces weigh in bytes."""

    rows: ValidationRows
    tables: ByteTables

    def score(self, model: Scored, config: TrialConfig, *, stride: int | None = None) -> Score:
        return evaluate(model, self.rows, self.tables, config, stride=stride)


def run(
    config: TrialConfig,
    *,
    folder: Path,
    data_root: Path,
    has_gpu: bool = False,
    data_sha256: str | None = None,
    report: Callable[[Report], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrialResult:
    """Train, pack, reload and score one trial in `folder`; go on from its checkpoint, or return its finished result.

    `folder` gets `config.yaml`, `result.json`, `curve.parquet`, `artifact.frost`, `log.txt` and, while running,
    `checkpoint/`. A loss that stops being finite and memory that runs out are outcomes, not errors.

    Raises:
        FolderError: if the folder holds another trial.
        DataError: if the dataset is missing, damaged, of another vocabulary, or not the one of `data_sha256`.
        DeviceError: if the device that the config names is not here.
        Interrupted: if `should_stop()`; the next call goes on from the checkpoint.
        Busy: if another process works on this trial.
    """
    with sole_owner(folder, wait_seconds=SECONDS_TO_WAIT_FOR_A_DYING_OWNER):
        _refuse_another_trials_folder(config, folder)
        if (folder / RESULT_FILE).exists():
            return TrialResult.load(folder / RESULT_FILE)
        trial = _Trial(config, folder, data_root, has_gpu)
        if data_sha256 is not None and trial.dataset.sha256 != data_sha256:
            raise DataError(
                f"{config.data} in {data_root} on {platform.node()} is not the data of this sweep (SHA-256)"
            )
        status, error = trial.attempt(report, should_stop)
        result = trial.result(status, error)
        save_curve(folder / "curve.parquet", trial.ledger.curve)
        result.save(folder / RESULT_FILE)  # last: a trial is finished when, and only when, this file is there
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reloaded:
    """An artifact read back, and what it scores: in blocks, and with a sliding window where the config asks for it."""

    artifact: Artifact
    score: Score
    sliding: Score | None


def reload_and_score(path: Path, *, dataset: Dataset, device: torch.device) -> Reloaded:
    """Read an artifact into a clean model and score it on `dataset` as its trial was scored.

    Raises:
        ArtifactError: if the file is damaged.
        DataError: if the dataset has another vocabulary.
    """
    artifact = read(path)
    config = artifact.config
    networks = load_networks(config, artifact.weights, compute_dtype=compute_dtype(config))
    for network in networks.values():
        place(network, config, device)
    model, validation = scored_model(plan(config), networks), open_validation(config, dataset)
    return Reloaded(
        artifact=artifact,
        score=validation.score(model, config),
        sliding=validation.score(model, config, stride=config.eval.stride) if config.eval.stride else None,
    )


def open_validation(config: TrialConfig, dataset: Dataset) -> Validation:
    """The validation tokens that `config` is scored on. Raises DataError if the vocabularies differ."""
    if dataset.vocab_size != config.model.vocab_size:
        raise DataError(
            f"dataset {dataset.name} has {dataset.vocab_size} tokens in its vocabulary, but `model.vocab_size` is "
            f"{config.model.vocab_size}: set it to {dataset.vocab_size}, or choose another dataset"
        )
    rows = validation_rows(dataset, sequence_tokens=config.train.sequence_tokens, num_tokens=config.eval.tokens)
    return Validation(rows=rows, tables=load_byte_tables(dataset.tokenizer, dataset.vocab_size))


class _Trial:
    """One attempt at one trial: what is known of it grows as `attempt` goes on, so that any end leaves a full row."""

    def __init__(self, config: TrialConfig, folder: Path, data_root: Path, has_gpu: bool) -> None:
        self.config, self.folder, self.recipe = config, folder, plan(config)
        self.started, self.started_at = time.perf_counter(), utc_now()
        self.device = select_device(config, has_gpu=has_gpu)
        self.dataset = open_dataset(config.data, data_root)
        self.validation = open_validation(config, self.dataset)
        self.ledger = Ledger()
        self.compiled = False
        self.raw: Score | None = None
        self.reloaded: Reloaded | None = None
        self.packed: PackReport | None = None
        self.pack_seconds = 0.0
        self.earlier_seconds = 0.0  # of attempts before this one
        write_atomically(
            folder / "config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).encode()
        )
        self.log(f"{config.trial_id} on {device_name(self.device)}, process {os.getpid()} of {platform.node()}")

    def attempt(self, report: Callable[[Report], None], should_stop: Callable[[], bool]) -> tuple[Status, str | None]:
        """Train, pack and score; say how it ended."""
        try:
            self._train(report, should_stop)
            self._pack_and_score()
        except Interrupted:
            self._save_progress()
            raise
        except Diverged as error:
            return self._ended("diverged", error)
        except (torch.OutOfMemoryError, MemoryError) as error:
            return self._ended("out_of_memory", error)
        except RuntimeError as error:
            # torch has no class of its own for the host's allocator
            if "can't allocate memory" not in str(error):
                raise
            return self._ended("out_of_memory", error)
        assert self.reloaded is not None
        self.log(f"completed: ce {self.reloaded.score.ce:.6f}, {self.reloaded.artifact.artifact_bytes} bytes")
        return "completed", None

    def _train(self, report: Callable[[Report], None], should_stop: Callable[[], bool]) -> None:
        config = self.config
        prepare_device(self.device, config)
        self.networks = build_networks(config, compute_dtype=compute_dtype(config))
        self.compiled = self.device.type == "cuda" if config.train.compile is None else config.train.compile
        if self.compiled:
            # Graphs of an earlier trial in this process count towards PyTorch's limit of graphs per function, and its
            # cache on disk makes them cheap to get back.
            torch.compiler.reset()
        for network in self.networks.values():
            place(network, config, self.device)
            if self.compiled:
                network.compile_blocks()
        hooks = Hooks(
            resumed=self._count_repeated_steps,
            report=lambda progress: self._reported(progress, report),
            should_stop=should_stop,
            validate=lambda: self._score().ce,
        )
        checkpoint = Checkpoint(
            path=self.folder / "checkpoint" / "state.pt",
            trial_id=config.trial_id,
            data_sha256=self.dataset.sha256,
            device_name=device_name(self.device),
        )
        train(self.networks, config, self.recipe, self.dataset, self.ledger, checkpoint=checkpoint, hooks=hooks)

    def _score(self) -> Score:
        return self.validation.score(scored_model(self.recipe, self.networks), self.config)

    def _pack_and_score(self) -> None:
        before = time.perf_counter()
        self.raw = self._score()
        if not math.isfinite(self.raw.ce):
            raise Diverged(f"the validation loss is {self.raw.ce}")
        between = time.perf_counter()
        path = self.folder / ARTIFACT_FILE
        weights = export_weights(self.recipe, self.networks)
        try:
            self.packed = pack(self.config, weights, data_sha256=self.dataset.sha256, path=path)
        except ValueError as error:  # a weight that is no number, or beyond what fp16 can hold
            raise Diverged(str(error)) from error
        self.pack_seconds = time.perf_counter() - between
        del self.networks  # nothing of what was trained may reach the score
        self.reloaded = reload_and_score(path, dataset=self.dataset, device=self.device)
        synchronize(self.device)
        self.ledger.eval_seconds += time.perf_counter() - before - self.pack_seconds

    def result(self, status: Status, error: str | None) -> TrialResult:
        """The trial's row: everything known by now."""
        ledger, recipe = self.ledger, self.recipe
        return TrialResult(
            status=status,
            error=error,
            **_score_fields(self.raw, self.reloaded),
            **_packed_fields(self.packed),
            tokenizer_bytes=self.dataset.tokenizer.stat().st_size,
            num_params=recipe.num_params(),
            num_params_learned=recipe.num_params("learned"),
            num_params_seeded=recipe.num_params("seeded"),
            num_params_stored_frozen=recipe.num_params("stored_frozen"),
            steps=ledger.step,
            tokens=ledger.step * self.config.train.batch_tokens,
            train_ce=ledger.curve[-1].train_ce if ledger.curve else None,
            tokens_per_s=ledger.tokens_per_s or None,
            train_seconds=ledger.train_seconds,
            compile_seconds=ledger.compile_seconds,
            eval_seconds=ledger.eval_seconds,
            checkpoint_seconds=ledger.checkpoint_seconds,
            pack_seconds=self.pack_seconds,
            report_seconds=ledger.report_seconds,
            total_seconds=self.total_seconds,
            peak_memory_bytes=peak_memory_bytes(self.device),
            num_resumes=ledger.num_resumes,
            steps_repeated=ledger.steps_repeated,
            device=self.device.type,
            device_name=device_name(self.device),
            compiled=self.compiled,
            data_sha256=self.dataset.sha256,
            torch_version=torch.__version__,
            host=platform.node(),
            worker=f"{platform.node()}:{os.getpid()}",
            started_at=self.started_at,
            finished_at=utc_now(),
        )

    def log(self, line: str) -> None:
        with (self.folder / "log.txt").open("a") as file:
            file.write(f"{utc_now()} {line}\n")

    def _ended(self, status: Status, error: BaseException) -> tuple[Status, str]:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        self.log(f"{status}: {message}")
        return status, message

    def _reported(self, progress: Report, report: Callable[[Report], None]) -> None:
        self._save_progress()
        self.log(f"step:{progress.step}/{progress.total_steps} train_loss:{progress.ce:.4f}")
        report(progress)

    def _save_progress(self) -> None:
        ledger = self.ledger
        progress = {
            "step": ledger.step,
            "num_resumes": ledger.num_resumes,
            "steps_repeated": ledger.steps_repeated,
            "started_at": self.started_at,
            "total_seconds": self.total_seconds,
        }
        write_atomically(self._progress_file, json.dumps(progress).encode())

    def _count_repeated_steps(self) -> None:
        """Book how far the last attempt had got beyond the checkpoint when it died; its steps are done again."""
        if self._progress_file.exists():
            last = json.loads(self._progress_file.read_text())
            repeated = max(0, last["step"] - self.ledger.step)
            self.ledger.num_resumes = last["num_resumes"] + 1
            self.ledger.steps_repeated = last["steps_repeated"] + repeated
            self.started_at, self.earlier_seconds = last["started_at"], last["total_seconds"]
            self.log(f"resumed at step {self.ledger.step}, repeating {repeated} steps")
        self._save_progress()

    @property
    def total_seconds(self) -> float:
        """Of all attempts so far, each up to its last report."""
        return self.earlier_seconds + time.perf_counter() - self.started

    @property
    def _progress_file(self) -> Path:
        return self.folder / "progress.json"


def _score_fields(raw: Score | None, reloaded: Reloaded | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if raw is not None:
        fields.update(ce_raw=raw.ce, bpb_raw=raw.bpb, eval_tokens=raw.num_tokens, eval_bytes=raw.num_bytes)
    if reloaded is not None:
        fields.update(ce=reloaded.score.ce, bpb=reloaded.score.bpb)
        if reloaded.sliding is not None:
            fields.update(ce_sliding=reloaded.sliding.ce, bpb_sliding=reloaded.sliding.bpb)
    return fields


def _packed_fields(packed: PackReport | None) -> dict[str, Any]:
    if packed is None:
        return {}
    return {
        "artifact_bytes": packed.artifact_bytes,
        "artifact_sha256": packed.sha256,
        "artifact_codec": packed.codec,
        "code_bytes": code_bytes(),
        "total_bytes": packed.artifact_bytes + code_bytes(),
    }


def _refuse_another_trials_folder(config: TrialConfig, folder: Path) -> None:
    """A folder serves one trial: another one's result or checkpoint would pass for this one's."""
    path = folder / "config.yaml"
    if not path.exists():
        return
    try:
        is_same = TrialConfig.model_validate(yaml.safe_load(path.read_text())).trial_id == config.trial_id
    except (ValueError, yaml.YAMLError):
        is_same = False
    if not is_same:
        raise FolderError(f"{folder} holds another trial, see its config.yaml: choose another folder")
