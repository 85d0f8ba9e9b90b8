"""Trials run in a folder, and stopped and run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainer.config.trial import TrialConfig
from trainer.errors import Interrupted
from trainer.result import TrialResult
from trainer.run import Callbacks, Workspace
from trainer.run import run as run_trial
from trainer.training.state import Report


def run(
    config: TrialConfig,
    *,
    folder: Path,
    data_root: Path,
    data_sha256: str | None = None,
    has_gpu: bool = False,
    report: Callable[[Report], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrialResult:
    """`trainer.run.run` with a keyword for each part of its values."""
    workspace = Workspace(folder=folder, data_root=data_root, data_sha256=data_sha256, has_gpu=has_gpu)
    return run_trial(config, workspace, Callbacks(report=report, should_stop=should_stop))


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
        except Interrupted:
            continue
