"""Loss curves for the page's script: a sample of trials, and the band that most trials keep in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from results.page.page_info import PageInfo
from results.page.payload.columns import codes16, rounded
from results.page.states import FRONT, STOPPED

MAX_CURVES = 300
_MAX_FRONT = 100
_MAX_STOPPED = 100
_MAX_POINTS = 100
_MAX_BAND = 64


def curves_data(page: PageInfo, most: int = MAX_CURVES) -> dict[str, Any] | None:
    """At most so many curves; None where no trial has one.

    `steps` and `values` are 16-bit codes from 0 to `max_step` and from `low` to `high`, one curve after the other, each
    `lengths` points long. `band`: steps, and the loss that 10 %, 50 % and 90 % of the trials at that step are below.
    """
    points = _points(page)
    metric = _metric(points)
    points = points[np.isfinite(points[metric].to_numpy(dtype=float))]
    if points.empty:
        return None
    rows = points["row"].to_numpy()
    ends = np.flatnonzero(np.diff(rows, append=-1)) + 1
    starts = np.concatenate([[0], ends[:-1]])
    having = rows[starts]
    chosen = np.isin(having, choose_curves(page.configs.state_of_row, [row["ce"] for row in page.rows], having, most))
    picked = [thinned(start, end) for start, end in zip(starts[chosen], ends[chosen], strict=True)]
    steps, values = points["step"].to_numpy(dtype=float), points[metric].to_numpy(dtype=float)
    shown = np.concatenate(picked)
    low, high, last = float(values[shown].min()), float(values[shown].max()), float(steps.max())
    return {
        "metric": metric,
        "num_all": len(starts),
        "rows": [int(row) for row in having[chosen]],
        "lengths": [len(one) for one in picked],
        "max_step": last,
        "low": low,
        "high": high,
        "steps": codes16(steps[shown], 0.0, last),
        "values": codes16(values[shown], low, high),
        "band": band(steps, values),
    }


def _points(page: PageInfo) -> pd.DataFrame:
    """All points with the index of their trial, in its order; one run's trial is never taken for another's."""
    parts, first = [], 0
    for part in page.parts:
        trials, curves = part.trials, part.curves
        order = {name: first + index for index, name in enumerate(trials["trial_id"].astype(str))}
        names = curves["trial_id"].astype("category")
        rows = np.array([order.get(str(name), -1) for name in names.cat.categories], dtype=int)
        found = rows[names.cat.codes.to_numpy()] if len(rows) else np.empty(0, dtype=int)
        parts.append(curves[["step", "val_ce", "train_ce"]].assign(row=found))
        first += len(trials)
    points = pd.concat(parts)
    return points[points["row"] >= 0].sort_values(["row", "step"], kind="stable")


def _metric(points: pd.DataFrame) -> str:
    """Validation loss where most curves have at least two points of it, else training loss."""
    if points.empty:
        return "train_ce"
    counts = points["val_ce"].notna().groupby(points["row"]).sum()
    return "val_ce" if float(counts.median()) >= 2 else "train_ce"


def choose_curves(
    states: Sequence[int], ce: Sequence[float | None], having: Sequence[int] | np.ndarray, most: int
) -> list[int]:
    """Trials to draw: those on the front, some that were stopped early, and the rest evenly from the best on.

    The same for the same tables: nothing is drawn at random.
    """
    order = sorted(map(int, having), key=lambda row: (np.inf if ce[row] is None else ce[row], row))
    if len(order) <= most:
        return order
    front = [row for row in order if states[row] == FRONT][:_MAX_FRONT]
    stopped = evenly([row for row in order if states[row] == STOPPED], min(_MAX_STOPPED, most // 3))
    rest = [row for row in order if states[row] not in (FRONT, STOPPED)]
    return [*front, *stopped, *evenly(rest, most - len(front) - len(stopped))][:most]


def evenly(items: Sequence[int], most: int) -> list[int]:
    """At most so many, evenly over the sequence, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, most - 1))] for i in range(most)]


def thinned(start: int, end: int, most: int = _MAX_POINTS) -> np.ndarray:
    """At most so many indices from `start` to `end` - 1, evenly, with the first and the last."""
    return np.unique(np.round(np.linspace(start, end - 1, min(most, end - start))).astype(int))


def band(steps: np.ndarray, values: np.ndarray) -> list[list[Any]]:
    """`[step, 10 %, 50 %, 90 %]` of all values at each of at most 64 steps; steps between are counted to the next."""
    known = np.unique(steps)
    grid = known[np.asarray(evenly(range(len(known)), _MAX_BAND))]
    places = np.searchsorted(grid, steps)
    order = np.argsort(places, kind="stable")
    cuts = np.searchsorted(places[order], np.arange(len(grid) + 1))
    sorted_values = values[order]
    found = []
    for index, step in enumerate(grid):
        inside = sorted_values[cuts[index] : cuts[index + 1]]
        if len(inside) > 1:
            found.append([rounded(step), *(rounded(float(one), 5) for one in np.quantile(inside, (0.1, 0.5, 0.9)))])
    return found
