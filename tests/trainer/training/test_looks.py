"""Looks at a running trial: where they are, how many tokens they score, and that they change nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_config, tiny_recipe
from trial_runs import run, run_broken

from trainer.config.recipe_options import SECTIONS_OF_RECIPE
from trainer.config.trial import TrialConfig
from trainer.recipes.variants import plan
from trainer.result import read_looks
from trainer.training.looks import MAX_TIME_SHARE, SHARES, first_scored_step, look_steps, look_tokens
from trainer.training.state import Report


@pytest.mark.parametrize("recipe", SECTIONS_OF_RECIPE)
def test_a_trial_is_looked_at_where_its_scored_network_trains(recipe: str) -> None:
    """At most five looks, all inside the phases that train what is scored; of an ensemble, its last member."""
    recipe_plan = plan(tiny_recipe(recipe, train={"steps": 40}))
    steps, first = look_steps(recipe_plan), first_scored_step(recipe_plan)
    assert 0 < len(steps) <= len(SHARES)
    assert all(first < step < recipe_plan.total_steps for step in steps)
    assert (first > 0) == (recipe in ("distill", "ensemble"))


@given(
    steps=st.integers(1, 100_000), rows=st.integers(1, 512), length=st.integers(2, 2048), scored=st.integers(2, 10**9)
)
def test_looks_cost_two_per_cent_at_most(steps: int, rows: int, length: int, scored: int) -> None:
    """Of the training's time, if a token costs three times as much to train as to score; but for a single row."""
    train = {"steps": steps, "batch_sequences": rows, "sequence_tokens": length}
    config = tiny_config(train=train, eval={"tokens": max(scored, length)})
    tokens = look_tokens(config, plan(config))
    assert tokens % length == 0 and tokens >= length
    cost, allowed = len(SHARES) * tokens, 3 * MAX_TIME_SHARE * steps * rows * length
    assert tokens == length or (cost <= allowed and tokens <= max(scored, length))


def _artifact(config: TrialConfig, folder: Path, data_root: Path, *, is_looked_at: bool) -> str | None:
    return run(config, folder=folder, data_root=data_root, is_looked_at=is_looked_at).artifact_sha256


@pytest.mark.parametrize("recipe", ["baseline", "progressive_distill", "ensemble"])
def test_looks_change_no_bit(tmp_path: Path, data_root: Path, recipe: str) -> None:
    """A trial that is looked at gives the same artifact, with dropout and with several networks too."""
    model = {"vocab_size": 512, "num_layers": 2, "dim": 32, "num_heads": 2, "dropout": 0.1}
    config = tiny_recipe(recipe, model=model)
    seen = _artifact(config, tmp_path / "seen", data_root, is_looked_at=True)
    assert seen == _artifact(config, tmp_path / "unseen", data_root, is_looked_at=False)


def test_every_look_is_reported_and_kept(tmp_path: Path, data_root: Path) -> None:
    """At once and again with every later report, in the curve, and after stops as well; no other step has one."""
    config, reports = tiny_config(), list[Report]()
    run(config, folder=tmp_path / "a", data_root=data_root, report=reports.append, is_looked_at=True)
    steps = look_steps(plan(config))
    first = {step: next(one for one in reports if step in dict(one.looks)).step for step in steps}
    assert first == {step: step for step in steps}
    looks = dict(reports[-1].looks)
    assert tuple(looks) == steps and all(map(math.isfinite, looks.values()))
    assert read_looks(tmp_path / "a" / "curve.parquet") == looks
    assert read_looks(tmp_path / "none.parquet") == {}
    run_broken(config, tmp_path / "b", data_root, every=1)
    assert read_looks(tmp_path / "b" / "curve.parquet") == {}
