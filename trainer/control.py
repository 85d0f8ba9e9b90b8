"""What a running trial is told, and the stages that it goes through."""

from __future__ import annotations

import dataclasses
from typing import Literal

Stage = Literal["data", "compile", "train", "score", "pack"]
OpenStatus = Literal["interrupted", "deadline", "stopped_early"]


@dataclasses.dataclass(frozen=True)
class Command:
    """What a trial is told at each report. `status` None: go on.

    Otherwise the trial writes its checkpoint, its curve and `state.json` with this status, and ends. An `interrupted`
    or `deadline` trial goes on at the next call, one that is `stopped_early` only when that is asked for.
    """

    status: OpenStatus | None = None
    reason: str = ""


GO_ON = Command()


class Stopped(Exception):
    """The trial was told to end; its checkpoint and `state.json` are written."""

    def __init__(self, command: Command) -> None:
        super().__init__(f"{command.status}: {command.reason}")
        self.command = command
