"""The bound on the size of a checkpoint, against the files of real trials."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny import tiny_recipe
from trial_runs import run

from trainer.recipes.variants import RECIPES
from trainer.training.checkpoint_size import most_checkpoint_bytes, most_curve_points
from trainer.training.state import Report
from trainer.trial_files import TrialFiles

EVERY_STEP = {"checkpoint_every_seconds": 0, "eval_every_steps": 3}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_no_checkpoint_is_larger(recipe: str, optimizer: str, tmp_path: Path, data_root: Path) -> None:
    """Of any recipe and optimizer, after any step; and the bound is not twice as large, but for what files add."""
    config = tiny_recipe(recipe, train={**EVERY_STEP, "steps": 12}, optimizer={"name": optimizer})
    files, sizes = TrialFiles(tmp_path), list[int]()

    def report(_: Report) -> None:
        if files.checkpoint_file.exists():
            sizes.append(files.checkpoint_file.stat().st_size)

    run(config, folder=tmp_path, data_root=data_root, report=report, is_looked_at=True)
    assert sizes and max(sizes) <= most_checkpoint_bytes(config) <= 2 * max(sizes) + 200_000
    assert pq.read_metadata(files.curve_file).num_rows <= most_curve_points(config)
