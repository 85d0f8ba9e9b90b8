from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from finished_run import finish_run
from trial_runs import run

from orchestrator.errors import UsageError
from orchestrator.replay import compare, config_of_row, find_row, not_kept
from orchestrator.single_trial import evaluate_artifact, replay_trial
from results.tables.schema import flatten_config
from trainer.config.trial import TrialConfig

SPACE: dict[str, Any] = {
    "recipe": {"choice": ["baseline", "full_adapter", "progressive_distill", "ensemble"]},
    "eval.stride": {"choice": [8]},
}


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """A run folder with one finished trial of four recipes, made by the worker and the recorder without Ray."""
    root = tmp_path_factory.mktemp("replay")
    return finish_run(root, data_root, space=SPACE, seeds=[3], train={"steps": 6})


@pytest.mark.parametrize("recipe", SPACE["recipe"]["choice"])
def test_a_row_alone_is_enough_to_train_the_same_bits(
    recipe: str, finished_run: Path, data_root: Path, tmp_path: Path
) -> None:
    """From the table's row of any recipe comes the same config, and from that the same artifact."""
    row = find_row(finished_run, recipe + "-")
    config = config_of_row(row)
    assert config.trial_id == row["trial_id"]
    comparison = compare(row, run(config, folder=tmp_path, data_root=data_root))
    assert comparison.same_artifact and comparison.ce_difference == 0
    assert "the bits agree" in comparison.text()


def test_another_outcome_is_told_by_how_much_and_why(finished_run: Path, data_root: Path, tmp_path: Path) -> None:
    """Where the device differs the difference is named; on the same device it is called a fault."""
    row = find_row(finished_run, "baseline")
    replayed = run(config_of_row({**row, "seed": 3}), folder=tmp_path, data_root=data_root)
    moved = {**row, "ce": float(row["ce"]) - 0.25, "artifact_sha256": "0" * 64}
    assert "this should not be" in compare(moved, replayed).text()
    elsewhere = compare({**moved, "device_name": "H100"}, replayed).text()
    assert "the device differs" in elsewhere and "+0.250000 nats" in elsewhere


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"linear_std": None}},
        {"model": {"linear_std": None, "rope_dims": None}},
        {"recipe": "distill", "freeze": {"matrices": []}, "model": {"rope_dims": None}},
    ],
    ids=str,
)
def test_a_setting_that_was_empty_on_purpose_is_empty_again(values: dict[str, Any]) -> None:
    """Where a default would fill a setting, a row without a value for it means null or none: the trial is the same."""
    config = TrialConfig.model_validate({**values, "seed": 5})
    row = {"trial_id": config.trial_id, "recipe": config.recipe, "data": config.data, "seed": config.seed}
    row |= {
        name: value for name, value in flatten_config(config.model_dump(mode="json")).items() if value not in (None, "")
    }
    assert config_of_row(row) == config


def test_a_sliding_window_has_columns_of_its_own(finished_run: Path) -> None:
    """With a stride both scores are in the row: they score the same tokens, and the windows do not disagree wildly."""
    trials = pd.read_parquet(finished_run / "tables" / "trials")
    assert trials.ce_sliding.notna().all() and trials.bpb_sliding.notna().all()
    assert (abs(trials.ce_sliding - trials.ce) < 0.5).all() and (trials.ce_sliding != trials.ce).all()


def test_unknown_and_ambiguous_trials_are_refused(finished_run: Path, tmp_path: Path) -> None:
    """No trial, several trials, no run: each is one clear error."""
    with pytest.raises(UsageError, match="0 trials whose id begins with nothing"):
        find_row(finished_run, "nothing")
    with pytest.raises(UsageError, match="4 trials"):
        find_row(finished_run, "")
    with pytest.raises(UsageError):
        find_row(tmp_path / "nowhere", "x")


def test_an_artifact_that_was_not_kept_is_told_with_the_way_to_get_it(
    finished_run: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`eval` ends with one line; `replay` says so, trains again, and its artifact has the SHA-256 of the row."""
    row = pd.read_parquet(finished_run / "tables" / "trials").iloc[0]
    path = finished_run / "trials" / row.trial_id / "artifact.frost"
    assert not_kept(path) is None
    path.rename(tmp_path / "aside")
    assert not_kept(tmp_path / "no run" / "artifact.frost") is None
    with pytest.raises(UsageError, match=f"was not kept, see keep in .*.*frostline replay .* {row.trial_id} --out"):
        evaluate_artifact(path, data=None, data_root=data_root, device=None, as_json=False)
    assert replay_trial(finished_run, row.trial_id, out=tmp_path / "again", data_root=data_root) == 0
    printed = capsys.readouterr().out
    assert "was not kept: compared by the SHA-256 in its row; the new one stays in" in printed
    assert (tmp_path / "again" / "artifact.frost").read_bytes() == (tmp_path / "aside").read_bytes()
    (tmp_path / "aside").rename(path)
