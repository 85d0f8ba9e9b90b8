"""Pareto dominance on arrays: front, ranks, hypervolume.

A row dominates another if it is at least as good in every column and better in one. Equal rows do not dominate each
other, so duplicates of a row on the front are all on the front. A row that holds a NaN has no place: it is never on the
front, has no rank, and dominates nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import moocore
import numpy as np
import numpy.typing as npt

Direction = Literal["min", "max"]
Array = npt.NDArray[np.float64]


def pareto_mask(
    values: npt.ArrayLike,  # (n, k)
    directions: Sequence[Direction],
) -> npt.NDArray[np.bool_]:
    """Which of n points no other point dominates; bool[n].

    Raises:
        ValueError: if the shape is not (n, k) or a direction is neither min nor max.
    """
    costs = _costs(values, directions)
    known = ~np.isnan(costs).any(axis=1)
    mask = np.zeros(len(costs), dtype=bool)
    if known.any():
        unique, where = _order_of(costs[known])
        front = moocore.is_nondominated(unique) if unique.shape[1] > 1 else unique[:, 0] == 0
        mask[known] = front[where]
    return mask


def pareto_rank(
    values: npt.ArrayLike,  # (n, k)
    directions: Sequence[Direction],
) -> npt.NDArray[np.int64]:
    """Layer of each point in non-dominated sorting: 0 is the front, 1 the front without layer 0, …; -1 with a NaN.

    Raises:
        ValueError: if the shape is not (n, k) or a direction is neither min nor max.
    """
    costs = _costs(values, directions)
    known = ~np.isnan(costs).any(axis=1)
    ranks = np.full(len(costs), -1, dtype=np.int64)
    if known.any():
        unique, where = _order_of(costs[known])
        ranks[known] = (moocore.pareto_rank(unique) if unique.shape[1] > 1 else unique[:, 0])[where]
    return ranks


def hypervolume(
    values: npt.ArrayLike,  # (n, k)
    reference: Sequence[float],  # (k,)
    directions: Sequence[Direction],
) -> float:
    """Volume that the points dominate within the box that ends at `reference`.

    Points not better than the reference in every column add nothing; one infinitely good in a column makes it inf.

    Raises:
        ValueError: if shapes do not fit or the reference is not finite.
    """
    costs = _costs(values, directions)
    corner = _costs(np.asarray([reference], dtype=np.float64), directions)[0]
    if not np.isfinite(corner).all():
        raise ValueError(f"`reference` must be finite, but got {list(reference)}")
    inside = costs[(costs < corner).all(axis=1)]  # False for NaN
    if not len(inside):
        return 0.0
    return math.inf if np.isinf(inside).any() else float(moocore.hypervolume(inside, ref=corner))


def _order_of(costs: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """The distinct rows, each value replaced by its place in its column, and which of them each row is.

    Dominance needs the order alone, and moocore 0.3.2 crashes or errs where three or more columns hold infinities.
    """
    places = np.stack([np.unique(column, return_inverse=True)[1] for column in costs.T], axis=1)
    unique, where = np.unique(places, axis=0, return_inverse=True)
    return unique.astype(np.float64), where.reshape(-1)


def _costs(values: npt.ArrayLike, directions: Sequence[Direction]) -> Array:
    """Checked values as float64[n, k] with the sign turned where more is better."""
    costs: npt.NDArray[Any] = np.array(values, dtype=np.float64)
    wrong = [direction for direction in directions if direction not in ("min", "max")]
    if wrong:
        raise ValueError(f"a direction must be min or max, but got {wrong[0]!r}")
    if not directions or costs.ndim != 2 or costs.shape[1] != len(directions):
        raise ValueError(f"`values` must have shape (n, {len(directions)}), but got {costs.shape}")
    return costs * np.where(np.array(directions) == "max", -1.0, 1.0)
