"""The names of the files in a trial's folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from trainer.files import read_json


@dataclasses.dataclass(frozen=True)
class TrialFiles:
    """Names of the files of one trial under `root`. A trial is finished when, and only when, `result_file` is there."""

    root: Path

    @property
    def config_file(self) -> Path:
        """Every setting of the trial, as YAML."""
        return self.root / "config.yaml"

    @property
    def result_file(self) -> Path:
        """The outcome, as JSON; written last."""
        return self.root / "result.json"

    @property
    def state_file(self) -> Path:
        """The row of a trial that was told to end before its last step, as JSON; it may go on from its checkpoint."""
        return self.root / "state.json"

    @property
    def curve_file(self) -> Path:
        """Losses over steps, as Parquet."""
        return self.root / "curve.parquet"

    @property
    def artifact_file(self) -> Path:
        """The packed model."""
        return self.root / "artifact.frost"

    @property
    def log_file(self) -> Path:
        """Lines of text with their time."""
        return self.root / "log.txt"

    @property
    def checkpoint_file(self) -> Path:
        """The state of training; removed when the trial is finished."""
        return self.root / "checkpoint" / "state.pt"

    @property
    def progress_file(self) -> Path:
        """Step, seconds and resumes at the last report, as JSON."""
        return self.root / "progress.json"

    def progress(self) -> dict[str, Any] | None:
        """What `progress_file` holds; None if there is none, or if it is damaged: it only counts."""
        types = {"step": int, "num_resumes": int, "steps_repeated": int, "started_at": str, "total_seconds": float}
        try:
            return read_json(self.progress_file, types)
        except (FileNotFoundError, ValueError):
            return None

    @property
    def placement_file(self) -> Path:
        """Where a sweep's trial ran last, as JSON; written by the orchestrator."""
        return self.root / "placement.json"
