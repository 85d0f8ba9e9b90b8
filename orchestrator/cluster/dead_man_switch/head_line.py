"""Asks the head what drivers said, through a process that may hang or die as Ray's own client does."""

from __future__ import annotations

import dataclasses
import json
import select
import subprocess
import sys
import time
from contextlib import suppress

from orchestrator.cluster.address import require_answer
from orchestrator.cluster.dead_man_switch.decision import DriverSign
from orchestrator.errors import UsageError

READER = "orchestrator.ray_backend.nodes.driver_signs"
# A reader that is new imports Ray first, on a machine whose cores are all at work.
SECONDS_TO_BEGIN = 60.0
SECONDS_TO_ANSWER = 20.0  # the reader itself gives the head five seconds for each of two questions


@dataclasses.dataclass(frozen=True)
class HeadSays:
    """An answer of the head: what drivers wrote, and whether it has this node among the living."""

    signs: dict[str, DriverSign]
    is_member: bool


class HeadLine:
    """A line to a head. Ray's client is kept out of this process: it ends a process when the head is away.

    Args:
        head: its host and port.
        node: address and port of this node's manager, by which the head knows it.
    """

    def __init__(self, head: tuple[str, int], node: tuple[str, int]) -> None:
        self.head = head
        self.command = [sys.executable, "-m", READER, f"{head[0]}:{head[1]}", node[0], str(node[1])]
        self._reader: subprocess.Popen[str] | None = None

    def ask(self) -> HeadSays | None:
        """What the head says now; None if it does not answer."""
        seconds = SECONDS_TO_ANSWER
        if self._reader is None:
            try:
                require_answer(*self.head)
            except UsageError:
                return None
            # a session of its own, so that Ctrl-C does not reach it
            self._reader = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            seconds = SECONDS_TO_BEGIN
        try:
            said = json.loads(_answer(self._reader, seconds))
            return HeadSays({key: DriverSign(**sign) for key, sign in said["drivers"].items()}, said["is_member"])
        except (ValueError, TypeError, KeyError):  # no line, or one that is no answer
            self.close()
            return None

    def close(self) -> None:
        """End the reader; the next question starts a new one."""
        if self._reader is not None:
            self._reader.kill()
            self._reader.communicate()
            self._reader = None


def _answer(reader: subprocess.Popen[str], seconds: float) -> str:
    """The line with which a reader answers; empty if it has ended, or does not answer in time."""
    assert reader.stdin is not None and reader.stdout is not None
    with suppress(OSError):
        reader.stdin.write("\n")
        reader.stdin.flush()
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if select.select([reader.stdout], [], [], left)[0]:
                return reader.stdout.readline()
    return ""
