"""The folder of one trial in a run: config, placement, result."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml

from trainer.config.trial import TrialConfig
from trainer.files import read_json, write_atomically
from trainer.result import FINAL_STATUSES, OPEN_STATUSES, FinalStatus, TrialResult, utc_now
from trainer.trial_files import TrialFiles

# What `frostline retry` may go on with.
TO_RETRY = ("stopped_early", "failed", "out_of_memory")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Which accelerator a trial asked for, and what it was given; None for a trial that was not trained."""

    accelerator_wanted: str
    accelerator: str | None = None
    num_gpus: float | None = None
    node: str | None = None


class TrialFolder(TrialFiles):
    """One trial's folder. Its name is the trial's id."""

    @property
    def trial_id(self) -> str:
        return self.root.name

    def result(self) -> TrialResult | None:
        """The result of a finished trial, None of any other.

        A result that cannot be read is set aside, so that the trial is done again and nothing is thrown away.
        """
        try:
            return TrialResult.load(self.result_file, FINAL_STATUSES)
        except FileNotFoundError:
            return None
        except ValueError:
            self.set_aside("damaged")
            return None

    @property
    def hang_file(self) -> Path:
        """While the trial runs: its stage and the limit of it; after a hang, also the stack of every thread."""
        return self.root / "hang.txt"

    def state(self) -> TrialResult | None:
        """The row of a trial that was told to end and may go on, None of any other."""
        try:
            return None if self.result_file.exists() else TrialResult.load(self.state_file, OPEN_STATUSES)
        except (FileNotFoundError, ValueError):
            return None

    def config(self) -> TrialConfig:
        """What the trial is. Raises OSError or ValueError if its file is absent or damaged."""
        return TrialConfig.model_validate(yaml.load(self.config_file.read_text(), yaml.CSafeLoader))

    def placement(self) -> dict[str, Any]:
        """Where the trial ran last: the fields of `Placement`. Raises OSError or ValueError as `config`."""
        types = {"accelerator_wanted": str, "accelerator": str, "num_gpus": float, "node": str}
        placement = read_json(self.placement_file, {"trial_id": str}, types)
        return {key: placement[key] for key in types}

    def checkpoint_seconds(self) -> float | None:
        """When its checkpoint was written, or came here, in seconds since 1970; None if there is none."""
        try:
            return self.checkpoint_file.stat().st_mtime
        except OSError:
            return None

    def node(self) -> str | None:
        """The cluster's id of the node it ran on last; None where that is not known."""
        try:
            node: str | None = self.placement()["node"]
            return node
        except (OSError, ValueError, KeyError):
            return None

    def is_original(self) -> bool:
        """False for a copy that somebody made beside a trial: its name is not what its placement says."""
        try:
            return bool(read_json(self.placement_file, {"trial_id": str})["trial_id"] == self.trial_id)
        except (OSError, ValueError):
            return False

    def write_placement(self, placement: Placement) -> None:
        values = {"trial_id": self.trial_id, **dataclasses.asdict(placement)}
        write_atomically(self.placement_file, json.dumps(values).encode())

    def write_config(self, config: dict[str, Any]) -> None:
        """Write a config given as plain values."""
        write_atomically(self.config_file, yaml.safe_dump(config, sort_keys=False).encode())

    def write_infeasible(self, config: TrialConfig, accelerator_wanted: str, reason: str) -> TrialResult:
        """Give a trial that is not to be trained its result: status `infeasible`, no device and no time."""
        self.write_placement(Placement(accelerator_wanted=accelerator_wanted))
        self.write_config(config.model_dump(mode="json"))
        result = TrialResult(status="infeasible", error=reason, finished_at=utc_now())
        result.save(self.result_file)
        return result

    def write_stopped(self, config: TrialConfig, accelerator_wanted: str, reason: str) -> TrialResult:
        """Give a trial that waits its state `stopped_early`; what it has done so far stays."""
        if not self.placement_file.exists():
            self.write_placement(Placement(accelerator_wanted=accelerator_wanted))
        self.write_config(config.model_dump(mode="json"))
        steps = (self.progress() or {}).get("step", 0)
        state = TrialResult(status="stopped_early", error=reason, steps=steps, finished_at=utc_now())
        state.save(self.state_file)
        return state

    def write_failure(
        self, config: dict[str, Any], placement: Placement, error: str, status: FinalStatus = "failed"
    ) -> None:
        """Give a trial that could not be run its result: its status, and why."""
        self.write_placement(placement)
        self.write_config(config)
        now, progress = utc_now(), self.progress() or {}
        TrialResult(
            status=status,
            error=error,
            steps=progress.get("step", 0),
            total_seconds=progress.get("total_seconds", 0.0),
            num_resumes=progress.get("num_resumes", 0),
            steps_repeated=progress.get("steps_repeated", 0),
            started_at=progress.get("started_at", now),
            finished_at=now,
        ).save(self.result_file)

    def note_steps(self, step: int) -> None:
        """Note how far an attempt had got by its last report; what it sent of its own counts where that is further."""
        nothing = {"num_resumes": 0, "steps_repeated": 0, "started_at": utc_now(), "total_seconds": 0.0}
        progress = self.progress() or {}
        if progress.get("step", 0) < step:
            write_atomically(self.progress_file, json.dumps({**nothing, **progress, "step": step}).encode())

    def reopen(self) -> None:
        """Let a trial that failed or was stopped go on: its result or state is kept beside, its checkpoint counts."""
        outcome = self.result() or self.state()
        if outcome is not None:
            self.set_aside(outcome.status)

    def set_aside(self, reason: str) -> None:
        """Let the trial count as not finished; its result or state is kept beside as `result.<reason>.json`."""
        for path in (self.result_file, self.state_file):
            if path.exists():
                path.replace(path.with_name(f"{path.stem}.{reason}.json"))
