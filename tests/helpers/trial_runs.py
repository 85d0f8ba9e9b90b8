"""Trials run in a folder, and stopped and run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.config.trial import TrialConfig
from trainer.control import GO_ON, Command, Stopped
from trainer.result import TrialResult
from trainer.run import run as run_trial
from trainer.training.state import Report
from trainer.workspace import Callbacks, Workspace


def run(
    config: TrialConfig,
    *,
    folder: Path,
    data_root: Path,
    data_sha256: str | None = None,
    has_gpu: bool = False,
    report: Callable[[Report], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
    **place: Any,
) -> TrialResult:
    """`trainer.run.run` with a keyword for each part of its values; a stop is an interrupt."""

    def told(progress: Report) -> Command:
        report(progress)
        return Command("interrupted", "by a test") if should_stop() else GO_ON

    workspace = Workspace(folder=folder, data_root=data_root, data_sha256=data_sha256, has_gpu=has_gpu, **place)
    return run_trial(config, workspace, Callbacks(report=told))


def stop_after(num_questions: int) -> Callable[[], bool]:
    """A stop that comes at the n-th time it is asked for."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= num_questions

    return should_stop


def run_broken(config: TrialConfig, folder: Path, data_root: Path, *, every: int) -> TrialResult:
    """Run a trial that is stopped after every `every` steps and called again until it ends."""
    while True:
        try:
            return run(config, folder=folder, data_root=data_root, should_stop=stop_after(every))
        except Stopped:
            continue
