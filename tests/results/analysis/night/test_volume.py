"""Hypervolumes in any objectives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from results.analysis.night.volume import costs_of, reference_of, unit_of, volume_of
from results.analysis.objectives import Direction


def test_bytes_by_their_logarithm_and_more_is_better_turned() -> None:
    """A halving of bytes counts 0.69; the worst speed is the smallest."""
    goals: dict[str, Direction] = {"bpb": "min", "artifact_bytes": "min", "tokens_per_s": "max"}
    values = np.array([[1.0, 100.0, 50.0], [2.0, 200.0, 20.0]])
    costs = costs_of(values, goals)
    assert costs[1] - costs[0] == pytest.approx([1.0, math.log(2), 30.0])
    assert reference_of(values, costs, goals) == {"bpb": 2.0, "artifact_bytes": 200.0, "tokens_per_s": 20.0}
    assert unit_of(goals) == "bits/byte × ln bytes × tokens_per_s"
    assert volume_of(costs, costs.max(axis=0)) == pytest.approx(math.log(2) * 30)


def test_nothing_has_no_volume() -> None:
    """Nor has what is worse than the corner."""
    assert volume_of(np.zeros((0, 2)), np.ones(2)) == 0.0
    assert volume_of(np.array([[5.0]]), np.array([3.0])) == 0.0
