"""Which trial goes where, now: decided when a slot is free, never earlier. Pure; knows nothing of Ray.

Deciding late is what keeps every kind of device busy: a trial that must wait for an H100 holds back no A40.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from orchestrator.search import PlannedTrial

ANY = "any"
CPU = "CPU"
ROUNDING = 1e-6  # thirds of a GPU must add up to one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """One machine of the cluster. `kind` is the accelerator's name as Ray has it, or CPU where there is none."""

    node_id: str
    kind: str
    cpus: float
    gpus: float
    is_labelled: bool = False  # Ray knows the kind as a node label, not only as a resource
    spare: bool = False  # the CPUs of a machine with GPUs: only for trials that ask for a CPU, or for no GPU


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slot:
    """What one trial holds while it runs: a share of the nodes of one kind."""

    kind: str
    cpus: float
    gpus: float


class Pool:
    """The free CPUs and GPUs of each kind of node. Nodes may come and go; held slots are given back by name."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(nodes)
        self.held: dict[str, Slot] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds there are: GPUs first, CPU last."""
        return tuple(sorted({node.kind for node in self.nodes}, key=lambda kind: (kind == CPU, kind)))

    def slot_for(self, trial: PlannedTrial, kind: str) -> Slot:
        """What `trial` holds on a node of `kind`: one GPU where it names no number and the node has some."""
        gpus = (0.0 if kind == CPU else 1.0) if trial.gpus is None else trial.gpus
        return Slot(kind=kind, cpus=trial.cpus, gpus=gpus)

    def could_hold(self, trial: PlannedTrial, kind: str) -> bool:
        """Whether some node of `kind`, empty, is large enough for `trial`, and is what it asks for."""
        if trial.accelerator not in (ANY, kind):
            return False
        slot = self.slot_for(trial, kind)
        # a GPU trial placed on a CPU node, or a CPU trial that takes a GPU node away, is never meant
        if (slot.gpus > 0) != (kind != CPU):
            return False
        return any(
            n.kind == kind and n.cpus >= slot.cpus and n.gpus >= slot.gpus - ROUNDING
            for n in self.nodes
            if not (n.spare and trial.accelerator == ANY and trial.gpus != 0)
        )

    def has_room(self, slot: Slot) -> bool:
        """Whether `slot` is free now on the nodes of its kind taken together."""
        cpus = sum(n.cpus for n in self.nodes if n.kind == slot.kind)
        gpus = sum(n.gpus for n in self.nodes if n.kind == slot.kind)
        used = [held for held in self.held.values() if held.kind == slot.kind]
        return (
            cpus - sum(s.cpus for s in used) >= slot.cpus - ROUNDING
            and gpus - sum(s.gpus for s in used) >= slot.gpus - ROUNDING
        )

    def take(self, holder: str, slot: Slot) -> None:
        self.held[holder] = slot

    def give_back(self, holder: str) -> None:
        self.held.pop(holder, None)

    def num_slots(self, trials: Sequence[PlannedTrial]) -> int:
        """How many of these trials can run at once, at most, if each were like the smallest."""
        total = 0
        for node in self.nodes:
            slots = [self.slot_for(t, node.kind) for t in trials if self.could_hold(t, node.kind)]
            if slots:
                by_cpu = int(node.cpus / max(ROUNDING, min(s.cpus for s in slots)) + ROUNDING)
                smallest_gpu = min(s.gpus for s in slots)
                total += min(by_cpu, int(node.gpus / smallest_gpu + ROUNDING)) if smallest_gpu else by_cpu
        return total


def choose(waiting: Iterable[PlannedTrial], pool: Pool) -> tuple[PlannedTrial, Slot] | None:
    """The next trial to start and its slot, or None when nothing that waits fits what is free.

    Trials go in order, except that one which names its kind goes before those that can run anywhere: a free H100 is
    not given away while a trial that needs it waits.
    """
    anywhere: tuple[PlannedTrial, Slot] | None = None
    tried: set[tuple[str, float, float | None]] = set()
    for trial in waiting:
        need = (trial.accelerator, trial.cpus, trial.gpus)
        if need in tried:
            continue
        tried.add(need)
        for kind in pool.kinds:
            if pool.could_hold(trial, kind) and pool.has_room(pool.slot_for(trial, kind)):
                if trial.accelerator != ANY:
                    return trial, pool.slot_for(trial, kind)
                anywhere = anywhere or (trial, pool.slot_for(trial, kind))
    return anywhere


def unplaceable(trials: Iterable[PlannedTrial], pool: Pool) -> list[PlannedTrial]:
    """The trials that no node could ever hold."""
    return [trial for trial in trials if not any(pool.could_hold(trial, kind) for kind in pool.kinds)]
