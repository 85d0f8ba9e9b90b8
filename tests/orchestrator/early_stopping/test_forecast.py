"""Forecasts of a final score, and that their bound holds."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from looked_trials import ended_trials, looked
from search_world import load, with_method
from tiny import tiny_config

from orchestrator.early_stopping.forecast import MIN_ENDED, Forecaster, weighted_bound
from orchestrator.early_stopping.kinds import kind_of
from orchestrator.search.methods.encoding import Encoding
from orchestrator.search.methods.regression import Kriging
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.recipes.variants import plan


@pytest.fixture
def spec(tmp_path: Path) -> SweepSpec:
    return load(tmp_path, with_method("ehvi"))


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_with_equal_weights_the_bound_is_an_order_statistic(values: list[float], risk: float) -> None:
    """The one at place ceil((1 - risk)(n + 1)), as in split conformal prediction; inf where n has no such place."""
    place = math.ceil((1 - risk) * (len(values) + 1) - 1e-9)
    expected = sorted(values)[place - 1] if place <= len(values) else math.inf
    assert weighted_bound(np.array(values), np.ones(len(values)), risk) == expected


def test_nineteen_trials_are_enough_for_a_risk_of_five_per_cent() -> None:
    """1 / risk - 1, and then the bound is the largest; with one less there is none."""
    values = np.arange(19.0)
    assert weighted_bound(values, np.ones(19), 0.05) == 18.0
    assert weighted_bound(values[:18], np.ones(18), 0.05) == math.inf


def test_a_weight_counts_as_so_many_trials() -> None:
    """An audited trial that stands for ten moves the bound as ten of its value would."""
    values, weights = np.array([*np.zeros(30), 5.0]), np.array([*np.ones(30), 10.0])
    repeated = np.array([*np.zeros(30), *[5.0] * 10])
    assert weighted_bound(values, weights, 0.1) == weighted_bound(repeated, np.ones(40), 0.1) == 5.0


def test_one_audited_trial_does_not_make_few_trials_enough(spec: SweepSpec) -> None:
    """Below 1 / risk - 1 trials the band is Student's, whatever the audited ones weigh."""
    trials = _kind(spec, 60)
    for count, band in ((18, "student"), (19, "conformal")):
        forecaster = Forecaster(Encoding(spec), 0.05, 0.1)
        for index, one in enumerate(trials[:count]):
            forecaster.tell(dataclasses.replace(one, was_to_stop=index == 0))
        forecast = forecaster.forecast(looked(trials[count]))
        assert forecast is not None and forecast.band == band


def test_teachers_of_other_lengths_are_other_kinds(tmp_path: Path) -> None:
    """With as many steps in all, they are looked at elsewhere: their looks do not compare."""
    distill = {"recipe": "distill", "train": {"steps": 20}, "distill": {"teacher_steps": 40}}
    other = {**distill, "train": {"steps": 40}, "distill": {"teacher_steps": 20}}
    one, two = (tiny_config(**settings) for settings in (distill, other))
    assert plan(one).total_steps == plan(two).total_steps and kind_of(one) != kind_of(two)


def test_leaving_one_out_in_closed_form() -> None:
    """Equals a prediction from the other rows with the same kernel and the same scale."""
    chance = np.random.default_rng(3)
    rows, values = chance.normal(size=(25, 3)), chance.normal(size=25)
    model = Kriging(rows, values)
    model.observe(rows, values)
    means, stds = model.leave_one_out()
    kernel, scaled = model._kernel, (values - values.mean()) / values.std()
    gram = kernel(model._scaled(rows))
    for index in (0, 7, 24):
        others = np.arange(25) != index
        weights = np.linalg.solve(gram[np.ix_(others, others)], gram[others, index])
        assert means[index] == pytest.approx(weights @ scaled[others] * values.std() + values.mean())
        variance = gram[index, index] - weights @ gram[others, index]
        assert stds[index] == pytest.approx(math.sqrt(variance) * values.std())


def _kind(spec: SweepSpec, count: int, seed: int = 0) -> list:  # type: ignore[type-arg]
    """Trials of the kind that most are of."""
    found = list(ended_trials(spec, count, seed))
    return [one for one in found if kind_of(one.candidate.config) == kind_of(found[0].candidate.config)]


def test_nothing_is_forecast_of_few_trials(spec: SweepSpec) -> None:
    """Below `MIN_ENDED`; then by Student's t, and from 1 / risk - 1 on by conformal prediction."""
    forecaster, trials = Forecaster(Encoding(spec), 0.05, 0.1), _kind(spec, 60)
    bands = []
    for one in trials[:25]:
        found = forecaster.forecast(looked(trials[-1]))
        bands.append(found and found.band)
        forecaster.tell(one)
    assert bands == [None] * MIN_ENDED + ["student"] * (19 - MIN_ENDED) + ["conformal"] * 6


def test_looks_that_are_no_number_are_not_forecast(spec: SweepSpec) -> None:
    """A trial that diverges ends by itself."""
    forecaster, trials = Forecaster(Encoding(spec), 0.05, 0.1), _kind(spec, 60)
    for one in trials[:20]:
        forecaster.tell(one)
    one = looked(trials[-1])
    for bad in (math.nan, math.inf):
        assert forecaster.forecast(dataclasses.replace(one, looks=dict.fromkeys(one.looks, bad))) is None


def test_the_best_case_holds_over_all_looks(spec: SweepSpec) -> None:
    """Of new trials, about the share `risk` ends below the lowest of its best cases, and the forecasts are close."""
    risk, below, errors = 0.2, [], []
    for seed in range(4):
        forecaster = Forecaster(Encoding(spec), risk, 0.1)
        trials = _kind(spec, 120, seed)
        for one in trials[:40]:
            forecaster.tell(one)
        for one in trials[40:]:
            found = [forecaster.forecast(looked(one, count)) for count in range(1, len(one.looks) + 1)]
            best = max(forecast.best_case for forecast in found if forecast)
            below.append(one.score < best)
            errors += [abs(one.score - forecast.mean) for forecast in found[-1:] if forecast]
    assert 0.02 < np.mean(below) < risk + 0.1
    assert np.mean(errors) < 0.1
