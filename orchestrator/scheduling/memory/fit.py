"""Whether a trial fits a device's memory, which larger devices there are, and what fits nowhere. Pure.

Memory is in bytes; a GB in a text is 10^9 of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from orchestrator.cluster.ray_start import MEMORY_LABEL
from orchestrator.estimates.speeds import CARDS
from orchestrator.scheduling.memory.model import MemoryModel
from orchestrator.scheduling.placement import CPU
from trainer.config.trial import TrialConfig

GB = 1e9
# Of a device's memory, what trials may take: what an allocator keeps beside its tensors needs the rest.
USABLE_SHARE = 0.92
# What every process takes on a card beside its tensors: CUDA's context and the libraries' buffers. A usual figure, not
# measured.
CARD_CONTEXT_BYTES = 0.7e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a trial may run: a kind of device, and the share of it that the trial is given.

    Args:
        device_bytes: memory of the device, or of the machine for a CPU; None if it is not known.
        share: of the device: a fraction of a card, or the trial's CPUs over the machine's.
    """

    kind: str
    device_bytes: int | None
    share: float = 1.0

    @property
    def usable_bytes(self) -> float | None:
        """What one trial may take there."""
        return None if self.device_bytes is None else self.device_bytes * USABLE_SHARE * min(1.0, self.share)


def card_bytes(kind: str) -> int | None:
    """Memory of a card of a known kind, as its maker says; None of others, and of a CPU."""
    card = CARDS.get(kind)
    return None if card is None else round(card.memory * GB)


def node_bytes(kind: str, labels: Mapping[str, str], resources: Mapping[str, float]) -> int | None:
    """Memory of one device of a node, or of the machine where it is a CPU; None if it is not known.

    Args:
        labels: of the node; `MEMORY_LABEL` counts before what the maker says of the kind.
        resources: by Ray's account, with `memory` in bytes.
    """
    if kind == CPU:
        found = resources.get("memory")
        return round(found) if found else None
    try:
        return round(float(labels[MEMORY_LABEL]) * GB)
    except (KeyError, ValueError):
        return card_bytes(kind)


def needed_bytes(config: TrialConfig, kind: str, model: MemoryModel) -> int:
    """What a trial takes of a device at its peak, with the process around it."""
    return model.expected(config, kind) + (0 if kind == CPU else round(CARD_CONTEXT_BYTES))


def fits(config: TrialConfig, place: Place, model: MemoryModel) -> bool | None:
    """Whether a trial fits there, with the margins above; None if the device's memory is not known."""
    usable = place.usable_bytes
    return None if usable is None else needed_bytes(config, place.kind, model) <= usable


def memory_refusal(config: TrialConfig, places: Iterable[Place], model: MemoryModel) -> str | None:
    """Why a trial fits nowhere, and what would admit it; None if it fits somewhere, or a memory is not known."""
    every = list(places)
    if not every or any(fits(config, place, model) is not False for place in every):
        return None
    largest = max(every, key=lambda place: place.usable_bytes or 0.0)
    assert largest.device_bytes is not None
    part = "" if largest.share >= 1 else f", of which a trial is given {largest.share:g}"
    return (
        f"needs about {_gb(needed_bytes(config, largest.kind, model))} of memory, "
        f"the largest device has {_gb(largest.device_bytes)} ({largest.kind}){part}; "
        f"more `train.micro_batches`{'' if largest.share >= 1 else ', a larger share'}, "
        "or a device with more memory admits it"
    )


def larger_kinds(place: Place, places: Iterable[Place]) -> frozenset[str]:
    """The kinds that surely give a trial more memory than `place`: where it goes after it ran out of memory there."""
    had = place.usable_bytes
    if had is None:
        return frozenset()
    usable: dict[str, float] = {}  # of each kind the least: any of its nodes may get the trial
    for one in places:
        usable[one.kind] = min(usable.get(one.kind, float("inf")), one.usable_bytes or 0.0)
    return frozenset(kind for kind, num_bytes in usable.items() if kind != place.kind and num_bytes > had)


def _gb(num_bytes: float) -> str:
    return f"{num_bytes / GB:.1f} GB"
