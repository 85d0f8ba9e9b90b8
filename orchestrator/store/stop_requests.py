"""What `frostline stop` asks of the driver of a run: one small file for each request, in the run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainer.files import write_atomically

DEFAULT_REASON = "stopped by frostline stop"
_WHOLE_SWEEP = "sweep"


@dataclasses.dataclass(frozen=True)
class StopRequest:
    """A stop of one trial, or of the whole sweep where `trial_id` is None."""

    trial_id: str | None
    reason: str


@dataclasses.dataclass(frozen=True)
class StopRequests:
    """The folder of the requests. A request is there until the driver takes it."""

    root: Path

    def add(self, request: StopRequest) -> Path:
        """Ask; the file that is gone when the driver has taken the request."""
        path = self.root / (_WHOLE_SWEEP if request.trial_id is None else f"trial-{request.trial_id}")
        write_atomically(path, request.reason.encode(errors="replace"))
        return path

    def take(self) -> Iterator[StopRequest]:
        """Every request that is there, each removed as it is given."""
        with suppress(OSError):  # the folder is made with the first request, or the disk is gone
            for path in sorted(self.root.iterdir()):
                if path.name == _WHOLE_SWEEP or path.name.startswith("trial-"):
                    reason = path.read_text(errors="replace").strip() or DEFAULT_REASON
                    path.unlink()
                    name = path.name.removeprefix("trial-")
                    yield StopRequest(None if path.name == _WHOLE_SWEEP else name, reason)

    def clear(self) -> None:
        """Remove what nobody took."""
        for _ in self.take():
            pass
