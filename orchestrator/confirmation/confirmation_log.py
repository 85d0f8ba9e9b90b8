"""The record of confirmation: `confirmation.jsonl` of a run folder, a line for each config, written before it runs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.search.planner import PlannedTrial
from trainer.config.trial import TrialConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A config that is confirmed: its trials, one for each fresh seed, and what it is compared with."""

    config_id: str
    against: str | None
    is_of_front: bool
    trials: tuple[PlannedTrial, ...]


@dataclasses.dataclass(frozen=True)
class ConfirmationLog:
    """The file; what a killed driver left of a last line counts as not written."""

    path: Path

    def append(self, confirmed: Sequence[Confirmed]) -> None:
        """Write what was chosen at once, so that a choice is there whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps([_plain(one) for one in confirmed], allow_nan=False, separators=(",", ":"))
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Confirmed]:
        """All that was chosen so far.

        Raises:
            UsageError: if the file is damaged.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(self.path, end)
        try:
            return [_read(one) for line in content[:end].splitlines() for one in json.loads(line)]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path} is damaged ({error}): restore it, or choose another --out") from error


def _plain(one: Confirmed) -> dict[str, Any]:
    trials = [{**dataclasses.asdict(trial), "config": trial.config.model_dump(mode="json")} for trial in one.trials]
    return {**vars(one), "trials": trials}


def _read(values: dict[str, Any]) -> Confirmed:
    trials = [
        PlannedTrial(**{**trial, "config": TrialConfig.model_validate(trial["config"])}) for trial in values["trials"]
    ]
    return Confirmed(**{**values, "trials": tuple(trials)})
