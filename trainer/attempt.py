"""One attempt at a trial: its device, data, counters and log, and the result row made from them."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import torch
import yaml

from trainer.artifact.code_size import code_bytes, code_sha256
from trainer.artifact.pack import PackReport
from trainer.config.trial import TrialConfig
from trainer.control import Command
from trainer.data.dataset import open_dataset
from trainer.device import select_device
from trainer.device_facts import device_name, peak_memory_bytes
from trainer.files import write_atomically
from trainer.recipes.variants import plan
from trainer.result import Status, TrialResult, utc_now
from trainer.scoring.evaluate import Score
from trainer.scoring.validation import Reloaded, open_validation
from trainer.training.checkpoint import Checkpoint
from trainer.training.state import Report, TrainingState
from trainer.trial_files import TrialFiles
from trainer.versions import own_versions
from trainer.workspace import Workspace


class Attempt:
    """Device, data and counters of a trial that is running, its log, and the row made from all of it.

    Raises:
        DataError, DeviceError: if the dataset or the device is not there.
    """

    def __init__(self, config: TrialConfig, workspace: Workspace, note: Callable[[str], None]) -> None:
        self.config, self.workspace, self.note, self.recipe = config, workspace, note, plan(config)
        self.files = files = TrialFiles(workspace.folder)
        self.started, self.started_at = time.perf_counter(), utc_now()
        self.versions = own_versions()
        self.device = select_device(config, has_gpu=workspace.has_gpu)
        self.device_name = device_name(self.device)
        self.compiled = self.device.type == "cuda" if config.train.compile is None else config.train.compile
        self.dataset = open_dataset(config.data, workspace.data_root)
        self.validation = open_validation(config, self.dataset)
        self.state = TrainingState()
        self.raw: Score | None = None  # of the model before packing
        self.packed: PackReport | None = None
        self.reloaded: Reloaded | None = None
        self.pack_seconds = 0.0
        self.earlier_seconds = 0.0  # of attempts before this one
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_atomically(files.config_file, text.encode())
        self.log(f"{config.trial_id} on {self.device_name}, process {os.getpid()} of {platform.node()}")

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            path=self.files.checkpoint_file,
            trial_id=self.config.trial_id,
            data_sha256=self.dataset.sha256,
            accelerator=self.workspace.accelerator or ("CPU" if self.device.type == "cpu" else self.device_name),
            device_name=self.device_name,
            moves_anywhere=self.workspace.moves_anywhere,
        )

    def reported(self, report: Report, send: Callable[[Report], Command]) -> Command:
        """Note a report in the trial's folder, then send it; what the trial is told."""
        self.save_progress()
        self.log(f"step:{report.step}/{report.total_steps} train_loss:{report.ce:.4f}")
        return send(report)

    def save_progress(self) -> None:
        state = self.state
        progress = {
            "step": state.step,
            "num_resumes": state.num_resumes,
            "steps_repeated": state.steps_repeated,
            "started_at": self.started_at,
            "total_seconds": self.total_seconds,
        }
        write_atomically(self.files.progress_file, json.dumps(progress).encode())

    def resumed(self, objection: str | None) -> None:
        """Count how far the last attempt had got beyond the checkpoint when it ended: its steps are done again.

        Args:
            objection: why the trial starts over though it has a checkpoint.
        """
        if objection is not None:
            self.log(f"starts over: {objection}")
            self.note(f"{self.config.trial_id} starts over: {objection}")
        if (last := self.files.progress()) is not None:
            repeated = max(0, last["step"] - self.state.step)
            self.state.num_resumes = last["num_resumes"] + 1
            self.state.steps_repeated = last["steps_repeated"] + repeated
            self.started_at, self.earlier_seconds = last["started_at"], last["total_seconds"]
            self.log(f"resumed at step {self.state.step}, repeating {repeated} steps")
        here = f"{self.device_name} on {platform.node()}"
        if self.state.devices[-1:] != [here]:
            self.state.devices.append(here)
        self.save_progress()

    def completed(self) -> tuple[Status, None]:
        assert self.reloaded is not None
        self.log(f"completed: ce {self.reloaded.score.ce:.6f}, {self.reloaded.artifact.artifact_bytes} bytes")
        return "completed", None

    def ended(self, status: Status, error: BaseException) -> tuple[Status, str]:
        """An end without a score, and the first line of its reason."""
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        self.log(f"{status}: {message}")
        return status, message

    def log(self, line: str) -> None:
        with self.files.log_file.open("a") as file:
            file.write(f"{utc_now()} {line}\n")

    @property
    def total_seconds(self) -> float:
        """Of all attempts so far, each up to its last report."""
        return self.earlier_seconds + time.perf_counter() - self.started

    def result(self, status: Status, error: str | None) -> TrialResult:
        """The trial's row: everything known by now."""
        state, recipe = self.state, self.recipe
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
            steps=state.step,
            steps_planned=recipe.total_steps,
            tokens=state.step * self.config.train.batch_tokens,
            train_ce=state.curve[-1].train_ce if state.curve else None,
            tokens_per_s=state.tokens_per_s or None,
            train_seconds=state.train_seconds,
            compile_seconds=state.compile_seconds,
            eval_seconds=state.eval_seconds,
            checkpoint_seconds=state.checkpoint_seconds,
            pack_seconds=self.pack_seconds,
            report_seconds=state.report_seconds,
            total_seconds=self.total_seconds,
            peak_memory_bytes=peak_memory_bytes(self.device),
            num_resumes=state.num_resumes,
            steps_repeated=state.steps_repeated,
            device=self.device.type,
            device_name=self.device_name,
            devices="; ".join(state.devices),
            compiled=self.compiled,
            data_sha256=self.dataset.sha256,
            torch_version=torch.__version__,
            python_version=self.versions["python"],
            frostline_version=self.versions["frostline"],
            host=platform.node(),
            worker=f"{platform.node()}:{os.getpid()}",
            started_at=self.started_at,
            finished_at=utc_now(),
        )


def _score_fields(raw: Score | None, reloaded: Reloaded | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if raw is not None:
        fields.update(ce_raw=raw.ce, bpb_raw=raw.bpb, eval_tokens=raw.num_tokens, eval_bytes=raw.num_bytes)
    if reloaded is not None:
        fields.update(ce=reloaded.score.ce, bpb=reloaded.score.bpb)
        if reloaded.sliding is not None:
            fields.update(ce_sliding=reloaded.sliding.ce, bpb_sliding=reloaded.sliding.bpb)
        if (test := reloaded.test) is not None:
            fields.update(ce_test=test.ce, bpb_test=test.bpb, test_tokens=test.num_tokens)
    return fields


def _packed_fields(packed: PackReport | None) -> dict[str, Any]:
    if packed is None:
        return {}
    return {
        "artifact_bytes": packed.artifact_bytes,
        "artifact_sha256": packed.sha256,
        "artifact_codec": packed.codec,
        "code_bytes": code_bytes(),
        "code_sha256": code_sha256(),
        "total_bytes": packed.artifact_bytes + code_bytes(),
    }
