"""Conclusions in words: what is found, what is noise, and when nothing may be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trial_builder import make_tables, make_trial

from results.analysis.pareto_info import pareto_info
from results.report.conclusions import FOUND, NOISE, conclusions


def lines(frozen_ce: Sequence[float], frozen_bytes: int = 300_000, **frozen: Any) -> list[str]:
    """The conclusions on one selective config against a baseline of CE 3.00, 3.01, 3.02 and 400,000 bytes."""
    learned = [make_trial(seed=s, ce=3.0 + s / 100, artifact_bytes=400_000) for s in (0, 1, 2)]
    others = [
        make_trial(recipe="selective", seed=s, ce=ce, artifact_bytes=frozen_bytes, **frozen)
        for s, ce in enumerate(frozen_ce)
    ]
    return conclusions(pareto_info(make_tables(learned + others)))


def test_a_difference_beyond_the_interval_is_found() -> None:
    """Three seeds, each 0.1 worse than its control: found, with direction, bytes and seeds."""
    heading, line = lines([3.1, 3.11, 3.12])
    assert heading == FOUND
    assert line.startswith("  selective") and "CE +3.32 ± 0.03 % (worse) against baseline" in line
    assert line.endswith(", with 25 % fewer bytes (3 seeds)")
    assert "(better)" in lines([2.9, 2.91, 2.92], frozen_bytes=500_000)[1]
    assert "with 25 % more bytes" in lines([2.9, 2.91, 2.92], frozen_bytes=500_000)[1]


def test_a_difference_within_the_interval_is_noise() -> None:
    """Seeds that disagree on the sign are no finding, and no direction is claimed."""
    heading, line = lines([2.9, 3.11, 3.05], frozen_bytes=400_001)
    assert heading == NOISE and "better" not in line and "worse" not in line
    assert "with as many bytes (3 seeds)" in line


def test_one_seed_is_never_a_finding() -> None:
    """However large, a difference of one pair has no interval."""
    heading, line = lines([9.0])
    assert heading == NOISE and "± " not in line and line.endswith("(1 seed)")


def test_without_a_control_nothing_is_said() -> None:
    """Configs that no control is equal to, or a run of nothing, give no conclusion."""
    assert conclusions(pareto_info(make_tables([make_trial(recipe="selective")]))) == []
    assert conclusions(pareto_info(make_tables([make_trial(status="failed", ce=None)]))) == []
