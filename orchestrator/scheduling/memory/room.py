"""Which cards of a pool have room for a trial: where it is not sent, and what fits nowhere. Pure.

A trial on a CPU is not judged: a machine's memory is shared with all that runs there, and its kernel has the last word.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from orchestrator.scheduling.cost_model import Cost
from orchestrator.scheduling.memory.fit import Place, fits, larger_kinds, memory_refusal
from orchestrator.scheduling.memory.model import MemoryModel
from orchestrator.scheduling.placement import CPU, Node, Pool, Slot
from orchestrator.search.planner import PlannedTrial


@dataclasses.dataclass(frozen=True)
class Room:
    """What a pool has for one trial: the kinds on which it may run, and why there is none."""

    kinds: frozenset[str] | None  # None: all that the trial allows
    refusal: str | None = None


ANYWHERE = Room(None)


class MemoryRoom:
    """Judges trials against the nodes of a pool, by a model that learns from rows."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.model = pool, MemoryModel()
        self._nodes: tuple[Node, ...] | None = None
        self._rooms: dict[tuple[int, str, float | None], Room] = {}  # by config, accelerator and GPUs

    def ended(self, row: Mapping[str, Any], trial: PlannedTrial) -> None:
        """Learn from a trial's row."""
        if self.model.ended(row, trial.config):
            self._rooms.clear()

    def of(self, trial: PlannedTrial, cost: Cost) -> Room:
        """Args: `cost`: of the trial, one object for all seeds of a config: each config is judged once."""
        if self._nodes is not self.pool.nodes:
            self._nodes = self.pool.nodes
            self._rooms.clear()
        if not any(is_judged(trial, node) for node in self.pool.shapes.values()):
            return ANYWHERE
        key = (id(cost), trial.accelerator, trial.gpus)
        if key not in self._rooms:
            self._rooms[key] = self._judged(trial)
        return self._rooms[key]

    def larger_kinds(self, trial: PlannedTrial, slot: Slot) -> frozenset[str]:
        """The kinds that give the trial more memory than the slot in which it ran out of it."""
        places = self._places(trial)
        had = [place for place in places if place.kind == slot.kind]
        return larger_kinds(had[0], places) if had else frozenset()

    def _judged(self, trial: PlannedTrial) -> Room:
        places = self._places(trial)
        kinds = frozenset(place.kind for place in places if fits(trial.config, place, self.model) is not False)
        is_everywhere = kinds == {place.kind for place in places}
        refusal = memory_refusal(trial.config, places, self.model)
        return Room(None if is_everywhere or refusal else kinds, refusal)

    def _places(self, trial: PlannedTrial) -> list[Place]:
        """Of every sort of node that the trial fits on by its resources, once each; one that is away may come back."""
        nodes = [node for node in self.pool.shapes.values() if self.pool.fits_on(trial, node)]
        return list(dict.fromkeys(place_of(self.pool, trial, node) for node in nodes))


def place_of(pool: Pool, trial: PlannedTrial, node: Node) -> Place:
    """The part of a node's device that a trial would be given there."""
    share = min(1.0, pool.slot_for(trial, node).gpus or 1.0)
    return Place(kind=node.kind, device_bytes=node.device_bytes, share=share)


def is_judged(trial: PlannedTrial, node: Node) -> bool:
    """Whether a trial would use the memory of a card there."""
    return node.kind != CPU and trial.config.device != "cpu"
