"""Estimates of replicates against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from results.analysis.statistics import estimate, t_quantile_95


def test_quantiles_are_students() -> None:
    """The 95 % quantile of Student's t is scipy's to 1e-6 for every number of degrees, and falls towards 1.96."""
    degrees = [*range(1, 200), 1000, 10**6]
    ours = [t_quantile_95(d) for d in degrees]
    np.testing.assert_allclose(ours, reference.t.ppf(0.975, degrees), atol=1e-6)
    assert ours == sorted(ours, reverse=True)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12), st.randoms())
def test_interval_is_scipys(values: list[float], random: object) -> None:
    """Mean, deviation and half width are those of the one-sample t interval, and no order of values changes a bit."""
    found = estimate(values)
    assert found is not None and found.half_width is not None
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert found.std == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    half = reference.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    assert found.half_width == pytest.approx(half, rel=1e-5, abs=1e-8)
    assert estimate(values[::-1]) == found == estimate(sorted(values))


def test_one_value_has_no_spread() -> None:
    """One replicate gives a mean and no interval; none gives nothing."""
    found = estimate([3.0])
    assert found is not None and (found.mean, found.num, found.std, found.half_width) == (3.0, 1, None, None)
    assert estimate([]) is None
