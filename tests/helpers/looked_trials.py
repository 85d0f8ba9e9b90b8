"""Trials of the world of `search_world.py` with losses on the way: quick, noisy, and with a known end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from search_world import row_of

from orchestrator.early_stopping.rule import Ended, Looked
from orchestrator.search.planner import planned_configs, planned_trial
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.recipes.variants import plan
from trainer.training.looks import look_steps

NOISE = 0.02


def ended_trials(spec: SweepSpec, count: int, seed: int = 0) -> Iterator[Ended]:
    """Random configs that ran to their end; the loss falls to the final one, by a way that depends on its rate."""
    chance = np.random.default_rng(seed)
    drawn = dataclasses.replace(
        spec,
        method="random",
        search=spec.search.model_copy(update={"seed": seed}),
        budget=spec.budget.model_copy(update={"trials": count}),
    )
    for candidate, _ in planned_configs(drawn):
        trial = planned_trial(candidate, 1)
        row = row_of(trial)
        recipe = plan(trial.config)
        score = row["ce"] + NOISE * chance.normal()
        looks = {
            step: float(score + 2 * (1 - step / recipe.total_steps) + NOISE * chance.normal())
            for step in look_steps(recipe)
        }
        yield Ended(
            trial_id=trial.trial_id,
            candidate=candidate,
            looks=looks,
            score=float(score),
            artifact_bytes=row["artifact_bytes"] * float(np.exp(0.01 * chance.normal())),
        )


def looked(one: Ended, count: int = 1) -> Looked:
    """The same trial while it ran, after its first looks."""
    return Looked(trial_id=one.trial_id, candidate=one.candidate, looks=dict(list(one.looks.items())[:count]))


def worse(one: Ended, by: float) -> Ended:
    """A trial like another whose losses are all higher."""
    looks = {step: loss + by for step, loss in one.looks.items()}
    return dataclasses.replace(one, looks=looks, score=one.score + by)
