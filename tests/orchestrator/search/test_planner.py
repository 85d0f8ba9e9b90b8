"""The plan of a sweep: which trials, in which order, and that it is a pure function of what the file says."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.search.planner import PlannedTrial, iterate, note_on_budget, plan
from search_spaces.configs.draws import draw
from search_spaces.spec import yaml_document
from search_spaces.spec.load import load_sweep
from search_spaces.spec.nested import get
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sweep_spec import Parameter, SweepSpec
from trainer.config.trial import TrialConfig


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """A function that makes a spec of plain values, by way of a file."""

    def of(values: dict[str, Any]) -> SweepSpec:
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml_document.dump(values), encoding="utf-8")
        return load_sweep(path)

    return of


def ids(trials: list[PlannedTrial]) -> list[str]:
    return [trial.trial_id for trial in trials]


RANDOM = {
    "search": {"method": "random", "seed": 3},
    "budget": {"trials": 60},
    "seeds": [1, 2],
    "base": {"model": {"num_heads": 4, "dim": 64}},
    "space": {
        "model.dim": {"steps": [32, 128, 4]},
        "model.num_heads": {"choice": [2, 4]},
        "optimizer.learning_rate": {"log_range": [1e-4, 1e-2]},
        "model.dropout": {"range": [0, 0.3]},
        "train.steps": {"range": [10, 20]},
        "train.batch_sequences": {"log_range": [1, 64]},
        "recipe": {"grid": ["baseline", "selective"]},
    },
    "cases": [{"when": {"recipe": "selective"}, "space": {"freeze.scheme": {"choice": ["normal", "orthogonal"]}}}],
}


def test_a_grid_is_the_product(load: Any) -> None:
    """Every combination once, seeds inside configs, the last key changing fastest."""
    steps, dims, seeds = [10, 20, 30], [64, 96], [4, 2]
    spec = load(
        {
            "base": {"model": {"num_heads": 2}},
            "space": {"train.steps": {"grid": steps}, "model.dim": {"choice": dims}},
            "seeds": seeds,
        }
    )
    found = [(trial.config.model.dim, trial.config.train.steps, trial.config.seed) for trial in plan(spec)]
    assert found == list(itertools.product(dims, steps, seeds))


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    num_seeds=st.integers(1, 3),
    budget=st.integers(1, 200),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_size_of_a_grid(load: Any, sizes: list[int], num_seeds: int, budget: int) -> None:
    """A plan has as many trials as the product, or the budget if that is less, all different."""
    keys = ["train.steps", "schedule.warmup_steps", "train.eval_every_steps", "optimizer.momentum_warmup_steps"]
    space = {key: {"grid": list(range(1, size + 1))} for key, size in zip(keys, sizes, strict=False)}
    trials = plan(load({"space": space, "seeds": num_seeds, "budget": {"trials": budget}}))
    assert len(trials) == len(set(ids(trials))) == min(budget, math.prod(sizes) * num_seeds)


@given(order=st.permutations(list(RANDOM["space"])), method=st.sampled_from(["grid", "random"]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_keys_makes_no_difference(load: Any, order: list[str], method: str) -> None:
    """A file with its keys in another order has the same plan, in the same order."""
    space: dict[str, Any] = RANDOM["space"]
    if method == "grid":
        space = {key: parameter for key, parameter in space.items() if key in ("model.num_heads", "recipe")}
        space["train.steps"] = {"grid": [1, 2]}
        values = {**RANDOM, "search": {"method": "grid"}, "space": space}
    else:
        values = RANDOM
    shuffled = {key: space[key] for key in [*order, "train.steps"] if key in space}
    assert ids(plan(load({**values, "space": shuffled}))) == ids(plan(load(values)))


@given(smaller=st.integers(1, 59))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_larger_budget_begins_with_the_smaller_plan(load: Any, smaller: int) -> None:
    """Raising the budget of a sweep adds trials and changes none."""
    assert ids(plan(load({**RANDOM, "budget": {"trials": smaller}}))) == ids(plan(load(RANDOM)))[:smaller]


def test_another_seed_draws_others(load: Any) -> None:
    """The search's seed is used: two seeds share no config of a continuous space."""
    one, other = plan(load(RANDOM)), plan(load({**RANDOM, "search": {"method": "random", "seed": 4}}))
    assert not set(ids(one)) & set(ids(other))


def test_draws_are_within_their_bounds(load: Any) -> None:
    """Every drawn value lies in its range, whole numbers stay whole, and every trial is a valid config."""
    trials = plan(load({**RANDOM, "budget": {"trials": 400}}))
    assert len(trials) == len(set(ids(trials))) == 400
    for trial in trials:
        config = trial.config
        assert 1e-4 <= config.optimizer.learning_rate <= 1e-2
        assert 0 <= config.model.dropout <= 0.3
        assert 10 <= config.train.steps <= 20 and 1 <= config.train.batch_sequences <= 64
        assert config.model.dim in range(32, 129, 4) and config.model.dim % config.model.num_heads == 0
        assert TrialConfig.model_validate(config.model_dump()) == config


def test_grid_arms_are_compared_on_equal_draws(load: Any) -> None:
    """In a random search each draw is crossed with the grid: a control and its variant share all that is drawn."""
    trials = plan(load(RANDOM))
    for arms in zip(trials[0::4], trials[2::4], strict=True):
        control, variant = (arm.config.model_dump(exclude={"recipe", "freeze"}) for arm in arms)
        assert [arm.config.recipe for arm in arms] == ["baseline", "selective"]
        assert control == variant


def test_adding_a_key_leaves_other_draws_alone(load: Any) -> None:
    """A draw depends on its own key: a new parameter changes no value of the others."""
    few = {**RANDOM, "cases": [], "space": {"train.steps": {"range": [1, 10**7]}}}
    more = {**few, "space": {**few["space"], "eval.tokens": {"range": [10, 10**9]}}}
    steps = [[trial.config.train.steps for trial in plan(load(values))] for values in (few, more)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("key", "kind", "values", "expected"),
    [
        ("train.steps", "range", (1, 1000), [9, 654, 417]),
        ("train.steps", "log_range", (1, 1000), [51, 23, 5]),
        ("optimizer.learning_rate", "log_range", (1e-4, 1e-2), [0.00063573, 0.00676596, 0.000244546]),
        ("recipe", "choice", ("baseline", "selective"), ["baseline", "baseline", "selective"]),
    ],
)
def test_draws_never_change(key: str, kind: Any, values: tuple[Any, ...], expected: list[Any]) -> None:
    """The draws of a seed are pinned: a sweep resumed with a later version goes on with the same trials."""
    assert [draw(Parameter(key, kind, values), 0, number)[1] for number in range(3)] == expected


def test_draws_are_spread_evenly() -> None:
    """Whole numbers are uniform ends included; log-ranges have equal shares of equal ratios."""
    whole = Counter(draw(Parameter("train.steps", "range", (1, 4)), 0, number)[1] for number in range(8000))
    assert set(whole) == {1, 2, 3, 4} and all(abs(count - 2000) < 200 for count in whole.values())
    log = [draw(Parameter("optimizer.epsilon", "log_range", (1e-9, 1e-3)), 0, number)[1] for number in range(8000)]
    assert abs(sum(value < 1e-6 for value in log) - 4000) < 250
    few = Counter(draw(Parameter("train.steps", "log_range", (1, 2)), 0, number)[1] for number in range(8000))
    assert abs(few[1] / 8000 - math.log(3) / math.log(5)) < 0.03


@given(low=st.integers(1, 2**62), span=st.integers(1, 2**62), number=st.integers(0, 10**6), log=st.booleans())
@settings(max_examples=60)
def test_draws_of_huge_whole_numbers(low: int, span: int, number: int, log: bool) -> None:
    """Bounds hold for numbers that no float can tell apart."""
    _, value = draw(Parameter("train.steps", "log_range" if log else "range", (low, low + span)), 1, number)
    assert type(value) is int and low <= value <= low + span


@given(
    low=st.floats(-1e308, 1e308, allow_nan=False),
    high=st.floats(-1e308, 1e308, allow_nan=False),
    number=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_draws_of_any_fractions(low: float, high: float, number: int) -> None:
    """Bounds hold for any finite ends, however far apart or near."""
    low, high = min(low, high), max(low, high)
    _, value = draw(Parameter("model.dropout", "range", (low, high)), 1, number)
    assert low <= value <= high


def test_whole_bounds_in_a_place_for_fractions(load: Any) -> None:
    """`dropout: {range: [0, 1]}` has fractions: the place decides what a range draws, not how its ends are written."""
    values = {**RANDOM, "space": {"train.clip_norm": {"range": [0, 2]}}, "cases": []}
    drawn = {trial.config.train.clip_norm for trial in plan(load(values))}
    assert len(drawn) == 30 and any(value != int(value) for value in drawn)


def test_steps_are_exact_decimals(load: Any) -> None:
    """Steps of 0.1 are 0.1, 0.2, 0.3, and may go down; whole steps stay whole."""
    spec = load({"space": {"model.dropout": {"steps": [0.1, 0.5, 0.1]}, "train.steps": {"steps": [30, 10, -10]}}})
    assert {trial.config.model.dropout for trial in plan(spec)} == {0.1, 0.2, 0.3, 0.4, 0.5}
    assert [trial.config.train.steps for trial in plan(spec)][:3] == [30, 20, 10]


def test_a_base_may_serve_several_recipes(load: Any) -> None:
    """What a recipe does not read is no part of its trials: its parameters do not multiply the others' trials."""
    spec = load(
        {
            "base": {"freeze": {"layers": "0"}},
            "space": {
                "recipe": {"choice": ["baseline", "selective"]},
                "freeze.scheme": {"grid": ["normal", "uniform", "orthogonal"]},
                "train.steps": {"grid": [5, 6]},
            },
        }
    )
    assert Counter(trial.config.recipe for trial in plan(spec)) == {"baseline": 2, "selective": 6}
    assert all(trial.config.freeze is None for trial in plan(spec) if trial.config.recipe == "baseline")
    assert [trial.config.recipe for trial in plan(spec)][:4] == ["baseline"] + ["selective"] * 3


def test_unused_parameters_of_a_huge_grid_cost_nothing(load: Any) -> None:
    """A baseline among 10^8 freezes is one trial, found without visiting them."""
    freeze = {"freeze.seed": {"steps": [0, 9999, 1]}, "freeze.layers": {"grid": ["all", "0", "1"]}}
    spec = load({"space": {"recipe": {"grid": ["baseline"]}, **freeze}, "budget": {"trials": 10}})
    assert len(plan(spec)) == 1


def test_cases(load: Any) -> None:
    """Parameters of a case exist only in trials where it holds; a case may rest on another."""
    spec = load(
        {
            "space": {"recipe": {"grid": ["baseline", "selective"]}},
            "cases": [
                {"when": {"recipe": "selective"}, "space": {"freeze.scheme": {"grid": ["normal", "orthogonal"]}}},
                {"when": {"freeze.scheme": "orthogonal"}, "space": {"train.steps": {"grid": [7, 8]}}},
                {"when": {"recipe": "baseline"}, "space": {"train.steps": {"grid": [9]}}},
            ],
        }
    )
    found = [
        (trial.config.recipe, trial.config.freeze and trial.config.freeze.scheme, trial.config.train.steps)
        for trial in plan(spec)
    ]
    assert found == [
        ("baseline", None, 9),
        ("selective", "normal", 3000),
        ("selective", "orthogonal", 7),
        ("selective", "orthogonal", 8),
    ]


def test_a_case_on_what_the_recipe_does_not_read_never_holds(load: Any) -> None:
    """A base's freeze settings belong to selective trials, and so do the cases that rest on them."""
    spec = load(
        {
            "base": {"freeze": {"scheme": "normal"}},
            "space": {"recipe": {"grid": ["baseline", "selective"]}},
            "cases": [{"when": {"freeze.scheme": "normal"}, "space": {"train.steps": {"grid": [7, 8]}}}],
        }
    )
    assert Counter((trial.config.recipe, trial.config.train.steps) for trial in plan(spec)) == {
        ("baseline", 3000): 1,
        ("selective", 7): 1,
        ("selective", 8): 1,
    }


def test_a_choice_of_mappings_is_merged(load: Any) -> None:
    """A chosen mapping changes the keys it names and leaves the rest of the section as the base has it."""
    spec = load(
        {
            "base": {"model": {"num_heads": 4, "dim": 32, "dropout": 0.1}},
            "space": {"model": {"choice": [{"dim": 64}, {"num_layers": 2}]}, "model.mlp_ratio": {"grid": [3.0]}},
        }
    )
    models = [trial.config.model for trial in plan(spec)]
    assert [(m.dim, m.num_layers, m.num_heads, m.dropout, m.mlp_ratio) for m in models] == [
        (64, 6, 4, 0.1, 3.0),
        (32, 2, 4, 0.1, 3.0),
    ]


def test_equal_configs_are_planned_once(load: Any) -> None:
    """Two ways of writing one config are one trial."""
    spec = load({"space": {"model": {"choice": [{"dim": 192}, {"num_layers": 6}, {}]}}})
    assert len(plan(spec)) == 1


def test_a_small_space_ends_a_random_search(load: Any) -> None:
    """A budget larger than the space is no endless loop: all there is, once."""
    values = {**RANDOM, "space": {"train.steps": {"choice": [1, 2, 3]}}, "cases": [], "seeds": [1]}
    assert {trial.config.train.steps for trial in plan(load(values))} == {1, 2, 3}
    assert len(plan(load(values))) == 3
    assert len(plan(load({**values, "space": {"train.steps": {"grid": [1, 2]}}}))) == 2


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"budget": {"trials": 4}}, "the space holds 12 trials; budget.trials cuts it to 4"),
        ({"budget": {"trials": 12}}, None),
        ({"budget": {"trials": 20}}, "the space holds 12 different trials; the budget would allow 20"),
        ({}, None),
        ({"budget": {"trials": 4}, "search": {"method": "random"}}, None),
        (
            {"budget": {"trials": 9}, "space": {"train.steps": {"steps": [1, 5_000, 1]}}, "cases": []},
            "the space holds at least 1,000 trials; budget.trials cuts it to 9",
        ),
    ],
)
def test_a_budget_that_cuts_a_grid_is_told(load: Any, changes: dict[str, Any], note: str | None) -> None:
    """What a budget leaves out is counted without what repeats and cases that do not hold; draws leave nothing out."""
    space = {"recipe": {"choice": ["baseline", "selective"]}, "train.steps": {"choice": [1, 2]}}
    cases = [{"when": {"recipe": "selective"}, "space": {"freeze": {"choice": [{}, {"seed": 5}, {"layers": "all"}]}}}]
    grid = {"search": {"method": "grid"}, "space": space, "cases": cases, "seeds": [1, 2]}
    spec = load({**grid, **changes})
    assert note_on_budget(spec, len(plan(spec))) == note


def test_draws_that_break_a_rule_are_drawn_again(load: Any) -> None:
    """Where a few draws in a hundred are valid, the plan is full; where none is, the error names the rule."""
    few = {**RANDOM, "base": {"model": {"num_heads": 64}}, "cases": []}
    few["space"] = {"model.dim": {"range": [128, 20000 // 4]}, "model.rope_dims": {"choice": [2]}}
    trials = plan(load({**few, "budget": {"trials": 6}}))
    assert len(trials) == 6 and all(trial.config.model.dim % 128 == 0 for trial in trials)
    none = {**few, "space": {"model.dim": {"range": [65, 127]}}}
    with pytest.raises(SpecError, match=r"dim: must be divisible by num_heads(.|\n)*1,000 draws in a row break a rule"):
        load(none)


def test_a_wrong_combination_beyond_those_checked_is_told_by_the_plan(load: Any) -> None:
    """A grid too large to check at load still ends in a clear error, before anything runs."""
    space = {"model.dim": {"grid": [192, 100]}, "train.steps": {"steps": [1, 3000, 1]}}
    spec = load({"space": space})
    with pytest.raises(SpecError, match=r"space.model.dim: must be divisible by num_heads, but got 100 and 6"):
        plan(spec)


def test_plans_are_lazy(load: Any) -> None:
    """The first trials of an immense plan come at once."""
    space = {key: {"steps": [1, 1000, 1]} for key in ("train.steps", "schedule.warmup_steps", "eval.batch_sequences")}
    spec = load({"space": space, "budget": {"trials": 1_000_000}})
    assert len(list(itertools.islice(iterate(spec), 5))) == 5


@pytest.mark.parametrize(
    ("resources", "base", "wanted"),
    [
        ({}, {}, ("any", 1.0, None)),
        ({}, {"num_threads": 3}, ("any", 3.0, None)),
        ({"cpus": 0.5}, {}, ("any", 0.5, None)),
        ({"accelerator": "CPU"}, {}, ("CPU", 1.0, 0.0)),
        ({"accelerator": "H100"}, {}, ("H100", 1.0, 1.0)),
        ({"accelerator": "A40", "gpus": 0.25}, {}, ("A40", 1.0, 0.25)),
        ({"accelerator": "My-GPU_2"}, {}, ("My-GPU_2", 1.0, 1.0)),
        ({}, {"device": "cpu"}, ("any", 1.0, 0.0)),
        ({}, {"device": "cuda"}, ("any", 1.0, 1.0)),
        ({"accelerator": "H100"}, {"device": "cpu"}, ("H100", 1.0, 1.0)),
    ],
)
def test_resources(load: Any, resources: dict[str, Any], base: dict[str, Any], wanted: tuple[Any, ...]) -> None:
    """What a trial is given follows from the resources, its threads and its device."""
    [trial] = plan(load({"resources": resources, "base": base}))
    assert (trial.accelerator, trial.cpus, trial.gpus) == wanted
    assert trial.trial_id == trial.config.trial_id


def test_searched_resources(load: Any) -> None:
    """One config on two kinds is two trials, told apart by their ids; with a fixed kind the id is the config's."""
    spec = load({"space": {"resources.accelerator": {"choice": ["H100", "A40"]}, "resources.gpus": {"grid": [0.5, 1]}}})
    trials = plan(spec)
    assert len({trial.config for trial in map(_hashable, trials)}) == 1
    assert sorted(trial.trial_id.removeprefix(trial.config.trial_id) for trial in trials) == [
        "-A40-0.5gpu",
        "-A40-1gpu",
        "-H100-0.5gpu",
        "-H100-1gpu",
    ]


def test_trials_are_named_for_file_systems(load: Any) -> None:
    """A trial's id is a folder's name on any file system."""
    for trial in plan(load(RANDOM)):
        assert set(trial.trial_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
        assert len(trial.trial_id) < 100


def test_get() -> None:
    """Nested values by dotted key, the default where there is none."""
    assert get({"a": {"b": 1}}, "a.b") == 1
    assert get({"a": 1}, "a.b", "none") == "none"


def _hashable(trial: PlannedTrial) -> Any:
    return type("Named", (), {"config": trial.config.config_id})
