"""The heartbeat of a running trial: once a second a thread tells the driver its stage and fetches its command.

The training loop only reads the command that came last, so a slow or lost driver never holds up a step.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from types import TracebackType

from orchestrator.control_channel import Beat, Channel
from trainer.control import GO_ON, Command, Stage

SECONDS_BETWEEN_BEATS = 1.0


class Heartbeat:
    """Beats while it is entered. `command` is what the trial was told last."""

    def __init__(self, channel: Channel, trial_id: str, node: str) -> None:
        self.channel, self.trial_id, self.node = channel, trial_id, node
        self.command: Command = GO_ON
        self.stage: Stage = "data"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _beat(self) -> None:
        while not self._ended.is_set():
            with suppress(Exception):  # a driver that does not answer is no reason to end a trial
                beat = Beat(trial_id=self.trial_id, stage=self.stage, node=self.node, pid=os.getpid())
                self.command = self.channel.beat(beat)
            self._ended.wait(SECONDS_BETWEEN_BEATS)
