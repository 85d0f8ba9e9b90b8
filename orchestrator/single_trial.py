"""Train, evaluate or replay one trial in this process, without Ray, and print the result."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import threading
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.errors import InterruptedTrial, UsageError
from orchestrator.interrupts import on_interrupt
from orchestrator.replay import compare, config_of_row, find_row, not_kept
from search_spaces.spec.load import load_trial
from trainer.artifact.read import read
from trainer.config.trial import TrialConfig
from trainer.control import GO_ON, Command, Stopped
from trainer.data.dataset import open_dataset
from trainer.device import prepare_device, select_device
from trainer.errors import ArtifactError, Busy, DataError, DeviceError, TrialFolderError
from trainer.recipes.variants import plan
from trainer.result import TrialResult
from trainer.run import run
from trainer.score_artifact import reload_and_score
from trainer.scoring.evaluate import Score
from trainer.training.state import Report
from trainer.trial_files import TrialFiles
from trainer.workspace import Callbacks, Workspace


def train_one(trial_file: Path, *, out: Path | None, data_root: Path, as_json: bool) -> int:
    """Run one trial with a progress bar and print its result; return the exit code."""
    config = load_trial(trial_file)
    folder = out or Path("runs") / "train" / config.trial_id
    result = _run_with_bar(config, folder, data_root)
    print(json.dumps(dataclasses.asdict(result), indent=1) if as_json else _result_text(config, result, folder))
    return 0 if result.status == "completed" else 1


def _run_with_bar(config: TrialConfig, folder: Path, data_root: Path) -> TrialResult:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} steps · {task.fields[state]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(config.trial_id, total=plan(config).total_steps, state="starting")

        def show(report: Report) -> Command:
            ce = "" if math.isnan(report.ce) else f"ce {report.ce:.3f} · "
            state = f"{ce}{report.tokens_per_s:,.0f} tokens/s"
            progress.update(bar, completed=report.step, total=report.total_steps, state=state)
            if not console.is_terminal:
                console.print(f"step {report.step}/{report.total_steps} · {state}", highlight=False)
            return Command("interrupted", "Ctrl-C") if interrupted.is_set() else GO_ON

        interrupted = threading.Event()
        try:
            workspace = Workspace(folder=folder, data_root=data_root, has_gpu=torch.cuda.is_available())
            with on_interrupt(interrupted.set):
                return run(config, workspace, Callbacks(report=show, note=console.print))
        except Stopped as stopped:
            raise InterruptedTrial(f"stopped at its checkpoint in {folder}: the same command goes on") from stopped
        except (DataError, DeviceError, TrialFolderError, Busy) as error:
            raise UsageError(str(error)) from error


def replay_trial(run_folder: Path, trial_id: str, *, out: Path | None, data_root: Path) -> int:
    """Train a trial again from its row and say whether the bits agree; exit code 1 if they do not."""
    row = find_row(run_folder, trial_id)
    config = config_of_row(row)
    if out is not None and out.exists():
        raise UsageError(f"{out} exists: a replay starts in a folder of its own; name a new one by --out")
    if not_kept(TrialFiles(run_folder / "trials" / row["trial_id"]).artifact_file) is not None:
        where = f"the new one stays in {out}" if out is not None else "--out FOLDER keeps the new one"
        print(f"the artifact of {row['trial_id']} was not kept: compared by the SHA-256 in its row; {where}")
    with tempfile.TemporaryDirectory() as temporary:
        comparison = compare(row, _run_with_bar(config, out or Path(temporary), data_root))
    print(f"{config.trial_id}: {comparison.text()}")
    return 0 if comparison.same_artifact else 1


def evaluate_artifact(path: Path, *, data: str | None, data_root: Path, device: str | None, as_json: bool) -> int:
    """Score an artifact from its file alone and print the score; return the exit code."""
    if (reason := not_kept(path)) is not None:
        raise UsageError(reason)
    try:
        config = read(path).config
        device = device or _device_of_trial(path)
        if device not in (None, "cpu", "cuda"):
            raise UsageError(f"--device must be cpu or cuda, but got {device}")
        if device is not None:
            config = TrialConfig.model_validate({**config.model_dump(), "device": device})
        chosen = select_device(config, has_gpu=torch.cuda.is_available())
        prepare_device(chosen, config)
        dataset = open_dataset(data or config.data, data_root)
        reloaded = reload_and_score(path, dataset=dataset, device=chosen)
    except (ArtifactError, DataError, DeviceError, OSError) as error:
        raise UsageError(str(error)) from error
    artifact, same_data = reloaded.artifact, dataset.sha256 == reloaded.artifact.data_sha256
    if as_json:
        sliding = reloaded.sliding and {"ce_sliding": reloaded.sliding.ce, "bpb_sliding": reloaded.sliding.bpb}
        about = {"artifact_bytes": artifact.artifact_bytes, "same_data": same_data}
        print(json.dumps({**dataclasses.asdict(reloaded.score), **(sliding or {}), **about}))
        return 0
    print(_score_text(reloaded.score, artifact.artifact_bytes))
    if reloaded.sliding:
        print(f"ce_sliding      {reloaded.sliding.ce!r}\nbpb_sliding     {reloaded.sliding.bpb!r}")
    if not same_data:
        print(f"note: {dataset.name} is not the data this was trained on (another SHA-256)")
    return 0


def _device_of_trial(artifact: Path) -> str | None:
    """The device that the artifact was scored on by its own trial, if its result is in the same folder."""
    try:
        return TrialResult.load(artifact.with_name("result.json")).device or None
    except (OSError, ValueError):
        return None


def _score_text(score: Score, artifact_bytes: int) -> str:
    return (
        f"ce              {score.ce!r} nats per token\n"
        f"bpb             {score.bpb!r} bits per byte\n"
        f"artifact_bytes  {artifact_bytes:,}\n"
        f"scored          {score.num_tokens:,} tokens, {score.num_bytes:,} bytes"
    )


def _result_text(config: TrialConfig, result: TrialResult, folder: Path) -> str:
    files = TrialFiles(folder)
    if result.status != "completed":
        return f"{config.trial_id}: {result.status}: {result.error}\nlog: {files.log_file}"
    params = f"{result.num_params:,} ({result.num_params_learned:,} learned, {result.num_params_seeded:,} seeded)"
    return (
        f"{config.trial_id} · completed\n"
        f"ce              {result.ce!r} nats per token (before packing {result.ce_raw:.6f})\n"
        f"bpb             {result.bpb!r} bits per byte\n"
        f"artifact_bytes  {result.artifact_bytes:,} ({result.artifact_codec})\n"
        f"parameters      {params}\n"
        f"tokens_per_s    {result.tokens_per_s or 0:,.0f} on {result.device_name}\n"
        f"artifact        {files.artifact_file}"
    )
