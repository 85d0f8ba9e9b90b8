"""Short configs: every recipe stays itself in twenty steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_config, tiny_recipe

from orchestrator.canary.short_config import short_config
from trainer.recipes.variants import RECIPES, plan


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_phase_is_reached(recipe: str) -> None:
    """A trial of 900 steps in 20: the same networks, and each of the same phases has a step."""
    long = tiny_recipe(recipe, train={"steps": 900}, optimizer={"name": "muon"})
    short = short_config(long, 20)
    assert short.train.steps == 20
    assert [phase.name for phase in plan(short).phases] == [phase.name for phase in plan(long).phases]
    assert all(phase.steps > 0 for phase in plan(short).phases)
    assert plan(short).networks == plan(long).networks


def test_what_counts_steps_is_divided_alike() -> None:
    """500 of 1000 steps of warm-up are 10 of 20; a trial of fewer steps is left as it is."""
    schedule = {"name": "warmdown", "warmup_steps": 500, "warmdown_steps": 200}
    short = short_config(tiny_config(train={"steps": 1_000, "eval_every_steps": 250}, schedule=schedule), 20)
    assert (short.schedule.warmup_steps, short.schedule.warmdown_steps) == (10, 4)
    assert short.train.eval_every_steps == 5 and short.optimizer.momentum_warmup_steps == 10
    few = tiny_config(train={"steps": 12}, eval={"tokens": 100})
    assert short_config(few, 20) == few


@given(st.integers(3, 100_000), st.floats(0.01, 0.99), st.integers(3, 60))
def test_any_share_of_the_steps_is_valid(steps: int, freeze_at: float, short_steps: int) -> None:
    """Wherever a recipe freezes, the short config keeps every rule, and scores no more than one batch of rows."""
    long = tiny_recipe("progressive", train={"steps": steps}, progressive={"freeze_at": freeze_at})
    short = short_config(long, short_steps)
    assert (
        short.train.steps == min(steps, short_steps) and sum(p.steps for p in plan(short).phases) == short.train.steps
    )
    assert short.eval.tokens is not None and short.eval.tokens <= 32 * short.train.sequence_tokens + 1
