"""Which configs the canary tries, and on which node. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.estimates.memory import peak_memory_bytes
from orchestrator.scheduling.memory.fit import fits
from orchestrator.scheduling.memory.model import MemoryModel
from orchestrator.scheduling.memory.room import is_judged, place_of
from orchestrator.scheduling.placement import Node, Pool, Slot
from orchestrator.search.planner import PlannedTrial
from trainer.config.trial import TrialConfig

# Sizes of more would take a while; of a larger plan, so many are looked at, evenly spread.
MAX_CONFIGS = 1_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """One config that is tried on one node. `why`: largest, smallest, or `recipe …`."""

    trial: PlannedTrial
    slot: Slot
    why: str


def size_of(config: TrialConfig) -> float:
    """By which configs are ranked: the memory that training takes, on a card."""
    return float(peak_memory_bytes(config, on_card=True))


def probes(trials: Iterable[PlannedTrial], pool: Pool) -> list[Probe]:
    """What is to be tried: on every kind of accelerator the largest and the smallest config and one of each recipe of
    those that may run there, spread over its nodes; and on every other node the smallest.
    """
    ranked, model = _ranked(trials), MemoryModel()
    load: Counter[str] = Counter()
    found: list[Probe] = []

    def has_room(trial: PlannedTrial, node: Node) -> bool:
        """Whether the sweep would send it there: by its resources and its memory."""
        if not pool.fits_on(trial, node):
            return False
        return not is_judged(trial, node) or fits(trial.config, place_of(pool, trial, node), model) is not False

    def add(trial: PlannedTrial, nodes: Sequence[Node], why: str) -> None:
        able = [node for node in nodes if has_room(trial, node)]
        node = min(able, key=lambda one: load[one.node_id])  # the first of equals
        load[node.node_id] += 1
        found.append(Probe(trial=trial, slot=pool.slot_for(trial, node), why=why))

    for kind in pool.kinds:
        nodes = [node for node in pool.nodes if node.kind == kind]
        able = [trial for trial in ranked if any(has_room(trial, node) for node in nodes)]
        for trial, why in _wanted(able):
            add(trial, nodes, why)
    for node in pool.nodes:
        smallest = next((trial for trial in ranked if has_room(trial, node)), None)
        if not load[node.node_id] and smallest is not None:
            add(smallest, [node], "smallest")
    return found


def _wanted(ranked: Sequence[PlannedTrial]) -> list[tuple[PlannedTrial, str]]:
    """Of trials from small to large: the largest first, as it takes longest."""
    if not ranked:
        return []
    found = {ranked[-1].trial_id: (ranked[-1], "largest")}
    found.setdefault(ranked[0].trial_id, (ranked[0], "smallest"))
    covered = {trial.config.recipe for trial, _ in found.values()}
    for trial in ranked:
        if trial.config.recipe not in covered:
            covered.add(trial.config.recipe)
            found[trial.trial_id] = trial, f"recipe {trial.config.recipe}"
    return list(found.values())


def _ranked(trials: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """One trial of each config and each need, from small to large."""
    by_need = {(one.config.config_id, one.accelerator, one.cpus, one.gpus): one for one in reversed(list(trials))}
    found = list(by_need.values())[::-1]
    step = max(1, len(found) // MAX_CONFIGS)
    sizes: dict[str, float] = {}
    for trial in found[::step]:
        sizes.setdefault(trial.config.config_id, size_of(trial.config))
    return sorted(found[::step], key=lambda trial: (sizes[trial.config.config_id], trial.trial_id))
