"""How long trials take: by their kind of device at first, then by the trials that ended."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from tiny import tiny_config

from orchestrator.estimates.speeds import CARDS, MEASURED_CPU, card_speed
from orchestrator.scheduling.cost_model import training_cost
from orchestrator.scheduling.durations import HIGH_BEFORE_ANY, Durations, Expected

COST = training_cost(tiny_config(train={"steps": 20_001}))
LONGER = training_cost(tiny_config(train={"steps": 40_001}))
PRIOR = COST.seconds(card_speed(CARDS["A40"]))


def row(in_steps: float, beside: float, **values: object) -> dict[str, object]:
    """Of a completed trial whose parts took so many times what is expected of an A40."""
    train, total = PRIOR.steps * in_steps, PRIOR.steps * in_steps + PRIOR.beside * beside
    row = {"status": "completed", "accelerator": "A40", "train_seconds": train, "total_seconds": total}
    return {**row, "steps": 20_001, "steps_planned": 20_001, **values}


def known(durations: Durations, kind: str = "A40") -> Expected:
    found = durations.expected(COST, kind)
    assert found is not None
    return found


def test_before_any_trial_its_kind_says_how_long() -> None:
    """With a wide range for a card, a narrower one for a CPU; of an unknown kind nothing is expected."""
    durations = Durations()
    card, cpu = known(durations), known(durations, "CPU")
    assert card.middle == pytest.approx(PRIOR.total) and card.is_prior and card.beside == pytest.approx(PRIOR.beside)
    assert card.low == pytest.approx(card.middle**2 / card.high)
    assert card.high / card.middle > 1.8 > 1.5 > cpu.high / cpu.middle > 1.1
    assert cpu.middle == pytest.approx(COST.seconds(MEASURED_CPU).total)
    assert durations.expected(COST, "abacus") is None


def test_a_card_s_doubt_forbids_no_start() -> None:
    """Before any trial of it has ended, half as long again as expected counts; afterwards what nine in ten take."""
    durations = Durations()
    assert known(durations).to_start == HIGH_BEFORE_ANY * known(durations).middle < known(durations).high
    durations.ended(row(1.0, 1.0), COST)
    assert known(durations).to_start == known(durations).high and not known(durations).is_prior


def test_durations_are_learned_by_accelerator() -> None:
    """Steps and what is beside them apart; of another accelerator nothing is learned."""
    durations = Durations()
    for _ in range(8):
        durations.ended(row(3.0, 0.5), COST)
    found, longer = durations.expected(COST, "A40"), durations.expected(LONGER, "A40")
    assert found is not None and longer is not None
    assert found.middle == pytest.approx(3 * PRIOR.steps + 0.5 * PRIOR.beside, rel=0.02)
    assert longer.middle - found.middle == pytest.approx(3 * PRIOR.steps, rel=0.02)
    assert found.high / found.middle < 1.25
    assert durations.expected(COST, "H100") == Durations().expected(COST, "H100")


def test_few_trials_leave_doubt_and_many_take_it() -> None:
    """The range becomes narrower, and holds what was seen."""
    durations, ratios = Durations(), []
    rng = random.Random(3)
    for _ in range(200):
        ratio = math.exp(rng.gauss(0.5, 0.1))
        durations.ended(row(ratio, ratio), COST)
        ratios.append(known(durations).high / known(durations).middle)
    assert ratios[0] > 1.3 > 1.17 > ratios[-1] > 1.1
    assert known(durations).middle == pytest.approx(math.exp(0.5) * PRIOR.total, rel=0.03)


def test_an_unknown_kind_is_known_by_its_trials() -> None:
    """As the first one completed; one that was stopped is not enough, as nothing is known of what is beside steps."""
    durations = Durations()
    durations.ended(row(1.0, 1.0, accelerator="abacus", status="stopped_early"), COST)
    assert durations.expected(COST, "abacus") is None
    durations.ended(row(1.0, 1.0, accelerator="abacus"), COST)
    assert known(durations, "abacus").middle == pytest.approx(PRIOR.total, rel=0.2)


@pytest.mark.parametrize("status", ["stopped_early", "deadline", "diverged"])
def test_a_trial_that_was_stopped_teaches_how_long_steps_take(status: str) -> None:
    """By the share of its steps that it did, and nothing of what is beside them."""
    durations = Durations()
    for _ in range(8):
        durations.ended(row(0.5, 9.0, status=status, steps=5_000), COST)
    found = known(durations)
    assert found.middle == pytest.approx(2 * PRIOR.steps + PRIOR.beside, rel=0.02)


@pytest.mark.parametrize(
    "odd",
    [
        {"status": "failed"},
        {"status": "out_of_memory"},
        {"steps_repeated": 3},
        {"train_seconds": None},
        {"train_seconds": 0.0},
        {"total_seconds": None},
        {"accelerator": None},
        {"status": "stopped_early", "steps": 10},
        {"status": "deadline", "steps": None, "steps_planned": None},
    ],
)
def test_what_was_not_whole_teaches_nothing(odd: dict[str, object]) -> None:
    """A trial that failed, one that repeated steps, one without times, one that had hardly begun."""
    durations = Durations()
    durations.ended({**row(5.0, 5.0), **odd}, COST)
    assert durations.expected(COST, "A40") == Durations().expected(COST, "A40")


def test_a_row_takes_constant_time_and_memory() -> None:
    """Ten thousand rows are kept as three numbers."""
    durations = Durations()
    for _ in range(10_000):
        durations.ended(row(1.0, 1.0), COST)
    assert durations._steps["A40"].count == 10_000 and known(durations).mean_sigma < 0.001


def test_a_sample_has_the_expected_range() -> None:
    """Four in five lie between `low` and `high`."""
    expected, rng = known(Durations()), random.Random(4)
    drawn = [expected.sample(rng) for _ in range(4_000)]
    assert statistics.median(drawn) == pytest.approx(expected.middle, rel=0.1)
    assert sum(expected.low <= one <= expected.high for one in drawn) / len(drawn) == pytest.approx(0.8, abs=0.03)


def test_trials_of_one_world_share_what_is_not_known() -> None:
    """Within a world trials differ by their scatter; worlds differ by the accelerator's mean as well."""
    durations, rng = Durations(), random.Random(5)

    def logs(num_worlds: int, num_trials: int) -> list[list[float]]:
        worlds = [durations.draw_world(rng) for _ in range(num_worlds)]
        return [[math.log(_steps(world, rng)) for _ in range(num_trials)] for world in worlds]

    def _steps(world: object, rng: random.Random) -> float:
        found = world.seconds(COST, "A40", rng)  # type: ignore[attr-defined]
        assert found is not None
        return float(found.steps)

    within = statistics.mean(statistics.stdev(one) for one in logs(20, 200))
    between = statistics.stdev(statistics.mean(one) for one in logs(400, 20))
    assert within == pytest.approx(0.25, rel=0.1) and between == pytest.approx(math.log(2), rel=0.1)


def test_a_world_is_the_same_whatever_is_asked_first() -> None:
    """Its means depend on its seed alone, so that two plans can be compared in the same worlds."""
    durations = Durations()
    one, other = (durations.draw_world(random.Random(6)) for _ in range(2))
    one.seconds(COST, "H100", random.Random(0))
    assert one.seconds(COST, "A40", random.Random(7)) == other.seconds(COST, "A40", random.Random(7))
    assert one.seconds(COST, "abacus", random.Random(7)) is None
