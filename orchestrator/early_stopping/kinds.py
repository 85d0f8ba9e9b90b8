"""Which trials can be compared while they run: those that are trained in the same phases, and looked at alike."""

from __future__ import annotations

import functools
from collections.abc import Hashable

from trainer.config.trial import TrialConfig
from trainer.recipes.variants import plan
from trainer.training.looks import look_steps, look_tokens


@functools.lru_cache(maxsize=16_384)
def kind_of(config: TrialConfig) -> Hashable:
    """Equal for trials of one kind: the same steps and looks, form of schedule, and phases of the same sort.

    Where a phase begins, and how long the warmup is, are numbers that a search may vary. They set no kinds apart: a
    forecast takes them into account, as it does all else that varies.
    """
    recipe = plan(config)
    phases = tuple((one.network, one.loss, one.restarts, one.copies_teacher) for one in recipe.phases)
    looks = look_steps(recipe), look_tokens(config, recipe)
    return (recipe.total_steps, looks, config.schedule.name, recipe.stored, phases)
