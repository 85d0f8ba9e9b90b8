"""How many trials shared a device at once: what makes a speed or a time of one of them hard to compare. Pure.

The device of a trial on CPUs is the whole machine, with all its nodes of the cluster; of a trial that holds a share
of a GPU, that GPU. A trial that holds whole GPUs shares none of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.ledger.ledger import Attempt
from orchestrator.scheduling.placement import ROUNDING


def most_neighbours(attempts: Iterable[Attempt], hosts: Mapping[str, str]) -> dict[int, int]:
    """By attempt, the largest number of other trials that shared its device at any time while it ran.

    A sweep over the attempts of each machine in the order in which they began: n log n in their number, and for each
    one a look at those that ran then. A number can only grow when an attempt begins, so only these times count.

    Args:
        attempts: all that overlap those whose numbers are wanted; one without an end still runs.
        hosts: of each node; a node without one is a machine of its own.
    """
    machines: dict[str, list[Attempt]] = {}
    for one in attempts:
        machines.setdefault(hosts.get(one.start.node) or one.start.node, []).append(one)
    most: dict[int, int] = {}
    for here in machines.values():
        running: list[Attempt] = []
        for new in sorted(here, key=lambda one: one.begin):
            running = [one for one in running if one.end is None or one.end > new.begin] + [new]
            num_trials = len({one.start.trial_id for one in running})
            for one in running:
                number = _num_on_its_gpu(one, running) if _gpus(one) else num_trials - 1
                most[one.start.attempt] = max(number, most.get(one.start.attempt, 0))
    return most


def _gpus(attempt: Attempt) -> float:
    return attempt.start.devices if attempt.machine.gpus else 0.0


def _num_on_its_gpu(one: Attempt, running: Sequence[Attempt]) -> int:
    """Other trials on the same GPU. Where a node has several, nobody knows which shares are on one: at most so many."""
    if _gpus(one) > 1 - ROUNDING:
        return 0
    others = {
        other.start.trial_id: _gpus(other)
        for other in running
        if other.start.node == one.start.node and other.start.trial_id != one.start.trial_id
    }
    shares = sorted(share for share in others.values() if 0 < share < 1 - ROUNDING)
    room = 1 - _gpus(one) + ROUNDING
    return sum(used <= room for used in itertools.accumulate(shares))
