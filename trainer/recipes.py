"""Recipes: a named variant is a function from a config to phases and to the kind of every weight. Free of torch.

A new variant is a new row in `RECIPES`, never a new loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

from trainer.config import TrialConfig
from trainer.shapes import weight_shapes

WeightKind = Literal["learned", "seeded", "stored_frozen"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training: so many optimiser steps with one loss."""

    name: str
    steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a trial does (`phases`, in order) and what each weight is (`kinds`, by weight name).

    `seeded` weights are regenerated from a seed and cost no bytes, `stored_frozen` ones are frozen at trained
    values and cost theirs, `learned` ones are trained to the end.
    """

    phases: tuple[Phase, ...]
    kinds: Mapping[str, WeightKind]

    @property
    def total_steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def names(self, kind: WeightKind) -> tuple[str, ...]:
        """The weights of one kind, in stored order."""
        return tuple(name for name, its_kind in self.kinds.items() if its_kind == kind)


def baseline(config: TrialConfig) -> Recipe:
    """Everything is learned: the control."""
    kinds: dict[str, WeightKind] = {name: "learned" for name in weight_shapes(config.model)}
    return Recipe(phases=(Phase(name="train", steps=config.train.steps),), kinds=kinds)


def selective(config: TrialConfig) -> Recipe:
    """Chosen matrices stay at seeded random values (parameter-golf PR #1301, "selective freeze")."""
    assert config.freeze is not None
    layers = config.freeze.layer_set(config.model.num_layers)
    frozen = {f"blocks.{layer}.{matrix}" for layer in layers for matrix in config.freeze.matrices}
    kinds: dict[str, WeightKind] = {
        name: "seeded" if name in frozen else "learned" for name in weight_shapes(config.model)
    }
    return Recipe(phases=(Phase(name="train", steps=config.train.steps),), kinds=kinds)


RECIPES: dict[str, Callable[[TrialConfig], Recipe]] = {"baseline": baseline, "selective": selective}


def plan(config: TrialConfig) -> Recipe:
    """The recipe of a config: its phases and the kind of each weight."""
    return RECIPES[config.recipe](config)
