"""A fleet of machines in words, such as `H100:2,A40:6`, and as the nodes that a driver would see."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from orchestrator.errors import UsageError
from orchestrator.ledger.events import Machine
from orchestrator.scheduling.memory.fit import card_bytes
from orchestrator.scheduling.placement import CPU, Node, with_spare_cpus
from search_spaces.spec.sections.accelerators import spelt_as_ray_does

CPUS_OF_A_GPU_MACHINE = 16.0
MAX_MACHINES = 10_000
_PART = re.compile(r"(?P<kind>[A-Za-z0-9_-]{1,64}):(?P<number>\d{1,5})(?:x(?P<cpus>\d{1,4}))?")


def read_fleet(text: str) -> list[Machine]:
    """Machines of `KIND:NUMBER` or `KIND:NUMBERxCPUS`, with commas between; each has one card of its kind, CPU none.

    A machine with a card has 16 CPUs where the text does not say; one without has as many as this one. `local` is this
    machine.

    Raises:
        UsageError: naming the part that cannot be read.
    """
    if text == "local":
        return list(_machines(CPU, 1, None))
    found: list[Machine] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise UsageError(f"--fleet {text}: cannot read {part!r}; write KIND:NUMBER, as in H100:2,A40:6 or CPU:4x8")
        try:
            kind = spelt_as_ray_does(match["kind"])
        except ValueError as error:
            raise UsageError(f"--fleet {text}: {match['kind']} {error}") from error
        cpus = None if match["cpus"] is None else int(match["cpus"])
        if kind == "any" or cpus == 0 or int(match["number"]) == 0:
            raise UsageError(f"--fleet {text}: {part!r} is no machine")
        found += _machines(kind, int(match["number"]), cpus, first=len(found))
    if len(found) > MAX_MACHINES:
        raise UsageError(f"--fleet {text}: {len(found):,} machines are more than {MAX_MACHINES:,}")
    return found


def nodes_of(machines: Sequence[Machine]) -> list[Node]:
    """As the driver's pool has them."""
    found = [
        Node(
            node_id=one.node,
            kind=one.accelerator,
            cpus=one.cpus,
            gpus=one.gpus,
            device_bytes=card_bytes(one.accelerator) if one.gpus else None,
        )
        for one in machines
    ]
    return with_spare_cpus(found)


def _machines(kind: str, number: int, cpus: int | None, first: int = 0) -> Iterable[Machine]:
    default = CPUS_OF_A_GPU_MACHINE if kind != CPU else float(os.cpu_count() or 1)
    for index in range(first, first + number):
        name = f"{kind}-{index + 1}"
        gpus = 0.0 if kind == CPU else 1.0
        yield Machine(node=name, host=name, accelerator=kind, cpus=default if cpus is None else float(cpus), gpus=gpus)
