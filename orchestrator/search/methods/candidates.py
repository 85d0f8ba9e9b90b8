"""The configs that an acquisition function is computed for: random draws, and neighbours of good configs."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from itertools import islice

from orchestrator.search.method import Question, parameter_name
from search_spaces.configs.agreeing import agreeing
from search_spaces.configs.combinations import Combination, Option, Options, all_options
from search_spaces.configs.device_kinds import kept_to, one_runs_on
from search_spaces.configs.draws import draw, takes_whole_numbers
from search_spaces.configs.valid_configs import Candidate, arms_of, options_of_draw
from search_spaces.spec.sweep_spec import Parameter, SweepSpec

Draw = tuple[Candidate, ...]

NUM_RANDOM = 300  # in a window that moves by NUM_NEW with every suggestion, so that most are known already
NUM_NEW = 30
MAX_TRIED = 3_000  # draws for as many that can run on the kinds of device which are asked for
NUM_PARENTS = 12
NUM_NEIGHBOURS = 8  # of each parent
SHARE_CHANGED = 0.2  # of the parameters of a neighbour, and at least one
STEP = 0.15  # of a range, the farthest that a neighbour is


class CandidatePool:
    """Makes candidates, and remembers those that were drawn at random."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self._drawn: dict[tuple[int, tuple[str, ...] | None], Draw] = {}

    def draws(self, question: Question, parents: Sequence[Candidate]) -> list[Draw]:
        """Valid draws that can run on the kinds of the question, each with its arms. `parents`: the best first."""
        first = NUM_NEW * question.number + NUM_RANDOM * question.attempt
        found = self._window(first, question.kinds)
        pinned = dict(question.pinned)
        fitting = [one for one in found if one and all(getattr(one[0].config, key) == pinned[key] for key in pinned)]
        if pinned:
            numbers = range(first, first + NUM_RANDOM // 3)
            options = (kept_to(question.kinds, self._options(number)) for number in numbers)
            fitting += [self._arms(agreeing(pinned, one)) for one in options]
        fitting += self._neighbours(question, parents)
        unique = {one[0].name: one for one in fitting if one and one_runs_on(one, question.kinds)}
        return list(unique.values())

    def _window(self, first: int, kinds: tuple[str, ...] | None) -> list[Draw]:
        """`NUM_RANDOM` draws; for some kinds as many that fit, also where these are rare."""
        if kinds is None:
            return [self._random(number, None) for number in range(first, first + NUM_RANDOM)]
        found = (self._random(number, kinds) for number in range(first, first + MAX_TRIED))
        return list(islice((one for one in found if one and one_runs_on(one, kinds)), NUM_RANDOM))

    def _random(self, number: int, kinds: tuple[str, ...] | None) -> Draw:
        if (number, kinds) not in self._drawn:
            self._drawn[number, kinds] = self._arms(kept_to(kinds, self._options(number)))
        return self._drawn[number, kinds]

    def _options(self, number: int) -> Options:
        """A draw of its own kind: not one that a random suggestion gives."""
        return options_of_draw(self.spec.search.seed, number, attempt=-1)

    def _neighbours(self, question: Question, parents: Sequence[Candidate]) -> Iterator[Draw]:
        pinned = dict(question.pinned)
        able = [one for one in parents if one_runs_on([one], question.kinds)]
        fitting = [one for one in able if all(getattr(one.config, key) == pinned[key] for key in pinned)]
        for number, parent in enumerate([*fitting, *parents][:NUM_PARENTS] * NUM_NEIGHBOURS):
            near = kept_to(question.kinds, neighbour_options(parent, question.seed, number))
            yield self._arms(agreeing(pinned, near))

    def _arms(self, options: Options) -> Draw:
        """Empty where a combination breaks a rule."""
        arms = arms_of(self.spec, options)
        return () if isinstance(arms, Combination) else tuple(arms)


def neighbour_options(parent: Candidate, seed: int, number: int) -> Options:
    """The parent's values, some of them changed a little; what the parent does not have is drawn."""
    chance = random.Random(f"{seed}/{number}")
    changed = {parameter_name(one) for one, _, _ in parent.chosen if chance.random() < SHARE_CHANGED}
    changed |= {parameter_name(chance.choice(parent.chosen)[0])} if parent.chosen else set()
    kept: dict[str, Option] = {parameter_name(one): (index, value) for one, index, value in parent.chosen}

    def options(parameter: Parameter) -> Sequence[Option]:
        if parameter.kind == "grid":
            return all_options(parameter)
        name = parameter_name(parameter)
        if name not in kept or (parameter.is_listed and kept[name][1] not in parameter.options):
            return [draw(parameter, seed, number)]
        if name not in changed:
            return [kept[name]]
        _, value = draw(around(parameter, kept[name][1]), seed, number)
        return [(list(parameter.options).index(value) if parameter.is_listed else None, value)]

    return options


def around(parameter: Parameter, value: object) -> Parameter:
    """The part of a parameter that is near a value: the next numbers of a list, a piece of a range; else all of it."""
    if parameter.is_listed:
        options = list(parameter.options)
        if len(options) < 3 or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in options):
            return dataclasses.replace(parameter, kind="choice", values=tuple(options))
        ordered = sorted(options)
        place = ordered.index(value)
        near = ordered[max(0, place - 1) : place] + ordered[place + 1 : place + 2]
        return dataclasses.replace(parameter, kind="choice", values=tuple(near))
    assert isinstance(value, int | float)
    low, high = parameter.values
    if parameter.kind == "log_range":
        ratio = (high / low) ** STEP
        low, high = max(low, value / ratio), min(high, value * ratio)
    else:
        step = max((high - low) * STEP, 1.0 if takes_whole_numbers(parameter) else 0.0)
        low, high = max(low, value - step), min(high, value + step)
    if takes_whole_numbers(parameter):
        low, high = int(low), int(high)
    return dataclasses.replace(parameter, values=(low, high))
