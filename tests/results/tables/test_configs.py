"""The table of configs: it says what `pareto` says, with types that pandas keeps."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from trial_builder import make_tables, make_trial

from results.analysis.pareto_info import pareto_info
from results.tables.configs import COLUMNS, frame_of, write_configs


def test_a_row_for_each_config_as_pareto_has_it(tmp_path: Path) -> None:
    """Means, front and probability of each group; read back from its file it is the same frame."""
    trials = [make_trial(seed=seed, ce=3.0 + seed / 100) for seed in (1, 2, 3)]
    trials += [make_trial("selective", seed=seed, ce=3.5, artifact_bytes=10) for seed in (1, 2)]
    info = pareto_info(make_tables(trials))
    frame = frame_of(info)
    assert frame.config_id.tolist() == [group.config_id for group in info.groups]
    assert frame.ce.tolist() == [group.ce.mean for group in info.groups] and frame.num_seeds.tolist() == [3, 2]
    assert frame.front_probability.tolist() == [group.front_probability for group in info.groups]
    assert frame.on_front.all() and frame.ce_test.isna().all() and frame.claim_decided.isna().all()
    pd.testing.assert_frame_equal(pd.read_parquet(write_configs(tmp_path, info)), frame)


def test_a_claim_stands_in_the_row_of_its_config() -> None:
    """With the rival, the difference, the p-value and whether it is decided; the rival has its own confirmation."""
    trials = [make_trial(seed=1, ce=3.3), make_trial("selective", seed=1, ce=3.1)]
    rival, config = (trial["config_id"] for trial in trials)
    for seed in (101, 102, 103):
        more = {"stage": "confirm", "seed": seed}
        trials.append(make_trial(ce=3.3, ce_test=3.5 + seed / 1e4, **more))
        trials.append(make_trial("selective", ce=3.2, ce_test=3.4 + seed / 1e4, confirm_against=rival, **more))
    frame = frame_of(pareto_info(make_tables(trials))).set_index("config_id")
    assert frame.claim_against[config] == rival and frame.claim_decided[config]
    assert frame.claim_difference[config] == pytest.approx(-0.1) and frame.claim_p[config] < 0.01
    assert frame.num_fresh_seeds.tolist() == [3, 3] and pd.isna(frame.claim_against[rival])


def test_with_a_goal_of_the_device_a_config_has_a_row_for_each_accelerator() -> None:
    """With its rank there; else the column is empty, as one row is of all accelerators."""
    trials = [make_trial(accelerator=kind, seed=seed) for seed, kind in ((1, "A40"), (2, "H100"))]
    frame = frame_of(pareto_info(make_tables(trials), {"ce": "min", "tokens_per_s": "max"}))
    assert sorted(frame.accelerator) == ["A40", "H100"] and frame.on_front.all() and frame.config_id.nunique() == 1
    assert frame_of(pareto_info(make_tables(trials))).accelerator.isna().all()


def test_no_config_is_an_empty_frame_with_all_columns() -> None:
    """Nothing has completed: the columns and their types are there."""
    frame = frame_of(pareto_info(make_tables([make_trial(ce=None, status="failed")])))
    assert len(frame) == 0 and {name: str(kind) for name, kind in frame.dtypes.items()} == COLUMNS
