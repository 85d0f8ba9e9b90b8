"""Which control sentinels train, when a node is due, and which slot it takes. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.canary.choose import size_of
from orchestrator.canary.short_config import short_config
from orchestrator.scheduling.placement import Node, Pool, Slot
from orchestrator.search.planner import PlannedTrial
from orchestrator.sentinel.records import Record
from orchestrator.sentinel.verdicts import is_to_repeat
from results.tables.schema import CONTROL_RECIPE
from search_spaces.spec.sections.accelerators import ANY
from search_spaces.spec.sections.sentinel import SentinelConfig
from trainer.config.recipe_options import without_unused_sections
from trainer.config.trial import TrialConfig

SECONDS_PER_HOUR = 3_600.0


def control_of(examples: Sequence[PlannedTrial], steps: int) -> PlannedTrial:
    """The smallest control among the trials of a sweep, in a few steps; without one, the smallest config as a control.

    It may run on every node, whatever kind its trial asks for.
    """
    controls = [trial for trial in examples if trial.config.recipe == CONTROL_RECIPE]
    smallest = min(controls or examples, key=lambda trial: (size_of(trial.config), trial.trial_id))
    values = {**smallest.config.model_dump(mode="json"), "recipe": CONTROL_RECIPE}
    config = short_config(TrialConfig.model_validate(without_unused_sections(values)), steps)
    return dataclasses.replace(smallest, config=config, accelerator=ANY, trial_id=config.trial_id)


def due_nodes(
    section: SentinelConfig, nodes: Iterable[Node], records: Sequence[Record], tried: Mapping[str, float], now: float
) -> list[Node]:
    """Nodes that no sentinel has measured yet, or not for too long, or whose last one is to be repeated; the longest
    waiting first.

    Args:
        tried: when a sentinel was last sent to a node, by its id, in seconds since 1970.
        now: in seconds since 1970.
    """
    last = {record.node: record.ended_seconds for record in sorted(records, key=lambda one: one.ended_seconds)}
    waits = section.every_hours * SECONDS_PER_HOUR
    due = []
    for node in nodes:
        at = max(last.get(node.node_id, -waits), tried.get(node.node_id, -waits))
        is_measured = last.get(node.node_id, -waits) >= tried.get(node.node_id, -waits)
        if now - at >= waits or (is_measured and is_to_repeat(node.node_id, records)):
            due.append((at, node))
    return [node for _, node in sorted(due, key=lambda one: (one[0], one[1].node_id))]


def slot_to_hold(trial: PlannedTrial, node: Node, pool: Pool, where: Mapping[str, str]) -> Slot | None:
    """The slot to hold while a sentinel runs on a node; None while the node has no room for it.

    Ray chooses among equal nodes, so a trial may run on another node than the one whose slot it holds. Then the
    sentinel holds a free slot of such another one.

    Args:
        where: the node that a trial really runs on, by the holder of its slot, where that is known.
    """
    wanted = pool.slot_for(trial, node)
    really = Pool(pool.nodes)
    for holder, slot in pool.held.items():
        really.acquire(holder, dataclasses.replace(slot, node_id=where.get(holder, slot.node_id)))
    if not really.is_free(wanted, node):
        return None
    equal = [one for one in pool.nodes if one.kind == node.kind and one.spare == node.spare and one != node]
    free = next((one for one in (node, *equal) if pool.is_free(wanted, one)), None)
    return None if free is None else dataclasses.replace(wanted, node_id=free.node_id)
