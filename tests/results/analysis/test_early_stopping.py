"""What a run's table says of its early stopping."""

from __future__ import annotations

from typing import Any

import pytest

from results.analysis.early_stopping import stopping_summary


def row(status: str, steps: int, **values: Any) -> dict[str, Any]:
    return {"status": status, "steps": steps, "steps_planned": 100, "ce": 3.0, "stop_step": None, **values}


def test_steps_and_wrong_stops_are_counted() -> None:
    """Of ten trials three were stopped after 20 steps; two ran on, one of them better than its best case."""
    rows = [row("completed", 100) for _ in range(5)]
    rows += [row("stopped_early", 20, ce=None, stop_step=20, stop_best_case=3.1, stop_audited=False) for _ in range(3)]
    rows += [row("completed", 100, stop_step=20, stop_best_case=best, stop_audited=True) for best in (2.9, 3.1)]
    found = stopping_summary(rows)
    assert found is not None
    assert (found.num_stopped, found.num_ran_on, found.num_wrong) == (3, 2, 1)
    assert found.steps_saved_share == pytest.approx(0.24)
    low, high = found.wrong_interval()
    assert (low, high) == pytest.approx((0.0126, 0.9874), abs=1e-4)  # Clopper and Pearson, 1 of 2
    assert "24% of all steps saved; of 2 that were to be stopped and ran on, 1 ended better" in found.text()


def test_nothing_was_decided() -> None:
    """Without a verdict there is nothing to say, also of a trial that a user stopped."""
    assert stopping_summary([]) is None
    assert stopping_summary([row("completed", 100), row("stopped_early", 10)]) is None


def test_without_audits_it_says_so() -> None:
    """A rate of nothing is not given."""
    rows = [row("stopped_early", 50, ce=None, stop_step=50, stop_best_case=2.0)]
    found = stopping_summary(rows)
    assert found is not None and found.text().endswith("50% of all steps saved; none ran on to check the rule")
