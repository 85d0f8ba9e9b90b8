"""How the front grew: hypervolumes in closed form, clocks with gaps, and fronts that do not compare."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from account_rows import at, make_attempt, make_node, with_account
from hypothesis import given
from hypothesis import strategies as st
from trial_builder import make_tables, make_trial

from results.analysis.night.front_growth import Clock, FrontGrowth, front_growth
from results.analysis.pareto_info import pareto_info
from results.analysis.replicate_groups import to_rows
from results.tables.load import Tables


def trial(name: str, ce: float | None, size: int, end: float, **changes: Any) -> dict[str, Any]:
    values = {"trial_id": name, "config_id": name, "artifact_bytes": size}
    return make_trial(ce=ce, **{**values, "started_at": at(end - 10), "finished_at": at(end), **changes})


def growth(tables: Tables, **goals: Any) -> tuple[FrontGrowth, ...]:
    return front_growth(tables, pareto_info(tables, **goals), to_rows(tables.trials))


def test_two_steps_in_closed_form() -> None:
    """The area of one config up to the worst values is a rectangle; a second one adds its own; a worse one nothing."""
    trials = [
        trial("worst", 4.0, 80_000, 10),
        trial("small", 3.5, 20_000, 20),
        trial("worse", 3.9, 70_000, 30),
        trial("good", 3.0, 40_000, 40),
    ]
    (found,) = growth(make_tables(trials))
    assert found.reference == {"ce": 4.0, "artifact_bytes": 80_000} and found.unit == "nats × ln bytes"
    first, second = 0.5 * math.log(4), 0.5 * math.log(2)
    assert [one.volume for one in found.moments] == pytest.approx([0.0, first, first + second])
    assert [one.best for one in found.moments] == [4.0, 3.5, 3.0]
    assert [one.seconds for one in found.moments] == [10, 20, 40] and found.seconds == 40
    assert found.usd is None and found.usd_at_half is None and found.moments[0].usd is None
    half = found.at(found.seconds / 2)
    assert half is not None and half.best == 3.5 and found.at(5) is None


def test_a_config_counts_from_its_first_seed() -> None:
    """With its final mean: a second seed later moves nothing, and the line never falls."""
    first = trial("a1", 3.0, 50_000, 20, seed=1, config_id="a")
    second = trial("a2", 3.2, 50_000, 90, seed=2, config_id="a")
    (found,) = growth(make_tables([first, second]))
    assert [(one.seconds, one.best) for one in found.moments] == [(10, pytest.approx(3.1))]
    assert found.moments[0].half_width is not None


@given(st.lists(st.tuples(st.floats(1, 9), st.integers(1, 10**8)), min_size=1, max_size=25))
def test_the_line_never_falls(configs: list[tuple[float, int]]) -> None:
    """Whatever comes in whatever order."""
    trials = [trial(f"t{i}", ce, size, 10 + i, total_bytes=1) for i, (ce, size) in enumerate(configs)]
    (found,) = growth(make_tables(trials))
    volumes, bests = [one.volume for one in found.moments], [one.best for one in found.moments]
    assert volumes == sorted(volumes) and bests == sorted(bests, reverse=True)
    assert bests[-1] == min(ce for ce, _ in configs)


def test_time_without_trials_does_not_count() -> None:
    """Two calls with a day between them: their hours join, and the dollars are spent while trials run."""
    day = 86_400
    trials = [trial("a", 3.0, 50_000, 100), trial("b", 2.9, 40_000, day + 100)]
    attempts = [make_attempt("a", 0, 100, 1), make_attempt("b", day, day + 100, 2)]
    (found,) = growth(with_account(trials, attempts, [make_node(0, day + 100, usd=2.0)]))
    assert found.seconds == 200 and [one.seconds for one in found.moments] == [100, 200]
    assert [one.usd for one in found.moments] == pytest.approx([1.0, 2.0]) and found.usd_at_half == pytest.approx(1.0)


def test_a_clock_of_machines_that_come_and_go() -> None:
    """Each machine costs evenly between its joining and leaving; one that was there for no time costs at once."""
    attempts = [make_attempt("a", 0, 100)]
    nodes = [
        make_node(0, 100, usd=1.0),
        make_node(50, 100, "n2", usd=2.0),
        make_node(100, 100, "n3", usd=0.5),
        make_node(0, 100, "n4", usd=None),
    ]
    clock = Clock.of(with_account([trial("a", 3.0, 1, 100)], attempts, nodes))
    moments = np.array([at(seconds).timestamp() for seconds in (0, 50, 75, 100)])
    assert clock.usd_at(moments) == pytest.approx([0.0, 0.5, 1.75, 3.5]) and clock.usd == pytest.approx(3.5)


def test_an_attempt_that_runs_ends_with_the_last_one() -> None:
    """A sweep that is at work has a clock all the same."""
    attempts = [make_attempt("a", 0, 100, 1), make_attempt("b", 50, None, 2)]
    assert Clock.of(with_account([trial("a", 3.0, 1, 100)], attempts, [])).seconds == 100
    assert Clock.of(make_tables([trial("x", None, 1, 10, started_at=None, finished_at=None)])).seconds == 0


def test_attempts_at_work_after_a_resume_take_no_time_away() -> None:
    """Ten hours after the last end four attempts begin: the clock stays at what it was, and never goes back."""
    later = 100 + 36_000
    running = [make_attempt(f"t{i}", later + i, None, 2 + i) for i in range(4)]
    clock = Clock.of(with_account([trial("a", 3.0, 1, 100)], [make_attempt("a", 0, 100), *running], []))
    moments = np.array([at(seconds).timestamp() for seconds in (0, 50, 100, later, later + 9)])
    assert clock.seconds == 100 and clock.seconds_at(moments).tolist() == [0, 50, 100, 100, 100]


def test_other_texts_have_other_fronts() -> None:
    """Losses on other data never share a line, and each is named."""
    trials = [trial("a", 3.0, 50_000, 10), trial("b", 9.0, 50_000, 20, data="other", data_sha256="e" * 64)]
    found = growth(make_tables(trials))
    assert sorted(one.name for one in found) == ["other (eeeeeeee)", "stdlib (dddddddd)"]


def test_each_accelerator_has_a_line_where_speed_is_an_objective() -> None:
    """Speeds of other devices never share a line; more is better there."""
    trials = [
        trial("a", 3.0, 50_000, 10, accelerator="H100", tokens_per_s=100.0),
        trial("b", 3.1, 50_000, 20, accelerator="H100", tokens_per_s=300.0),
        trial("c", 3.1, 50_000, 30, accelerator="A40", tokens_per_s=50.0),
    ]
    by_name = {one.name: one for one in growth(make_tables(trials), objectives={"ce": "min", "tokens_per_s": "max"})}
    assert set(by_name) == {"A40", "H100"}
    assert (
        by_name["H100"].reference == {"ce": 3.1, "tokens_per_s": 100.0}
        and by_name["H100"].unit == "nats × tokens_per_s"
    )


def test_one_objective_alone() -> None:
    """The hypervolume is then the way from the worst to the best."""
    trials = [trial("a", 3.0, 50_000, 10), trial("b", 2.5, 50_000, 20)]
    (found,) = growth(make_tables(trials), objectives={"ce": "min"})
    assert [one.volume for one in found.moments] == pytest.approx([0.0, 0.5]) and found.unit == "nats"


def test_nothing_that_keeps_the_limits_has_no_line() -> None:
    """All too large, all failed, or nothing dated."""
    assert growth(make_tables([trial("a", 3.0, 50_000_000, 10)])) == ()
    assert growth(make_tables([trial("a", None, 1, 10, status="failed")])) == ()
    assert growth(make_tables([trial("a", 3.0, 1, 10, started_at=None, finished_at=None)])) == ()
