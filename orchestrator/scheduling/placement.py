"""Placement: which trial starts on which node, decided when a slot is free. Pure, without Ray.

Deciding late is what keeps every kind of device busy: a trial that must wait for an H100 holds back no A40.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Container, Iterable, Sequence

from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sections.accelerators import CPU as CPU

ROUNDING = 1e-6  # thirds of a GPU must add up to one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """One machine of the cluster. `kind` is the accelerator's name as Ray has it, or CPU where there is none."""

    node_id: str
    kind: str
    cpus: float
    gpus: float
    device_bytes: int | None = None  # memory of one of its cards, where that is known
    is_labelled: bool = False  # Ray knows the kind as a node label, not only as a resource
    spare: bool = False  # the CPUs of a machine with GPUs: only for trials that ask for a CPU, or for no GPU


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slot:
    """The resources that one trial occupies while it runs, on one node."""

    kind: str
    cpus: float
    gpus: float
    node_id: str = ""


class Pool:
    """The nodes of a cluster and the slots in use on each. Nodes may join and leave; see `set_nodes`."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(nodes)
        self.shapes: dict[Node, Node] = {}  # one of each sort of node that was ever here, whatever its id
        self.seen: set[str] = set()  # ids of nodes that were ever here
        self._remember(self.nodes)
        self.held: dict[str, Slot] = {}
        self._used: dict[str, tuple[float, float]] = {}  # CPUs and GPUs that slots hold, by node
        self._fitting: dict[tuple[str, float, float | None], list[tuple[Node, Slot]]] = {}  # by need
        self.excluded: dict[str, str] = {}  # nodes that get no more trials, with the reason

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds there are: GPUs first, CPU last."""
        return tuple(sorted({node.kind for node in self.nodes}, key=lambda kind: (kind == CPU, kind)))

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """Replace the list of nodes. A slot on a lost node stays in use until it is released."""
        kept = tuple(node for node in nodes if node.node_id not in self.excluded)
        if kept == self.nodes:
            return
        self.nodes = kept
        self._remember(kept)
        self._fitting.clear()

    def _remember(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.seen.add(node.node_id)
            self.shapes.setdefault(dataclasses.replace(node, node_id=""), node)

    def exclude(self, node_id: str, why: str = "") -> None:
        """Give a node no more trials."""
        self.excluded[node_id] = why
        self.set_nodes(self.nodes)

    def slot_for(self, trial: PlannedTrial, node: Node) -> Slot:
        """The slot that `trial` takes on `node`: one GPU where it names no number and the node has some."""
        gpus = (0.0 if node.kind == CPU else 1.0) if trial.gpus is None else trial.gpus
        return Slot(kind=node.kind, cpus=trial.cpus, gpus=gpus, node_id=node.node_id)

    def fits_on(self, trial: PlannedTrial, node: Node) -> bool:
        """Whether `trial` could run on `node` if nothing else did: the node is large enough and of the right kind."""
        if not trial.allows(node.kind) or (node.spare and trial.kinds is None and trial.gpus != 0):
            return False
        slot = self.slot_for(trial, node)
        # a GPU trial placed on a CPU node, or a CPU trial that takes a GPU node away, is never meant
        if (slot.gpus > 0) != (node.kind != CPU):
            return False
        return node.cpus >= slot.cpus - ROUNDING and node.gpus >= slot.gpus - ROUNDING

    def is_free(self, slot: Slot, node: Node) -> bool:
        """Whether `slot` is free now on `node`; a node's spare CPUs and its other slots share the same machine."""
        cpus, gpus = self._used.get(node.node_id, (0.0, 0.0))
        free_gpus = node.gpus - (0.0 if node.spare else gpus)
        return node.cpus - cpus >= slot.cpus - ROUNDING and free_gpus >= slot.gpus - ROUNDING

    def free_slot(
        self, trial: PlannedTrial, paused: Container[str] = (), kinds: Collection[str] | None = None
    ) -> Slot | None:
        """A free slot for `trial`, on one of these kinds if any are given: GPUs before CPUs; None if there is none."""
        for node, slot in self._nodes_for(trial):
            is_open = node.kind not in paused and (kinds is None or node.kind in kinds)
            if is_open and self.is_free(slot, node):
                return slot
        return None

    def _nodes_for(self, trial: PlannedTrial) -> list[tuple[Node, Slot]]:
        """Where a trial fits, GPUs first and CPUs last; kept for trials of the same need while the nodes stay."""
        need = trial.accelerator, trial.cpus, trial.gpus
        if need not in self._fitting:
            fitting = [node for node in self.nodes if self.fits_on(trial, node)]
            fitting.sort(key=lambda node: (node.kind == CPU, node.kind))
            self._fitting[need] = [(node, self.slot_for(trial, node)) for node in fitting]
        return self._fitting[need]

    def kinds_for(self, trial: PlannedTrial) -> frozenset[str]:
        """The kinds of device on which `trial` could run if nothing else did."""
        return frozenset(node.kind for node, _ in self._nodes_for(trial))

    def free_kinds(self, trials: Sequence[PlannedTrial], paused: Container[str] = ()) -> frozenset[str]:
        """The kinds of device on which one of these trials could start now."""
        found: set[str] = set()
        for trial in trials:
            for node, slot in self._nodes_for(trial):
                if node.kind not in found and node.kind not in paused and self.is_free(slot, node):
                    found.add(node.kind)
        return frozenset(found)

    def acquire(self, holder: str, slot: Slot) -> None:
        self.release(holder)
        self.held[holder] = slot
        self._use(slot, 1)

    def release(self, holder: str) -> None:
        if (slot := self.held.pop(holder, None)) is not None:
            self._use(slot, -1)

    def runs_on(self, holder: str, node_id: str) -> None:
        """The holder of a slot really runs on this node: Ray chooses among equal ones.

        Else a slot would seem free on a node that is in use, when its holder ends on another one.
        """
        slot = self.held.get(holder)
        if slot is not None and slot.node_id != node_id:
            self.acquire(holder, dataclasses.replace(slot, node_id=node_id))

    def _use(self, slot: Slot, sign: int) -> None:
        cpus, gpus = self._used.get(slot.node_id, (0.0, 0.0))
        self._used[slot.node_id] = cpus + sign * slot.cpus, gpus + sign * slot.gpus

    def num_slots(self, trials: Sequence[PlannedTrial]) -> int:
        """How many of these trials can run at once, at most, if each were like the smallest."""
        total = 0
        for node in self.nodes:
            slots = [self.slot_for(t, node) for t in trials if self.fits_on(t, node)]
            if slots:
                by_cpu = int(node.cpus / max(ROUNDING, min(s.cpus for s in slots)) + ROUNDING)
                smallest_gpu = min(s.gpus for s in slots)
                total += min(by_cpu, int(node.gpus / smallest_gpu + ROUNDING)) if smallest_gpu else by_cpu
        return total


def choose(
    waiting: Iterable[PlannedTrial],
    pool: Pool,
    *,
    paused: Container[str] = (),
    kinds_of: Callable[[PlannedTrial], Collection[str] | None] = lambda trial: None,
) -> tuple[PlannedTrial, Slot] | None:
    """The next trial to start and its slot, or None when nothing that waits fits what is free.

    Trials go in order, except that one which may run on fewer kinds goes first: a free H100 is not given away while a
    trial that needs it waits.

    Args:
        paused: kinds on which nothing is placed now.
        kinds_of: the kinds that a trial is held to, beside those that it names; None: to none. See `one_kind.py`.
    """
    found: tuple[PlannedTrial, Slot] | None = None
    fewest = math.inf
    tried: set[tuple[str, frozenset[str] | None, float, float | None]] = set()
    for trial in waiting:
        kinds = open_kinds(trial, kinds_of(trial))
        need = (trial.accelerator, kinds, trial.cpus, trial.gpus)
        number = math.inf if kinds is None else len(kinds)
        if need in tried or (found is not None and number >= fewest):
            continue
        tried.add(need)
        slot = pool.free_slot(trial, paused, kinds)
        if slot is not None:
            found, fewest = (trial, slot), number
        if fewest == 1:
            break
    return found


def open_kinds(trial: PlannedTrial, held_to: Collection[str] | None) -> frozenset[str] | None:
    """The kinds that a trial may be placed on; what it names counts where it may not run on what it is held to."""
    if held_to is None:
        return trial.kinds
    return frozenset(kind for kind in held_to if trial.allows(kind)) or trial.kinds


def unplaceable(trials: Iterable[PlannedTrial], pool: Pool) -> list[PlannedTrial]:
    """The trials that no node could ever hold."""
    return [trial for trial in trials if not any(pool.fits_on(trial, node) for node in pool.nodes)]


def with_spare_cpus(nodes: Sequence[Node]) -> list[Node]:
    """With the CPUs of the nodes offered as well, to trials that ask for a CPU by name, where every node has GPUs."""
    if any(node.kind == CPU for node in nodes):
        return list(nodes)
    spare = [
        dataclasses.replace(node, kind=CPU, gpus=0.0, device_bytes=None, is_labelled=False, spare=True)
        for node in nodes
    ]
    return [*nodes, *spare]
