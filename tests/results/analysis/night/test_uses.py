"""What came of trials, in words: a trial's own state, and not that of its config."""

from __future__ import annotations

import math
from typing import Any

import pytest
from account_rows import make_attempt, make_node, with_account
from trial_builder import make_tables, make_trial

from results.analysis.night.spending import IDLE, spending
from results.analysis.night.uses import DOMINATED, FRONT, NO_SCORE, NOT_RANKED, OVER_LIMIT, SUSPECT, uses_of
from results.analysis.pareto_info import pareto_info
from results.analysis.replicate_groups import to_rows


def trial(name: str, config: str, ce: float | None, size: int | None = 1_000_000, **changes: Any) -> dict[str, Any]:
    return make_trial(**{"trial_id": name, "config_id": config, "ce": ce, "artifact_bytes": size, **changes})


TRIALS = {
    "good": (trial("good", "a", 3.0), FRONT),
    "suspect seed of the front": (trial("suspect", "a", 2.0, seed=2, suspect="slow"), SUSPECT),
    "confirms the front": (trial("fresh", "a", 3.0, seed=3, stage="confirm"), FRONT),
    "worse": (trial("worse", "b", 3.5), DOMINATED),
    "suspect alone": (trial("alone", "c", 2.0, suspect="slow"), SUSPECT),
    "too large": (trial("large", "d", 2.0, 17_000_000), OVER_LIMIT),
    "refused": (trial("refused", "e", None, status="infeasible"), OVER_LIMIT),
    "best, with a stopped seed": (trial("best", "f", 1.0, 1_000), NOT_RANKED),
    "its stopped seed": (trial("halted", "f", None, status="stopped_early", seed=2), "stopped early"),
    "size not known": (trial("unknown", "g", 3.0, None), NOT_RANKED),
    "no number": (trial("nan", "h", math.nan), NO_SCORE),
    "without memory": (trial("oom", "i", None, status="out_of_memory"), "out of memory"),
}


def test_each_trial_has_its_own_use() -> None:
    """Suspect, over the limit or not ranked is never called front or dominated, whatever its config is."""
    tables = make_tables([row for row, _ in TRIALS.values()])
    found = uses_of(pareto_info(tables), to_rows(tables.trials))
    assert dict(zip(TRIALS, found, strict=True)) == {name: use for name, (_, use) in TRIALS.items()}


def test_a_config_may_be_on_the_front_of_one_accelerator_alone() -> None:
    """Fast on one device and slow on the other: its trials there are dominated."""
    trials = [
        trial(f"{kind}-{config}", config, 3.0, accelerator=kind, tokens_per_s=speed)
        for kind, config, speed in (("H100", "a", 9.0), ("H100", "b", 5.0), ("A40", "a", 1.0), ("A40", "b", 2.0))
    ]
    tables = make_tables(trials)
    info = pareto_info(tables, {"ce": "min", "tokens_per_s": "max"})
    assert uses_of(info, to_rows(tables.trials)) == [FRONT, DOMINATED, DOMINATED, FRONT]


def test_equal_configs_on_other_data_are_told_apart() -> None:
    """One config on two texts: it is on the front of one of them."""
    trials = [trial("a", "a", 3.0), trial("b", "b", 3.5)]
    trials += [{**row, "data_sha256": "e" * 64, "ce": 9 - row["ce"]} for row in trials]
    tables = make_tables(trials)
    assert uses_of(pareto_info(tables), to_rows(tables.trials)) == [FRONT, DOMINATED, DOMINATED, FRONT]


def test_without_a_front_there_are_states_alone() -> None:
    """Nothing completed yet: no front is needed for that."""
    rows = to_rows(make_tables([trial("x", "x", None, status="failed"), trial("y", "y", 3.0)]).trials)
    assert uses_of(None, rows) == ["failed", NO_SCORE] and uses_of(None, []) == []


def test_uses_add_up_to_the_account() -> None:
    """Every trial of an hour at a dollar: each use has its trials' dollars, and all add up to the machine's."""
    rows = [row for row, _ in TRIALS.values()]
    attempts = [make_attempt(row["trial_id"], 3600 * i, 3600 * (i + 1), i) for i, row in enumerate(rows)]
    tables = with_account(rows, attempts, [make_node(0, 3600 * 14)])
    found = spending(tables, uses_of(pareto_info(tables), to_rows(tables.trials)))
    assert found is not None
    usd = {use: cost.usd for use, cost in found.uses.items()}
    once = {DOMINATED, "stopped early", NO_SCORE, "out of memory"}
    twice = {FRONT, SUSPECT, OVER_LIMIT, NOT_RANKED, IDLE}
    assert usd == pytest.approx({**dict.fromkeys(once, 1.0), **dict.fromkeys(twice, 2.0)})
    assert found.total.usd == pytest.approx(14.0)
