"""Simulated nights: the driver's decisions on a virtual clock, with losses and slow machines."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import tiny_sweep

from orchestrator.errors import UsageError
from orchestrator.scheduling.durations import Durations
from orchestrator.simulator.chances import FEW_ROWS, STOPPED_SHARES, Chances, preference, weights
from orchestrator.simulator.fleet import read_fleet
from orchestrator.simulator.forecast import Effort, Range, forecast, setting_of, trials_of
from orchestrator.simulator.forecast_text import lines_of, one_line
from orchestrator.simulator.night import Night
from orchestrator.simulator.setting import Setting
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sections.budget import BudgetConfig
from search_spaces.spec.sweep_spec import SweepSpec

OVERNIGHT = Path(__file__).parents[3] / "search_spaces" / "overnight.yaml"


@pytest.fixture(scope="module")
def overnight() -> SweepSpec:
    return load_sweep(OVERNIGHT)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    return tiny_sweep(tmp_path_factory.mktemp("spec"))


def setting(spec: SweepSpec, fleet: str, chances: Chances | None = None, **budget: Any) -> Setting:
    changed = spec.budget.model_copy(update=budget)
    spec = dataclasses.replace(spec, budget=BudgetConfig.model_validate(changed.model_dump()))
    return setting_of(spec, read_fleet(fleet), Durations(), chances or Chances())


@functools.cache
def night() -> Setting:
    """Its draws are made once."""
    return setting(load_sweep(OVERNIGHT), "H100:1", trials=60)


@settings(deadline=None, max_examples=40)
@given(
    fleet=st.sampled_from(["H100:1", "A40:3", "H100:2,A40:3", "H100:1,A40:2,L4:2"]),
    losses=st.sampled_from([0.0, 5.0, 60.0]),
    slow=st.sampled_from([0.0, 0.5]),
    out_of_memory=st.sampled_from([0.0, 0.3]),
    hours=st.one_of(st.none(), st.floats(0.05, 3)),
    usd=st.one_of(st.none(), st.floats(0.5, 20)),
    seed=st.integers(0, 10_000),
)
def test_no_trial_and_no_dollar_is_lost(
    fleet: str,
    losses: float,
    slow: float,
    out_of_memory: float,
    hours: float | None,
    usd: float | None,
    seed: int,
) -> None:
    """Whatever happens: each trial has ended or waits, the money adds up, and a budget is hardly passed."""
    chances = Chances(
        losses_per_day=losses,
        slow_share=slow,
        out_of_memory_share=out_of_memory,
        stopped_shares=(0.0, 0.5),
        cheaper=0.5,
        cheaper_sigma=1.0,
    )
    budget = BudgetConfig(trials=60, hours=hours, usd=usd)
    spec = dataclasses.replace(night().spec, budget=budget, prices={"H100": 2.99, "A40": 0.44, "L4": 0.3})
    one = dataclasses.replace(night(), spec=spec, machines=tuple(read_fleet(fleet)), chances=chances, budget=budget)
    result = Night(one, seed).run()
    assert result.num_vanished == 0
    totals = result.totals
    assert totals.machines == totals.trials + totals.lost + totals.idle and totals.idle >= 0
    assert min(totals.trials, totals.lost) >= 0 and all(0 <= share <= 1 + 1e-9 for share in result.busy.values())
    if hours is not None:  # a grace of 2 %, the seconds in which a trial ends, and in which a lost machine is noticed
        assert result.seconds <= hours * 3_600 * 1.02 + 15 + (chances.notice_seconds if losses else 0)
    if usd is not None:
        assert result.usd <= usd * 1.02
    if hours is usd is None:
        assert result.end == "finished" and result.num_left == 0
    assert Night(one, seed).run() == result


def test_a_plan_on_one_slot_takes_the_sum_of_its_trials(planned: SweepSpec) -> None:
    """Without chances the night is as long as its trials, one after another."""
    one = setting(planned, "CPU:1x1")
    result = Night(one, 3).run()
    assert result.counts == {"completed": len(one.trials.given)} and result.end == "finished"
    durations = [one.durations.expected(one.costs.of(trial), "CPU") for trial in one.trials.given]
    expected = sum(each.middle for each in durations if each is not None)
    assert expected / 3 < result.seconds < expected * 3 + 10 and result.busy["CPU"] == pytest.approx(1.0, abs=0.01)


def test_what_a_plan_has_done_is_not_done_again(planned: SweepSpec) -> None:
    """A forecast in the middle of a sweep: trials with a checkpoint take what is left of them."""
    one = setting(planned, "CPU:1x1")
    half = dataclasses.replace(one, done={trial.trial_id: 0.99 for trial in one.trials.given})
    assert Night(half, 3).run().seconds < Night(one, 3).run().seconds


def test_trials_that_end_at_the_deadline_are_left(overnight: SweepSpec) -> None:
    """They count as cut by the budget, and no trial of them is taken for finished."""
    result = Night(setting(overnight, "A40:2", trials=60, hours=0.2), 1).run()
    assert result.end == "hours" and result.num_left >= result.counts.get("deadline", 0)
    assert result.num_left + sum(result.counts.values()) - result.counts.get("deadline", 0) == 60


@pytest.mark.parametrize("fleet", ["A40:2", "H100:1", "H100:1,A40:3"])
def test_a_night_that_its_hours_cut_is_confirmed(overnight: SweepSpec, fleet: str) -> None:
    """Time is kept for confirmation: nights run nearly all of it, and little of the time is left over."""
    hours = 10.0
    one = setting(overnight, fleet, trials=5_000, hours=hours, usd=None)
    one = dataclasses.replace(one, trials=dataclasses.replace(one.trials, num_to_confirm=20))
    nights = [Night(one, seed) for seed in range(12)]
    results = [night.run() for night in nights]
    assert all(result.end == "hours" and result.num_vanished == 0 for result in results)
    assert all(result.seconds <= hours * 3_600 * 1.02 + 15 for result in results)
    confirmed = [len(night.search.confirming & night.search.ended) for night in nights]
    assert sum(confirmed) >= 0.9 * 20 * len(nights), confirmed  # less than all where it would take over half the time
    assert sorted(result.seconds for result in results)[6] > 0.85 * hours * 3_600


def test_at_most_half_of_the_time_is_kept(overnight: SweepSpec) -> None:
    """A confirmation that would take longer than the budget leaves half of it to the search."""
    one = setting(overnight, "A40:1", trials=5_000, hours=2.0, usd=None)
    one = dataclasses.replace(one, trials=dataclasses.replace(one.trials, num_to_confirm=500))
    night = Night(one, 1)
    result = night.run()
    searched = len(night.search.ended - night.search.confirming)
    confirmed = len(night.search.ended & night.search.confirming)
    assert result.end == "hours" and searched > 2 and confirmed > 2 and result.num_vanished == 0


def test_trials_that_need_no_card_use_the_cpus_beside_them(planned: SweepSpec) -> None:
    """As the driver offers them where every machine has a card."""
    trials = tuple(dataclasses.replace(trial, gpus=0.0) for trial in trials_of(planned).given)
    one = setting(planned, "T4:1x2")
    one = dataclasses.replace(one, trials=dataclasses.replace(one.trials, given=trials))
    assert Night(one, 1).run().counts == {"completed": len(trials)}
    assert forecast(one, Effort(num_nights=5)).cannot_run == ()


def test_a_trial_goes_once_to_a_larger_device(overnight: SweepSpec) -> None:
    """Out of memory on an A40 it runs again on the H100; where there is none, its row stands."""
    chances = Chances(out_of_memory_share=1.0)
    alone = Night(setting(overnight, "A40:2", chances, trials=60), 1).run()
    assert alone.counts == {"out_of_memory": 60}
    both = Night(setting(overnight, "A40:2,H200:1", chances, trials=60), 1).run()
    assert both.counts.get("completed", 0) > 0 and sum(both.counts.values()) == 60


@pytest.mark.parametrize(
    ("fleet", "expected"),
    [
        ("H100:2,A40:6", {"H100": 2, "A40": 6}),
        (" CPU:3x8 ", {"CPU": 3}),
        ("local", {"CPU": 1}),
    ],
)
def test_a_fleet_is_read(fleet: str, expected: dict[str, int]) -> None:
    """KIND:NUMBER with commas between; a machine with a card has one, and names are unique."""
    machines = read_fleet(fleet)
    assert {kind: sum(one.accelerator == kind for one in machines) for kind in expected} == expected
    assert len({one.node for one in machines}) == len(machines)
    assert all(one.gpus == (0 if one.accelerator == "CPU" else 1) and one.cpus > 0 for one in machines)


@pytest.mark.parametrize("fleet", ["", "H100", "H100:", "H100:0", "H100:x", "h100:2", "any:2", "CPU:2x0", "A40:99999"])
def test_a_fleet_that_makes_no_sense_is_refused(fleet: str) -> None:
    """With the option and its value in the message."""
    with pytest.raises(UsageError, match="--fleet"):
        read_fleet(fleet)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50))
def test_a_range_is_in_order_and_within_the_values(values: list[float]) -> None:
    """One value alone is its own range."""
    found = Range.of(values)
    assert min(values) - 1e-3 <= found.low <= found.middle <= found.high <= max(values) + 1e-3


def test_a_forecast_answers_every_question(overnight: SweepSpec) -> None:
    """Trials, hours, dollars, how busy, first result, what the budget cuts: in figures, and in lines that fit."""
    one = setting(overnight, "H100:2,A40:6", Chances().of_sweep(overnight), trials=60)
    found = forecast(one, Effort(num_nights=10))
    assert found.num_nights == 10 and found.fleet == {"H100": 2, "A40": 6}
    assert found.usd is not None and 0 < found.usd.low <= found.usd.high
    assert found.first_result_seconds is not None and found.first_result_seconds.middle < found.seconds.middle
    assert set(found.busy) == {"H100", "A40"} and sum(found.ends.values()) == pytest.approx(1.0)
    lines = lines_of(found)
    assert max(map(len, lines)) <= 100 and "figures of its maker" in " ".join(lines)
    assert one_line(found).startswith("forecast: ") and " USD" in one_line(found)


def test_nothing_is_forecast_of_what_nobody_knows(overnight: SweepSpec) -> None:
    """An accelerator without figures, or a sweep that no machine can run: one line that says so."""
    with pytest.raises(UsageError, match="nothing is known of how long trials take on Abacus"):
        forecast(setting(overnight, "Abacus:2"), Effort(num_nights=5))
    with pytest.raises(UsageError, match="which no machine has"):
        forecast(setting(overnight, "H100:2x1"), Effort(num_nights=5))  # a trial takes two CPUs


def row(status: str, share: float = 1.0) -> dict[str, Any]:
    return {"status": status, "steps": int(share * 100), "steps_planned": 100}


def test_rates_of_early_stopping_are_those_of_like_rows(overnight: SweepSpec, planned: SweepSpec) -> None:
    """Of enough rows; else what docs/early_stopping.md states; none where the sweep stops nothing."""
    few = Chances().of_sweep(overnight, [row("completed")] * (FEW_ROWS - 1))
    assert few.stopped_shares == STOPPED_SHARES
    many = Chances().of_sweep(overnight, [row("completed")] * 40 + [row("stopped_early", 0.2)] * 10)
    assert sum(many.stopped_shares) / 2 == pytest.approx(10 / 30) and set(many.stopped_at) == {0.2}
    assert Chances(stopped_shares=(0.5, 0.5)).of_sweep(planned).stopped_shares == (0.0, 0.0)


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=50, unique=True), st.floats(-2, 2))
def test_the_preference_of_a_method_is_found_again(work: list[float], power: float) -> None:
    """The mean work of what is chosen tells how much cheaper configs are preferred."""
    found = weights(work, power)
    mean = sum(weight * one for weight, one in zip(found, work, strict=True)) / sum(found)
    again = weights(work, preference(mean, work))
    assert sum(w * one for w, one in zip(again, work, strict=True)) / sum(again) == pytest.approx(mean, rel=0.01)
