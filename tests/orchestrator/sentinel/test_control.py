"""The control that sentinels train, when a node is due, and which slot it holds."""

from __future__ import annotations

import pytest
from tiny import tiny_recipe

from orchestrator.scheduling.placement import CPU, Node, Pool, Slot
from orchestrator.search.planner import PlannedTrial
from orchestrator.sentinel.control import control_of, due_nodes, slot_to_hold
from orchestrator.sentinel.records import Record
from search_spaces.spec.sections.sentinel import SentinelConfig

NODES = [Node(node_id=name, kind=CPU, cpus=1, gpus=0) for name in "abc"]
SECTION = SentinelConfig()
HOUR = 3_600.0


def trial(recipe: str = "baseline", dim: int = 32, accelerator: str = "any") -> PlannedTrial:
    model = {"vocab_size": 512, "num_layers": 1, "dim": dim, "num_heads": 2}
    config = tiny_recipe(recipe, model=model, train={"steps": 900})
    return PlannedTrial(config=config, accelerator=accelerator, cpus=1.0, gpus=None, trial_id=config.trial_id)


def record(node: str, at: float, step_seconds: float = 0.01) -> Record:
    return Record(
        node=node,
        host=node,
        accelerator=CPU,
        control="c",
        began_seconds=at,
        ended_seconds=at,
        status="completed",
        ce=4.0,
        step_seconds=step_seconds,
    )


@pytest.mark.parametrize("recipe", ["selective", "progressive", "distill", "ensemble", "full_adapter"])
def test_the_control_is_the_smallest_that_learns_all(recipe: str) -> None:
    """Of the controls the smallest; without one, the smallest config as a control. It runs on every kind of node."""
    control = control_of([trial(recipe, 32), trial(dim=64, accelerator="H100"), trial(dim=48)], 50)
    assert (control.config.recipe, control.config.model.dim, control.config.train.steps) == ("baseline", 48, 50)
    alone = control_of([trial(recipe, 64, "H100"), trial(recipe, 32, "H100")], 50)
    assert (alone.config.recipe, alone.config.model.dim, alone.accelerator) == ("baseline", 32, "any")
    assert alone.trial_id == alone.config.trial_id


def due(records: list[Record], tried: dict[str, float], now: float) -> str:
    return "".join(node.node_id for node in due_nodes(SECTION, NODES, records, tried, now))


def test_a_node_is_due_when_it_joins_and_every_two_hours() -> None:
    """The one that waits longest first; one that was tried and left no record waits as long."""
    assert due([], {}, 1e9) == "abc"
    records = [record("a", 1e9), record("b", 1e9 - HOUR), record("c", 1e9 - 2 * HOUR)]
    assert due(records, {}, 1e9) == "c"
    assert due(records, {}, 1e9 + HOUR) == "cb" and due(records, {}, 1e9 + 3 * HOUR) == "cba"
    assert due(records, {"c": 1e9}, 1e9 + HOUR) == "b"


def test_a_node_that_was_off_once_is_due_at_once_and_only_once() -> None:
    """Until it has been sent one more, and not while that has left no record."""
    records = [record(node, 1e9, step_seconds) for node, step_seconds in zip("abc", (0.01, 0.01, 0.02), strict=True)]
    assert due(records, {"c": 1e9 - 9}, 1e9 + 5) == "c"
    assert due(records, {"c": 1e9 + 5}, 1e9 + 6) == ""
    assert due([*records, record("c", 1e9 + 20, 0.02)], {"c": 1e9 + 5}, 1e9 + 21) == ""


def test_it_runs_where_there_really_is_room() -> None:
    """A trial holds a's slot and runs on b, as Ray chose: a has room, and b's free slot is held for it."""
    pool = Pool(NODES[:2])
    pool.acquire("t", Slot(kind=CPU, cpus=1, gpus=0, node_id="a"))
    assert slot_to_hold(trial(), NODES[0], pool, {}) is None
    held = slot_to_hold(trial(), NODES[0], pool, {"t": "b"})
    assert held is not None and held.node_id == "b"
    assert slot_to_hold(trial(), NODES[1], pool, {"t": "b"}) is None
    pool.acquire("u", Slot(kind=CPU, cpus=1, gpus=0, node_id="b"))
    assert slot_to_hold(trial(), NODES[0], pool, {"t": "b"}) is None, "all slots are held"


def test_a_free_node_gives_its_own_slot() -> None:
    """And a node with cards gives a card."""
    card = Node(node_id="g", kind="A40", cpus=4, gpus=2)
    assert slot_to_hold(trial(), card, Pool([*NODES, card]), {}) == Slot(kind="A40", cpus=1, gpus=1, node_id="g")
