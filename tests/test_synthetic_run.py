"""The made-up runs of `benchmarks/synthetic_run.py` are run folders that everything can read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import write_synthetic_run

import results
from results.tables.schema import STATUSES


@pytest.mark.parametrize("num_trials", [3, 40, 1_000])
def test_it_has_as_many_trials_as_asked(tmp_path: Path, num_trials: int) -> None:
    """Every trial once, each with a known status; curves, attempts and nodes name what is there."""
    tables = results.load(write_synthetic_run(tmp_path, num_trials, points=10))
    assert len(tables.trials) == tables.trials.trial_id.nunique() == num_trials
    assert set(tables.trials.status) <= set(STATUSES)
    assert set(tables.curves.trial_id) | set(tables.attempts.trial_id) <= set(tables.trials.trial_id)
    assert set(tables.attempts.node) <= set(tables.nodes.node)


def test_a_large_one_has_all_that_a_night_has(tmp_path: Path) -> None:
    """Every status, both stages, both accelerators, lost attempts, claims; the money of machines is accounted for."""
    tables = results.load(write_synthetic_run(tmp_path, 1_000, points=10))
    assert set(tables.trials.status) == set(STATUSES)
    assert set(tables.trials.stage) == {"search", "confirm"}
    assert set(tables.nodes.accelerator) == {"H100", "A40"}
    assert (tables.attempts.outcome == "lost").any() and (tables.nodes.usd_idle > 0).all()
    parts = tables.nodes[["usd_trials", "usd_lost", "usd_idle"]].sum(axis=1)
    assert np.allclose(tables.nodes.usd, parts) and np.isclose(tables.trials.usd.sum(), tables.attempts.usd.sum())
    assert results.configs(tmp_path).claim_decided.any()


def test_one_seed_gives_one_run(tmp_path: Path) -> None:
    """Two runs of one seed are equal to the byte; another seed gives another."""
    one, other, third = (
        write_synthetic_run(tmp_path / name, 50, points=10, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    files = {path.relative_to(one): path.read_bytes() for path in one.rglob("*") if path.is_file()}
    assert files == {path.relative_to(other): path.read_bytes() for path in other.rglob("*") if path.is_file()}
    assert files != {path.relative_to(third): path.read_bytes() for path in third.rglob("*") if path.is_file()}
