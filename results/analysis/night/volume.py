"""Hypervolume in any objectives: sizes by their logarithm, and less is better in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from results.analysis.objectives import Direction
from results.analysis.pareto import hypervolume
from results.analysis.replicate_groups import Group

Floats = npt.NDArray[np.float64]
_UNITS = {"ce": "nats", "bpb": "bits/byte", "artifact_bytes": "ln bytes", "total_bytes": "ln bytes"}


def values_of(groups: Sequence[Group], goals: Mapping[str, Direction]) -> Floats:
    """The objectives of groups that have all of them. Shape (groups, objectives)."""
    found = [[float(group.values[goal] or 0.0) for goal in goals] for group in groups]
    return np.array(found, dtype=np.float64).reshape(len(groups), len(goals))


def costs_of(values: Floats, goals: Mapping[str, Direction]) -> Floats:
    """Values where less is better; bytes as their natural logarithm: a halving counts 0.69. Shape as `values`."""
    columns = []
    for column, (goal, direction) in zip(values.T, goals.items(), strict=True):
        cost = np.log(np.maximum(column, 1.0)) if goal.endswith("_bytes") else column
        columns.append(-cost if direction == "max" else cost)
    return np.column_stack(columns)


def unit_of(goals: Mapping[str, Direction]) -> str:
    """`nats × ln bytes`."""
    names = (_UNITS.get(goal, f"ln {goal}" if goal.endswith("_bytes") else goal) for goal in goals)
    return " × ".join(names)


def reference_of(values: Floats, costs: Floats, goals: Mapping[str, Direction]) -> dict[str, float]:
    """The worst value of each objective."""
    return {goal: float(values[costs[:, j].argmax(), j]) for j, goal in enumerate(goals)}


def volume_of(costs: Floats, worst: Floats) -> float:
    """What costs dominate up to the worst, which is a corner; with one objective, the way from there to the best."""
    if not len(costs):
        return 0.0
    if costs.shape[1] == 1:
        return float(max(0.0, worst[0] - costs.min()))
    return hypervolume(costs, worst.tolist(), ["min"] * costs.shape[1])
