"""A dead-man switch as its options describe it, and the process that keeps it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.cluster.dead_man_switch.decision import Limits
from orchestrator.cluster.dead_man_switch.head_line import HeadLine
from orchestrator.cluster.dead_man_switch.label import StopsItself
from orchestrator.cluster.dead_man_switch.stop_command import Say, stop_arguments
from orchestrator.cluster.dead_man_switch.supervisor import Orders, Supervisor
from orchestrator.errors import UsageError

LOST_MINUTES = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Switch:
    """What a machine tells others of its end, and the command for it; empty: it leaves the cluster, and stays."""

    stops: StopsItself
    command: tuple[str, ...]

    @property
    def limits(self) -> Limits:
        lost, most = self.stops.lost_minutes, self.stops.max_hours
        return Limits(
            lost_seconds=None if lost is None else lost * 60, life_seconds=None if most is None else most * 3_600
        )


def switch_of(stop_command: str | None, max_hours: float | None, lost_minutes: float | None) -> Switch | None:
    """The switch that options ask for; None without any.

    Raises:
        UsageError: if the command cannot be run, or there is none for what `lost_minutes` waits for.
    """
    if stop_command is None:
        if lost_minutes is not None:
            raise UsageError("--lost-minutes is how long --stop-command waits: give that, too, or leave both out")
        return None if max_hours is None else Switch(stops=StopsItself(max_hours=max_hours), command=())
    command = stop_arguments(stop_command, os.environ)
    lost = LOST_MINUTES if lost_minutes is None else lost_minutes
    stops = StopsItself(command=Path(command[0]).name, lost_minutes=lost, max_hours=max_hours)
    return Switch(stops=stops, command=tuple(command))


def supervise(
    switch: Switch | None,
    ray: Sequence[str],
    *,
    head: tuple[str, int],
    node: tuple[str, int],
    drain_seconds: float,
    say: Say,
) -> int:
    """Run Ray's node under the switch; the exit code of this process.

    Without a switch too: when the node is told to end, Ray lets trials run on for a while and kills them, and the
    supervisor tells them to write their checkpoints.

    Args:
        ray: the command of Ray's node.
        head, node: address and port of the head, and of the node's manager.
    """
    limits, stop = (switch.limits, switch.command) if switch else (Limits(), ())
    orders = Orders(ray=ray, limits=limits, stop=stop, drain_seconds=drain_seconds, node=node[0])
    return Supervisor(orders, HeadLine(head, node), say).run()
