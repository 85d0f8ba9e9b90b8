"""Dominance against its definition, closed forms, and the edges: NaN, ties, infinities, nothing."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.analysis.pareto import hypervolume, pareto_mask, pareto_rank

Direction = Literal["min", "max"]

VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, 0.5, math.inf, -math.inf, math.nan])
FINITE = st.integers(0, 6).map(float)


@st.composite
def problems(
    draw: st.DrawFn, values: st.SearchStrategy[float] = VALUES, columns: int = 3
) -> tuple[np.ndarray, list[Direction]]:
    k = draw(st.integers(1, columns))
    rows = draw(st.lists(st.lists(values, min_size=k, max_size=k), max_size=12))
    return np.array(rows, dtype=float).reshape(-1, k), draw(
        st.lists(st.sampled_from(["min", "max"]), min_size=k, max_size=k)
    )


def dominates(a: np.ndarray, b: np.ndarray, directions: list[Direction]) -> bool:
    better = [x < y if d == "min" else x > y for x, y, d in zip(a, b, directions, strict=True)]
    equal = [x == y for x, y in zip(a, b, strict=True)]
    return any(better) and all(x or y for x, y in zip(better, equal, strict=True))


def mask_by_definition(values: np.ndarray, directions: list[Direction]) -> list[bool]:
    return [
        not np.isnan(a).any() and not any(dominates(b, a, directions) for b in values if not np.isnan(b).any())
        for a in values
    ]


@given(problems())
def test_mask_is_the_definition(problem: tuple[np.ndarray, list[Direction]]) -> None:
    """A point is on the front exactly if it holds no NaN and no other point dominates it."""
    values, directions = problem
    assert pareto_mask(values, directions).tolist() == mask_by_definition(values, directions)


@given(problems())
def test_rank_is_peeling(problem: tuple[np.ndarray, list[Direction]]) -> None:
    """The rank counts how often the front is taken away before the point is on it; -1 with a NaN."""
    values, directions = problem
    expected = np.full(len(values), -1)
    left = np.flatnonzero(~np.isnan(values).any(axis=1))
    layer = 0
    while len(left):
        front = np.array(mask_by_definition(values[left], directions))
        expected[left[front]], left, layer = layer, left[~front], layer + 1
    ranks = pareto_rank(values, directions)
    assert ranks.tolist() == expected.tolist()
    assert ((ranks == 0) == pareto_mask(values, directions)).all()


@given(problems(), st.randoms())
def test_order_of_points_does_not_matter(problem: tuple[np.ndarray, list[Direction]], random: object) -> None:
    """Shuffling the points shuffles the front."""
    values, directions = problem
    order = np.random.default_rng(len(values)).permutation(len(values))
    assert (pareto_mask(values[order], directions) == pareto_mask(values, directions)[order]).all()


@given(problems(FINITE, columns=2))
def test_hypervolume_counts_cells(problem: tuple[np.ndarray, list[Direction]]) -> None:
    """On a grid of whole numbers the volume is the number of unit cells that a point dominates within the reference."""
    values, directions = problem
    signs = np.array([1 if direction == "min" else -1 for direction in directions])
    reference = np.where(signs > 0, 5, 1)
    costs, corner = values * signs, reference * signs
    low = -7
    cells = np.stack(np.meshgrid(*[np.arange(low, c) for c in corner], indexing="ij"), -1).reshape(-1, len(signs))
    covered = sum(any((cost <= cell).all() for cost in costs) for cell in cells)
    assert hypervolume(values, reference.tolist(), directions) == pytest.approx(covered)


def test_staircase_in_closed_form() -> None:
    """n steps (i, n-i) under the corner (n, n) leave 1 + 2 + … + (n-1) cells, all steps on the front."""
    n = 50
    steps = np.array([(i, n - i) for i in range(n)], dtype=float)
    assert pareto_mask(steps, ["min", "min"]).all()
    assert hypervolume(steps, [n, n], ["min", "min"]) == n * (n + 1) / 2 - n == sum(range(n))
    chain = np.array([(i, i) for i in range(n)], dtype=float)
    assert pareto_rank(chain, ["min", "min"]).tolist() == list(range(n))
    assert pareto_rank(chain, ["min", "max"]).tolist() == [0] * n


def test_duplicates_of_the_front_are_all_on_it() -> None:
    """Equal points do not dominate each other."""
    assert pareto_mask([[1, 2], [1, 2], [2, 2]], ["min", "min"]).tolist() == [True, True, False]


def test_nothing_is_no_error() -> None:
    """No points: an empty mask, no ranks, no volume; NaN alone the same."""
    assert pareto_mask(np.empty((0, 2)), ["min", "min"]).shape == (0,)
    assert pareto_rank(np.empty((0, 2)), ["min", "min"]).shape == (0,)
    assert hypervolume(np.empty((0, 2)), [1, 1], ["min", "min"]) == 0.0
    assert hypervolume([[math.nan, 0]], [1, 1], ["min", "min"]) == 0.0
    assert not pareto_mask([[math.nan, 0]], ["min", "min"]).any()


def test_infinitely_good_points() -> None:
    """A point at -inf within the box has infinite volume; at +inf it has none."""
    assert hypervolume([[-math.inf, 0.0]], [1, 1], ["min", "min"]) == math.inf
    assert hypervolume([[math.inf, 0.0], [0, 0]], [1, 1], ["min", "min"]) == 1.0
    assert hypervolume([[math.inf, 0.0]], [1, 1], ["max", "min"]) == math.inf


def test_wrong_requests_are_named() -> None:
    """Shapes that do not fit, a direction that is none, and a boundless box are refused with the value."""
    with pytest.raises(ValueError, match=r"shape \(n, 2\), but got \(3,\)"):
        pareto_mask([1, 2, 3], ["min", "min"])
    with pytest.raises(ValueError, match="got 'least'"):
        pareto_mask([[1.0]], ["least"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="`reference` must be finite"):
        hypervolume([[1.0]], [math.inf], ["min"])


def test_values_are_left_alone() -> None:
    """Turning the sign of a column happens on a copy."""
    values = np.array([[1.0, 2.0]])
    pareto_rank(values, ["max", "max"])
    assert values.tolist() == [[1.0, 2.0]]
