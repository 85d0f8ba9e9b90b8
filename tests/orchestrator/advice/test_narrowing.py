"""One parameter narrowed to what good configs have: margins, ends, evidence, limits of the setting."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orchestrator.advice.evidence import chance_of_none
from orchestrator.advice.narrowing import Seen, narrowed
from search_spaces.spec.sweep_spec import Kind, Parameter

RATE = Parameter("optimizer.learning_rate", "log_range", (1e-3, 1e-1))


def seen(good: list[Any], others: list[Any]) -> Seen:
    return Seen((*good, *others), (True,) * len(good) + (False,) * len(others))


def values(
    key: str,
    kind: Kind,
    given: tuple[Any, ...],
    good: list[Any],
    others: list[Any],
    **how: bool,
) -> tuple[Any, ...]:
    return narrowed(Parameter(key, kind, given), seen(good, others), "beyond", **how).parameter.values


def test_the_chance_that_no_good_config_is_in_a_part() -> None:
    """Of 10 tried 2 are good: that none is among 5 of them is 10/45; among none of them it is certain."""
    assert chance_of_none(10, 2, 5) == pytest.approx(10 / 45)
    assert chance_of_none(10, 2, 0) == 1


def test_a_log_range_keeps_the_good_part_with_a_margin_of_its_gaps() -> None:
    """Three good values from 0.01 to 0.04: half of their span in logarithms on each side, so 0.005 to 0.08."""
    found = narrowed(RATE, seen([0.01, 0.02, 0.04], [0.001, 0.002, 0.003] * 8), "beyond")
    low, high = found.parameter.values
    assert (low, high) == (pytest.approx(0.005, rel=0.01), pytest.approx(0.08, rel=0.01))
    assert low <= 0.005 and high >= 0.08, "rounded outwards"
    assert found.why == "was 0.001 to 0.1; 3 front configs in 0.01 to 0.04"


def test_a_range_whose_end_the_front_touches_goes_beyond_it() -> None:
    """All good values in the last tenth of a range: it goes a tenth beyond the end, and says how far."""
    found = narrowed(RATE, seen([0.09, 0.095, 0.099], [0.002] * 30), "beyond")
    assert found.parameter.values[1] == pytest.approx(0.099 * 10**0.2, rel=0.01)
    assert found.why.endswith("it goes on to 0.157, 1.57 times beyond the old end, as the front lies at that end")
    assert narrowed(RATE, seen([0.09, 0.095, 0.099], [0.002] * 30), "inside").parameter.values[1] == 0.1


def test_a_front_that_is_spread_over_a_range_leaves_it_as_it_is() -> None:
    """Good values at both ends: no end is the better one."""
    assert values("model.dropout", "range", (0.0, 0.5), [0.01, 0.25, 0.49], [0.1] * 30) == (0.0, 0.5)


def test_a_range_does_not_go_beyond_what_the_setting_takes() -> None:
    """model.dropout is below 1: a range that ends at 0.99 stays there though the front lies at its end."""
    assert values("model.dropout", "range", (0.5, 0.99), [0.98, 0.985], [0.55] * 40)[1] == 0.99
    assert values("train.batch_sequences", "range", (1, 16), [1, 2], [12] * 40) == (1, 4)


def test_a_log_range_never_ends_at_zero() -> None:
    """Good values 1 and 2 of 1 to 100: the whole number below 1 is 0, which has no logarithm, so the end stays."""
    found = narrowed(Parameter("schedule.warmup_steps", "log_range", (1, 100)), seen([1, 2], [60] * 40), "beyond")
    assert found.parameter.values == (1, 4) and found.why == "was 1 to 100; 2 front configs in 1 to 2"


def test_without_evidence_nothing_is_left_out() -> None:
    """With few other configs it may be chance that none of them is good; a single good one has a wide margin."""
    few = narrowed(RATE, seen([0.01, 0.02, 0.04], [0.001] * 3), "beyond")
    assert few.parameter.values == (1e-3, 1e-1) and "the rest was tried too seldom to leave it out" in few.why
    assert narrowed(RATE, seen([0.01], [0.001] * 15), "beyond").parameter.values == (1e-3, 1e-1)
    low, high = narrowed(RATE, seen([0.01], [0.001] * 25), "beyond").parameter.values
    assert math.log10(0.01 / low) == pytest.approx(0.5, abs=0.01) and math.log10(high / 0.01) == pytest.approx(
        0.5, abs=0.01
    )


def test_numbers_in_a_list_keep_their_neighbours() -> None:
    """Good at 96 and 192: 64 to 256 stay, in the order of the file; what is between was not good, and stays too."""
    assert values("model.dim", "choice", (256, 32, 64, 96, 128, 192, 384), [3, 5], [1, 6] * 20) == (
        256,
        64,
        96,
        128,
        192,
    )
    assert values("model.dim", "choice", (32, 64, 96), [1], [0, 2] * 3) == (32, 64, 96)


def test_a_grid_gets_numbers_between_as_its_own_are_known() -> None:
    """64, 96, 128 of a grid: 80 and 112 are new; numbers that span much are halved by their ratio."""
    assert values("model.dim", "choice", (64, 96, 128), [1], [0, 2] * 20, refines=True) == (64, 80, 96, 112, 128)
    given = (0.001, 0.01, 0.1)
    found = values("optimizer.learning_rate", "grid", given, [1], [0, 2] * 20, refines=True)
    assert found == (0.001, 0.00316, 0.01, 0.0316, 0.1)


def test_steps_stay_steps() -> None:
    """A neighbour on each side; one more step where the front is at the end, up or down, if the setting takes it."""
    assert values("model.dim", "steps", (32, 256, 32), [3, 4], [0, 7] * 20) == (96, 192, 32)
    assert values("model.dim", "steps", (32, 128, 32), [3], [0, 0] * 20) == (96, 160, 32)
    assert values("model.dim", "steps", (128, 32, -32), [0], [3, 3] * 20) == (160, 96, -32)
    assert values("model.dropout", "steps", (0.0, 0.4, 0.2), [0], [2] * 40) == (0.0, 0.2, 0.2), "no dropout below 0"


def test_words_are_dropped_where_they_were_tried_and_never_good() -> None:
    """Of three words the one that is never good in 30 tries goes; one that was hardly tried stays."""
    given = ("adamw", "muon", "other")
    found = narrowed(Parameter("optimizer.name", "choice", given), seen([1, 1, 1], [0] * 30 + [2]), "beyond")
    assert found.parameter.values == ("muon", "other")
    rest = "the rest was tried too seldom to leave it out"
    assert found.why == f"3 front configs: muon in 3; left out: adamw (0 of 30); {rest}"


def test_the_control_stays() -> None:
    """recipe baseline is never dropped, as the others are compared with it; all others that are never good are."""
    given = ("baseline", "selective", "low_rank")
    found = narrowed(Parameter("recipe", "choice", given), seen([1] * 6, [0, 2] * 30), "beyond")
    assert found.parameter.values == ("baseline", "selective") and found.why.endswith("baseline stays as the control")
    assert values("recipe", "choice", given, [0] * 6, [1, 2] * 30) == ("baseline",)


def test_what_no_good_config_has_and_what_it_runs_on_stay_as_they_are() -> None:
    """A parameter of a case off the front, and resources: nothing is known of them."""
    rank = narrowed(Parameter("adapter.rank", "choice", (2, 8)), seen([], [0, 1] * 20), "beyond")
    assert rank.parameter.values == (2, 8) and rank.why == "as it was: no config of the front has it"
    assert values("resources.accelerator", "choice", ("H100", "A40"), [0] * 5, [1] * 50) == ("H100", "A40")
