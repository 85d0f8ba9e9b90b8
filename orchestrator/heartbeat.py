"""The heartbeat of a running trial: tells the driver the trial's stage, and fetches its command.

`beat` is called once a second, in a thread. The training loop only reads the command that came last, so a slow or lost
driver never holds up a step.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress

from orchestrator.cluster.memory_kills import num_memory_kills
from orchestrator.control_channel import Beat, Channel
from trainer.control import GO_ON, Command, Stage

SECONDS_BETWEEN_BEATS = 1.0


class Heartbeat:
    """`stage` is what the driver is told; `command` is what the trial was told last."""

    def __init__(self, channel: Channel, trial_id: str, node: str) -> None:
        self.channel, self.trial_id, self.node = channel, trial_id, node
        self.command: Command = GO_ON
        self.stage: Stage = "data"

    def beat(self) -> None:
        """Say that the trial is alive."""
        with suppress(Exception):  # a driver that does not answer is no reason to end a trial
            beat = Beat(
                trial_id=self.trial_id,
                stage=self.stage,
                node=self.node,
                pid=os.getpid(),
                host=platform.node(),
                memory_kills=num_memory_kills(),
            )
            self.command = self.channel.beat(beat)
