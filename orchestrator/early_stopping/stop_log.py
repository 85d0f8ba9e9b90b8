"""The record of early stopping: `early_stopping.jsonl` of a run folder, one line a verdict, written before it acts.

A trial that was asked to go on after all (`frostline retry`, `--continue-stopped`) has a line that says so: it is not
stopped again.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from orchestrator.early_stopping.rule import Verdict
from orchestrator.errors import UsageError
from orchestrator.store.json_lines import append_line


@dataclasses.dataclass(frozen=True)
class StopLog:
    """The file; it is only ever appended to, and a line that a killed driver left unfinished counts as not written."""

    path: Path

    def append(self, trial_id: str, verdict: Verdict) -> None:
        """Write a verdict to the disk."""
        append_line(self.path, {"trial_id": trial_id, **dataclasses.asdict(verdict)})

    def spare(self, trial_id: str, reason: str) -> Verdict:
        """Write that a trial is not to be stopped again: a user wants it to go on to its end."""
        verdict = Verdict(action="go_on", step=0, reason=reason)
        self.append(trial_id, verdict)
        return verdict

    def read(self) -> dict[str, Verdict]:
        """The last verdict on each trial.

        Raises:
            UsageError: if the file is damaged.
        """
        if not self.path.exists():
            return {}
        found = {}
        lines = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            if not line:
                continue
            try:
                values = json.loads(line)
                trial_id = values.pop("trial_id")
                found[trial_id] = Verdict(**values)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if _is_cut(line):
                    continue
                raise UsageError(f"{self.path}, line {number}, is damaged ({error}): remove that line") from error
        return found


def _is_cut(line: bytes) -> bool:
    """Whether a line is the beginning of one, as a death leaves it."""
    return line.startswith(b'{"trial_id"') and not line.endswith(b"}")
