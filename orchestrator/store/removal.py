"""Removes files of a run folder that its sweep does not keep, and counts them. No fault of a disk gets out of here."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable
from contextlib import suppress

from orchestrator.store.run_folder import RunFolder


@dataclasses.dataclass
class Removed:
    """What was removed: numbers, and bytes of both together."""

    num_artifacts: int = 0
    num_checkpoints: int = 0
    num_bytes: int = 0
    gone: set[str] = dataclasses.field(default_factory=set)  # trials known to have no artifact any more

    def artifacts(self, folder: RunFolder, trial_ids: Iterable[str]) -> None:
        """Remove the artifacts of trials; one that is not there, or cannot be removed, is passed over."""
        for trial_id in [one for one in trial_ids if one not in self.gone]:
            path = folder.trial(trial_id).artifact_file
            with suppress(OSError):  # what could not be removed is tried again
                if path.exists():
                    size = path.stat().st_size
                    path.unlink()
                    self.num_artifacts += 1
                    self.num_bytes += size
                self.gone.add(trial_id)

    def checkpoints(self, folder: RunFolder, trial_ids: Iterable[str]) -> None:
        """Remove the checkpoints of trials; as above."""
        for trial_id in trial_ids:
            path = folder.trial(trial_id).checkpoint_file
            with suppress(OSError):
                if path.parent.exists():
                    size = path.stat().st_size if path.exists() else 0
                    shutil.rmtree(path.parent)
                    self.num_checkpoints += size > 0
                    self.num_bytes += size

    def text(self) -> str:
        """`3 artifacts and 1 checkpoint (1.2 MB)`; empty if nothing was removed."""
        counts = [(self.num_artifacts, "artifact"), (self.num_checkpoints, "checkpoint")]
        parts = [f"{number:,} {noun}{'' if number == 1 else 's'}" for number, noun in counts if number]
        return f"{' and '.join(parts)} ({self.num_bytes / 1e6:.2f} MB)" if parts else ""
