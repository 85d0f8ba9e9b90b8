"""What a recipe is: its networks, the kind of each weight, and its phases. Free of torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from math import prod
from typing import Literal

from trainer.config.shape import ModelShape
from trainer.recipes.weight_shapes import Shape

WeightKind = Literal["learned", "seeded", "stored_frozen"]


Scheme = Literal["normal", "uniform", "rademacher", "orthogonal"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weight:
    """One weight of a network: its shape, its kind at the end of training, and what a seeded one is made from."""

    shape: Shape
    kind: WeightKind = "learned"
    scheme: Scheme = "normal"
    seed: int = 0

    @property
    def num_params(self) -> int:
        return prod(self.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """One model of a trial: its shape and its weights by name.

    `prefix` sets apart the names of several networks in one artifact, and their starts: networks of one trial that
    differ in prefix begin at different weights.
    """

    model: ModelShape
    weights: Mapping[str, Weight]
    prefix: str = ""
    branch: Literal["gelu", "none"] = "gelu"  # what stands between the matrices of a low-rank branch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of training of one network: a row of a recipe.

    Args:
        network: the network that is trained.
        steps: optimizer steps.
        loss: `ce`, or `distill` from the logits of `teacher`.
        copies_teacher: the teacher is the network as it stands when the phase begins (self-distillation).
        freezes: weights that keep their values from here on.
        restarts: begin with a new optimizer; else the last phase's state is carried on.
        rate: peak learning rate over the config's.
        schedule_start, schedule_steps: where in which schedule the phase runs.
    """

    name: str
    steps: int
    network: str = "model"
    loss: Literal["ce", "distill"] = "ce"
    teacher: str | None = None
    copies_teacher: bool = False
    freezes: tuple[str, ...] = ()
    restarts: bool = True
    rate: float = 1.0
    schedule_start: int = 0
    schedule_steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a trial does: its networks, its phases in order, and which networks the artifact holds.

    `seeded` weights are regenerated from a seed and cost no bytes, `stored_frozen` ones are frozen at trained
    values and cost theirs, `learned` ones are trained to the end.
    """

    phases: tuple[Phase, ...]
    networks: Mapping[str, Network]
    stored: tuple[str, ...] = ("model",)

    @property
    def total_steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def weights(self) -> dict[str, Weight]:
        """Every weight that a cold process needs, by its name in the artifact, in stored order."""
        networks = [self.networks[name] for name in self.stored]
        return {n.prefix + name: weight for n in networks for name, weight in n.weights.items()}

    def names(self, kind: WeightKind) -> tuple[str, ...]:
        """The weights of one kind, in stored order."""
        return tuple(name for name, weight in self.weights.items() if weight.kind == kind)

    def num_params(self, kind: WeightKind | None = None) -> int:
        """Parameters of one kind, or of all."""
        return sum(weight.num_params for weight in self.weights.values() if kind in (None, weight.kind))
