"""What the canary tries: on which node, and what it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import tiny_sweep
from tiny import tiny_recipe

from orchestrator.canary.choose import MAX_CONFIGS, probes, size_of
from orchestrator.canary.extremes import extremes
from orchestrator.scheduling.placement import CPU, Node, Pool
from orchestrator.search import planner
from orchestrator.search.planner import PlannedTrial

RECIPES = ("baseline", "selective", "progressive", "ensemble")


def trial(recipe: str = "baseline", dim: int = 32, accelerator: str = "any", seed: int = 1) -> PlannedTrial:
    model = {"vocab_size": 512, "num_layers": 1, "dim": dim, "num_heads": 2}
    config = tiny_recipe(recipe, model=model, seed=seed)
    return PlannedTrial(config=config, accelerator=accelerator, cpus=1.0, gpus=None, trial_id=config.trial_id)


def node(name: str, kind: str = CPU) -> Node:
    return Node(node_id=name, kind=kind, cpus=2, gpus=0 if kind == CPU else 1)


def test_each_kind_gets_both_ends_and_every_recipe() -> None:
    """Two kinds: the largest, the smallest and one config of each recipe on both, none twice."""
    trials = [trial(recipe, dim) for dim in (32, 64) for recipe in RECIPES]
    found = probes(trials, Pool([node("a", "H100"), node("b", "A40")]))
    assert len(found) == 8
    for name in "ab":
        here = [one for one in found if one.slot.node_id == name]
        sizes = [size_of(one.trial.config) for one in here]
        assert here[0].why == "largest" and sizes[0] == max(size_of(one.config) for one in trials)
        assert here[1].why == "smallest" and sizes[1] == min(size_of(one.config) for one in trials)
        assert {one.trial.config.recipe for one in here} == set(RECIPES)


def test_every_node_gets_one_and_what_asks_for_a_kind_stays_there() -> None:
    """Each of five nodes of a kind gets the smallest; a trial for an H100 goes to no A40."""
    nodes = [*(node(f"a{number}", "A40") for number in range(5)), node("h", "H100")]
    small, large = trial(dim=32), trial(dim=64, accelerator="H100")
    found = probes([small, large], Pool(nodes))
    assert {one.slot.node_id for one in found} == {one.node_id for one in nodes}
    assert [one.slot.node_id for one in found if one.trial == large] == ["h"]
    assert sum(one.trial == small for one in found) == 6


def test_nothing_is_tried_that_no_node_can_hold() -> None:
    """A node that no trial fits on gets none, and without trials there is nothing to try."""
    assert probes([trial(accelerator="H100")], Pool([node("a")])) == []
    assert probes([], Pool([node("a")])) == []


def test_replicates_are_one_config() -> None:
    """A single config with three seeds is tried once on a kind."""
    assert len(probes([trial(seed=seed) for seed in (1, 2, 3)], Pool([node("a")]))) == 1


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(RECIPES), st.sampled_from([32, 48, 64])), min_size=1), st.integers(1, 4))
def test_all_recipes_and_nodes_are_covered(kinds: list[tuple[str, int]], num_nodes: int) -> None:
    """Whatever waits: every node has a trial, every recipe is tried, and none is tried more often than it must be."""
    trials = [trial(recipe, dim) for recipe, dim in kinds]
    nodes = [node(str(number)) for number in range(num_nodes)]
    found = probes(trials, Pool(nodes))
    assert {one.slot.node_id for one in found} == {one.node_id for one in nodes}
    recipes = {recipe for recipe, _ in kinds}
    assert {one.trial.config.recipe for one in found} == recipes
    assert len(found) <= max(len(recipes) + 2, num_nodes)


def test_a_trial_of_learned_weights_is_larger_than_a_frozen_one() -> None:
    """Gradients and the optimizer's numbers count: of one shape, the one that learns all is the largest."""
    assert size_of(trial("baseline").config) > size_of(trial("selective").config)
    assert size_of(trial("ensemble").config) > size_of(trial("baseline").config)
    assert MAX_CONFIGS > 1


def test_a_climb_finds_the_ends_of_a_space(tmp_path: Path) -> None:
    """Of ranges, steps and cases: the largest config that keeps the limit in bytes, and the smallest."""
    space: dict[str, Any] = {
        "recipe": {"choice": ["selective", "baseline"]},
        "model.num_layers": {"range": [1, 6]},
        "model.dim": {"choice": [32, 64, 96]},
        "train.batch_sequences": {"steps": [4, 64, 4]},
        "optimizer.learning_rate": {"log_range": [1e-4, 1e-2]},
    }
    budget = {"trials": 50}
    sweep = tiny_sweep(tmp_path, space=space, budget=budget)
    small, large = extremes(sweep)
    assert (small.config.model.num_layers, small.config.model.dim, small.config.train.batch_sequences) == (1, 32, 4)
    assert (large.config.model.num_layers, large.config.model.dim, large.config.train.batch_sequences) == (6, 96, 64)
    assert (small.config.recipe, large.config.recipe) == ("selective", "baseline")
    drawn = [size_of(one.config) for one in planner.examples(sweep)]
    assert size_of(small.config) <= min(drawn) and size_of(large.config) >= max(drawn)
    limited = tiny_sweep(tmp_path, space=space, budget=budget, constraints=["artifact_bytes <= 60_000"])
    assert size_of(extremes(limited)[1].config) < size_of(large.config)
