"""A sweep ends by the limit that is reached first; what would not be finished does not start; little is overrun."""

from __future__ import annotations

import heapq
import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.scheduling.deadline import (
    MOST_GRACE_SECONDS,
    SECONDS_TO_END,
    Left,
    Spent,
    seconds_for,
    text_of,
    time_left,
    to_end,
)
from orchestrator.scheduling.durations import Expected
from search_spaces.spec.sections.budget import BudgetConfig, read_until

NOW = datetime(2026, 11, 27, 22, 30).astimezone()


def spent(**values: float) -> Spent:
    return Spent(**{"now": NOW, "driver_seconds": 0.0, "usd": 0.0, "usd_per_hour": 0.0, **values})  # type: ignore[arg-type]


def test_the_first_limit_counts() -> None:
    """Hours of drivers, the clock, dollars at today's rate; without any the time is infinite."""
    budget = BudgetConfig(hours=8, until="07:00", usd=40)
    until = read_until("07:00", NOW)
    assert time_left(budget, until, spent()).limit == "hours" and time_left(budget, until, spent()).seconds == 8 * 3_600
    late = time_left(BudgetConfig(hours=9, until="07:00"), until, spent())
    assert (late.limit, late.seconds) == ("until", 8.5 * 3_600)
    rich = time_left(budget, until, spent(usd=30, usd_per_hour=10))
    assert rich.limit == "usd" and rich.seconds == pytest.approx(3_600 - 0.01 * 40 * 360 - SECONDS_TO_END)
    assert time_left(BudgetConfig(), None, spent()).seconds == math.inf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("07:00", datetime(2026, 11, 28, 7, 0)),
        ("23:15", datetime(2026, 11, 27, 23, 15)),
        ("22:30", datetime(2026, 11, 28, 22, 30)),
        ("2026-12-01 07:00", datetime(2026, 12, 1, 7, 0)),
        ("2026-12-01 07:00+02:00", datetime(2026, 12, 1, 5, 0)),
    ],
)
def test_a_time_of_day_is_the_next_one(text: str, expected: datetime) -> None:
    """In the zone of the driver."""
    assert read_until(text, NOW) == (expected.replace(tzinfo=UTC) if "+" in text else expected.astimezone())


@pytest.mark.parametrize("text", ["7", "25:00", "tomorrow", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match="must be a time in quotes"):
        read_until(text, NOW)


def test_what_would_not_be_finished_does_not_start() -> None:
    """By what nine in ten such trials take; a smaller one still may, and one of which nothing is known.

    Where no trial of the accelerator has ended, half as long again as expected counts.
    """
    left = Left(seconds=100.0, limit="hours", grace_seconds=5.0)
    assert not left.may_start(Expected(middle=80, high=95)) and left.may_start(Expected(middle=80, high=90))
    prior = Expected(middle=60, high=150, is_prior=True)
    assert left.may_start(prior) and not left.may_start(Expected(middle=60, high=150))
    assert left.may_start(None) and not Left(seconds=SECONDS_TO_END, limit="hours").may_start(None)


def test_a_trial_that_overruns_by_less_than_the_grace_is_let_finish() -> None:
    """Others are told to end just before the time is over; after the grace all are."""
    remaining = {"soon": 12.0, "late": 500.0, "unknown": None}
    for seconds, grace, expected in (
        (SECONDS_TO_END + 1, 5.0, set()),
        (SECONDS_TO_END, 5.0, {"late", "unknown"}),
        (-5.0, 20.0, {"late", "unknown"}),
        (-20.1, 20.0, {"soon", "late", "unknown"}),
    ):
        left = Left(seconds=seconds, limit="usd", grace_seconds=grace)
        assert set(to_end(left, remaining)) == expected


@given(st.floats(0.01, 1e5), st.floats(0, 1e5), st.floats(0.01, 1e4), st.floats(0, 1e4))
def test_dollars_are_never_overspent_by_the_grace(usd: float, used: float, rate: float, overrun: float) -> None:
    """A trial that uses all of the grace, and the time to end, stays within the budget."""
    left = time_left(BudgetConfig(usd=usd), None, spent(usd=used, usd_per_hour=rate))
    assert left.grace_seconds <= MOST_GRACE_SECONDS
    if used < usd and left.seconds >= 0:
        at_the_end = used + (left.seconds + left.grace_seconds + SECONDS_TO_END) * rate / 3_600
        assert at_the_end <= usd * (1 + 1e-9)


def test_without_a_price_dollars_last_for_ever() -> None:
    """Machines that cost nothing."""
    assert time_left(BudgetConfig(usd=1), None, spent()).seconds == math.inf
    assert time_left(BudgetConfig(usd=1), None, spent(usd=1)).seconds == 0


def test_the_reason_names_limit_and_value() -> None:
    """Of a limit that is reached, and of one that leaves no room for what waits."""
    budget = BudgetConfig(hours=8, usd=40)
    assert text_of(Left(seconds=0, limit="usd"), budget) == "the budget of 40 USD is used"
    said = text_of(Left(seconds=99, limit="hours"), budget)
    assert said == "nothing that waits would be finished in the 99 s that are left of 8 hours"


def test_a_day_later_is_not_now() -> None:
    """`until` in the past by its date is over."""
    past = read_until("2026-11-27 22:00", NOW)
    assert (
        time_left(BudgetConfig(until="2026-11-27 22:00"), past, spent()).seconds
        == -timedelta(minutes=30).total_seconds()
    )


@given(st.lists(st.floats(1, 100), min_size=1, max_size=30), st.integers(1, 8), st.randoms())
def test_so_many_slots_are_done_in_time_in_any_order(lengths: list[float], num_slots: int, rng: random.Random) -> None:
    """Where durations are known: each trial starts on the first free slot, and ends within what is reckoned."""
    rng.shuffle(lengths)
    free = [0.0] * num_slots
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    assert max(free) <= seconds_for([Expected(middle=one, high=one) for one in lengths], num_slots) + 1e-6


def test_time_is_kept_at_the_end() -> None:
    """What must end before it starts only where there is room for both; nothing to run takes no time."""
    left = Left(seconds=200 + SECONDS_TO_END, limit="hours")
    known = Expected(middle=80, high=90)
    assert left.may_start(known, 110) and not left.may_start(known, 111)
    assert seconds_for([], 3) == 0.0
