"""A prediction is corrected by what was measured: little at first, then by the measurements alone."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.estimates.log_ratio import MANY, Doubt, LogRatio

DOUBT = Doubt(sigma=0.7, scatter=0.2)


def seen(values: list[float], doubt: Doubt = DOUBT) -> LogRatio:
    ratio = LogRatio()
    for value in values:
        ratio = ratio.with_one(value, doubt)
    return ratio


def test_before_any_value_the_prediction_stands() -> None:
    """With the doubt that it came with."""
    known = LogRatio().posterior(DOUBT)
    assert (known.mean, known.mean_sigma, known.scatter) == pytest.approx((0.0, 0.7, 0.2))
    assert known.sigma == pytest.approx(math.hypot(0.7, 0.2))


def test_the_mean_is_the_conjugate_posterior() -> None:
    """One value of 0.3: its precision 1 / 0.2² against the prior's 1 / 0.7²."""
    known = seen([0.3]).posterior(DOUBT)
    value, prior = 1 / 0.2**2, 1 / 0.7**2
    assert known.mean == pytest.approx(0.3 * value / (value + prior))
    assert known.mean_sigma == pytest.approx((value + prior) ** -0.5) and known.scatter == pytest.approx(0.2)


@given(st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=MANY))
def test_sums_give_mean_and_variance(values: list[float]) -> None:
    """As if all values had been kept, in any order."""
    ratio = seen(values)
    assert ratio.total == pytest.approx(sum(values), abs=1e-9)
    assert ratio.squares == pytest.approx(statistics.pvariance(values) * len(values), abs=1e-9)
    assert seen(values[::-1]).posterior(DOUBT).mean == pytest.approx(ratio.posterior(DOUBT).mean, abs=1e-9)


def test_many_values_outweigh_what_was_expected() -> None:
    """Mean and scatter are those of the values; the mean is known ever better."""
    rng = random.Random(1)
    known = seen([rng.gauss(-1.2, 0.05) for _ in range(2_000)]).posterior(DOUBT)
    assert known.mean == pytest.approx(-1.2, abs=0.01) and known.scatter == pytest.approx(0.05, rel=0.2)
    assert known.mean_sigma < 0.005


def test_a_prediction_that_was_far_off_is_given_up_at_once() -> None:
    """A hundred times as long: the first value counts nearly whole."""
    assert seen([math.log(100)]).posterior(DOUBT).mean == pytest.approx(math.log(100), rel=0.01)


def test_one_odd_value_among_many_moves_little() -> None:
    """A machine that stood still for an hour."""
    values = [random.Random(2).gauss(0.0, 0.1) for _ in range(50)]
    quiet, odd = seen(values).posterior(DOUBT), seen([*values, math.log(1_000)]).posterior(DOUBT)
    assert abs(odd.mean - quiet.mean) < 0.05 and odd.scatter < 2 * quiet.scatter


@given(st.lists(st.floats(-20, 20), max_size=30))
def test_it_is_always_a_distribution(values: list[float]) -> None:
    """Finite, with positive deviations, whatever was measured."""
    known = seen(values).posterior(DOUBT)
    assert math.isfinite(known.mean) and 0 < known.mean_sigma < math.inf and 0 < known.scatter < math.inf
