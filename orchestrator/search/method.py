"""What every adaptive method answers: a question with all it may depend on, and the configs it proposes."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.search.history import Observation, Prediction
from search_spaces.configs.combinations import Options
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sweep_spec import Parameter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What the next config should be, given all that a method may know: the answer is a function of this alone.

    Args:
        number: of the suggestion, from 0.
        attempt: how often it was asked for before.
        seed: of this suggestion and attempt, in [0, 2**32).
        observations: every config so far in the order of the suggestions, those of earlier runs first.
        pinned: settings of the trial that are given.
        known: names of the configs that are not to be proposed again.
        drawn: a random draw, for what the method does not choose; kept to `kinds` where it can be.
        kinds: the kinds of device of which the config is to need one; None: no matter which.
    """

    number: int
    attempt: int
    seed: int
    observations: Sequence[Observation]
    pinned: Mapping[str, Any]
    known: Collection[str]
    drawn: Options
    kinds: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A config that a method proposes, and what it expects of it."""

    candidate: Candidate
    predicted: Prediction | None = None


class Method(Protocol):
    """A way to choose configs from what was observed. Several proposals are one draw, crossed with the `grid`."""

    def propose(self, question: Question) -> Sequence[Proposal]:
        """The next configs, or none: the question is then asked once more, with the next attempt."""
        ...


def parameter_name(parameter: Parameter) -> str:
    """The key, and of a case its number too: one key may have other choices in another case."""
    where = parameter.where
    return f"{parameter.key}@{where[1]}" if where[:1] == ("cases",) else parameter.key


def is_learned(parameter: Parameter) -> bool:
    """Whether a method may learn which values are good: not of what a trial runs on."""
    return parameter.key.partition(".")[0] != "resources"
