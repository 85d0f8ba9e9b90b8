"""Method ehvi: its acquisition in closed form, its models, and what it chooses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_world import SPACE, load, with_method

from orchestrator.search.methods.encoding import Encoding
from orchestrator.search.methods.expected_hypervolume import expected_hypervolume_improvement, expected_improvement
from orchestrator.search.methods.regression import Kriging, LogLinear
from results.analysis.pareto import hypervolume
from search_spaces.configs.valid_configs import Candidate, candidates

NUMBER = st.floats(min_value=0.05, max_value=0.95)
POINTS = st.lists(st.tuples(NUMBER, NUMBER), max_size=6)


@settings(max_examples=40)
@given(front=POINTS, size=NUMBER, mean=NUMBER, std=st.floats(min_value=0.01, max_value=0.5))
def test_the_closed_form_is_the_mean_of_hypervolumes(
    front: list[tuple[float, float]], size: float, mean: float, std: float
) -> None:
    """It equals the mean gain over many draws of the score, each computed with the hypervolume of a library."""
    fronts = np.array(front).reshape(-1, 2)
    found = expected_hypervolume_improvement(
        np.array([size]), np.array([mean]), np.array([std]),
        front_size=fronts[:, 0], front_score=fronts[:, 1], reference=(1.0, 1.0),
    )[0]  # fmt: skip
    directions = ("min", "min")
    before = hypervolume(fronts, (1.0, 1.0), directions) if front else 0.0
    # the middles of 400 parts of equal probability
    scores = mean + std * np.array([_normal_quantile((index + 0.5) / 400) for index in range(400)])
    after = [hypervolume([*front, (size, score)], (1.0, 1.0), directions) for score in scores]
    assert found == pytest.approx(np.mean(after) - before, abs=0.004 * (1 + std))


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def test_what_is_certain_improves_by_the_area() -> None:
    """With next to no spread the gain is the area between the point and the front, and 0 behind it."""
    front = {"front_size": np.array([0.2, 0.6]), "front_score": np.array([0.8, 0.4]), "reference": (1.0, 1.0)}
    gains = expected_hypervolume_improvement(
        np.array([0.4, 0.7, 0.1]), np.array([0.5, 0.5, 0.9]), np.full(3, 1e-9), **front
    )
    assert gains == pytest.approx([0.2 * 0.3, 0.0, 0.1 * 0.1])


def test_expected_improvement_of_a_tie() -> None:
    """At the best value itself it is std / sqrt(2 pi)."""
    assert expected_improvement(1.0, 0.3, 1.0) == pytest.approx(0.3 / math.sqrt(2 * math.pi))


def test_the_process_finds_what_matters_and_the_noise() -> None:
    """Of ten columns one matters: it predicts within the noise after 60 rows, and does not take noise for signal."""
    rng = np.random.default_rng(3)
    rows = rng.random((60, 10))
    noise = 0.05
    process = Kriging(rows, np.sin(4 * rows[:, 2]) + noise * rng.normal(size=60))
    new = rng.random((200, 10))
    mean, std = process.predict(new)
    error = mean - np.sin(4 * new[:, 2])
    assert np.sqrt((error**2).mean()) < noise
    assert np.abs(error / std).mean() < 2.0 and (std < 4 * noise).all()


def test_rows_that_are_equal_do_not_break_it() -> None:
    """Constant columns, equal rows and equal values give finite predictions."""
    mean, std = Kriging(np.ones((6, 3)), np.full(6, 2.5)).predict(np.zeros((2, 3)))
    assert mean == pytest.approx([2.5, 2.5]) and np.isfinite(std).all()


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_logarithms_are_learned_from_any_number_of_rows(count: int) -> None:
    """Without a row the ratio is 1; with some it is theirs."""
    rows = np.random.default_rng(1).random((count, 4))
    mean, std = LogLinear(rows, np.full(count, 0.9)).predict(np.zeros((2, 4)))
    assert mean == pytest.approx([math.log(0.9) if count else 0.0] * 2) and (std > 0).all()


def test_every_config_of_a_space_has_a_row_of_its_own(tmp_path: Path) -> None:
    """Rows have one length and are finite, and configs that differ have different rows."""
    spec = load(tmp_path, with_method("random", budget={"trials": 60}))
    found: list[Candidate] = list(candidates_of(spec))
    rows = Encoding(spec).rows(found)
    assert rows.shape[0] == 60 and np.isfinite(rows).all()
    assert len(np.unique(rows, axis=0)) == 60
    assert np.abs(rows).max() <= 2.5


def candidates_of(spec):  # type: ignore[no-untyped-def]
    from itertools import islice

    return islice(candidates(spec), 60)


def test_a_parameter_of_two_cases_has_one_column(tmp_path: Path) -> None:
    """The rank of two recipes is one number; where a recipe has none it is put in the middle."""
    cases = [
        {"when": {"recipe": recipe}, "space": {"optimizer.weight_decay": {"range": bounds}}}
        for recipe, bounds in (("baseline", [0, 0.5]), ("selective", [0.5, 1.0]))
    ]
    space = {"recipe": SPACE["space"]["recipe"]}
    spec = load(tmp_path, with_method("random", space=space, cases=cases, budget={"trials": 30}))
    chosen = list(candidates_of(spec))
    columns = Encoding(spec).rows(chosen)[:, 3]
    for candidate, number in zip(chosen, columns, strict=True):
        decay = candidate.config.optimizer.weight_decay
        assert number == pytest.approx(0.5 if candidate.config.recipe == "full_adapter" else decay)
