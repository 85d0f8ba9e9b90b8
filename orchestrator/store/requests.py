"""What other commands ask of the driver of a run: one small file for each request, in the run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from trainer.files import write_atomically

Kind = Literal["stop", "retry"]
_WHOLE_SWEEP = "sweep"


@dataclasses.dataclass(frozen=True)
class Request:
    """A stop of one trial, or of the whole sweep where `trial_id` is None; or another go at one trial."""

    trial_id: str | None
    reason: str
    kind: Kind = "stop"


@dataclasses.dataclass(frozen=True)
class Requests:
    """The folder of the requests. A request is there until the driver takes it."""

    root: Path

    def add(self, request: Request) -> Path:
        """Ask; the file that is gone when the driver has taken the request."""
        path = self.root / (_WHOLE_SWEEP if request.trial_id is None else f"{request.kind}-{request.trial_id}")
        write_atomically(path, request.reason.encode(errors="replace"))
        return path

    def take(self) -> Iterator[Request]:
        """Every request that is there, each removed when the next one is asked for: then it has been obeyed."""
        with suppress(OSError):  # the folder is made with the first request, or the disk is gone
            for path in sorted(self.root.iterdir()):
                kind, _, trial_id = path.name.partition("-")
                if path.name == _WHOLE_SWEEP or (kind in get_args(Kind) and trial_id):
                    asked: Kind = "retry" if kind == "retry" else "stop"
                    reason = path.read_text(errors="replace").strip() or f"asked for by frostline {asked}"
                    yield Request(None if path.name == _WHOLE_SWEEP else trial_id, reason, asked)
                    path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what nobody took."""
        for _ in self.take():
            pass
