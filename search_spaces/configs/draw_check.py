"""Random search and the rules between keys: values that are never valid, and what share of the space is.

A draw that breaks a rule is drawn again, so without this a value that can keep no rule would never be used, silently.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from search_spaces.configs.combinations import Combination, Option, Options, all_options, combinations
from search_spaces.configs.draws import draw
from search_spaces.spec.cross_field_rules import broken_rules, problems_of
from search_spaces.spec.problems import Problem
from search_spaces.spec.sweep_spec import Parameter, SweepSpec

NUM_DRAWS = 400
MAX_VALUES_CHECKED = 20  # of all parameters together: a second; the others are told when these are mended
MAX_VALUES_NAMED = 4
# A value is told to lose most of its weight where under a quarter of its draws are valid, in that many draws.
LOSES_BELOW = 0.25
MIN_DRAWS_OF_VALUE = 10

Value = tuple[Parameter, int]  # a listed parameter, and the position among its values


@dataclasses.dataclass(frozen=True)
class ValidShare:
    """How many of some draws keep every rule, in all and of each listed value, and the values that lose most."""

    num_draws: int
    num_valid: int
    losers: tuple[tuple[str, Any, int, int], ...]  # key, value, valid draws, draws

    def text(self) -> str | None:
        """One line for the plan; None where every draw is valid."""
        if self.num_valid == self.num_draws:
            return None
        lost = "; ".join(f"{key} = {value}: {valid} of {total}" for key, value, valid, total in self.losers[:4])
        share = f"{100 * self.num_valid / self.num_draws:.0f} % of the space keeps every rule; the rest is drawn again"
        return share + (f". Values that lose most: {lost}" if lost else "")


def valid_share(spec: SweepSpec) -> ValidShare:
    """Try the first draws of a random search, without drawing any of them again."""
    totals, valid = _counts(spec)
    found = [
        (parameter.key, parameter.options[index], valid[parameter.key, index], totals[parameter.key, index])
        for parameter, index in _values(spec)
    ]
    losers = [one for one in found if one[3] >= MIN_DRAWS_OF_VALUE and one[2] < LOSES_BELOW * one[3]]
    losers.sort(key=lambda one: one[2] / one[3])
    return ValidShare(totals["", 0], valid["", 0], tuple(losers))


def values_never_valid(spec: SweepSpec) -> Iterator[Problem]:
    """Listed values that break a rule in every draw, as a grid would say of them."""
    _, valid = _counts(spec)
    num_left = MAX_VALUES_CHECKED
    for parameter in spec.parameters:
        unseen = [index for _, index in _values(spec, parameter) if not valid[parameter.key, index]][:num_left]
        num_left -= len(unseen)
        found = {index: _problem_of_value(spec, parameter, index) for index in unseen}
        problems = {index: problem for index, problem in found.items() if problem is not None}
        if parameter.kind != "steps":
            yield from problems.values()
        elif problems:  # its values have no lines of their own
            named = ", ".join(str(parameter.options[index]) for index in list(problems)[:MAX_VALUES_NAMED])
            number = f"at least {len(problems)}" if num_left <= 0 else f"{len(problems)}"
            rule = f"{number} of its {parameter.num_options} values are never valid ({named}, …)"
            first = next(iter(problems.values()))
            yield Problem(keys=(*parameter.where, "steps"), rule=f"{rule}: {first.rule}", hint=first.hint)


def _problem_of_value(spec: SweepSpec, parameter: Parameter, index: int) -> Problem | None:
    """None if one of the draws with this value is valid, or if its case holds in none of them."""
    fixed = {parameter.key: [(index, parameter.options[index])]}
    invalid: Combination | None = None
    for number in range(NUM_DRAWS):
        for combination in combinations(spec, _options(spec, number, fixed)):
            if any(one is parameter for one, _, _ in combination.chosen):
                if not broken_rules(combination.values):
                    return None
                invalid = invalid or combination
    if invalid is None:
        return None
    hint = f"not one of {NUM_DRAWS} draws with this value is valid: remove it, or change what it does not fit"
    keys = (*parameter.where, parameter.kind, index)
    return dataclasses.replace(problems_of(spec, invalid)[0], keys=keys, hint=hint)


def _values(spec: SweepSpec, parameter: Parameter | None = None) -> list[Value]:
    """The listed values of one parameter, or of all."""
    chosen = spec.parameters if parameter is None else (parameter,)
    return [(one, index) for one in chosen if one.is_listed for index in range(one.num_options)]


def _counts(spec: SweepSpec) -> tuple[Counter[tuple[str, int]], Counter[tuple[str, int]]]:
    """Draws, and valid draws: in all (key ""), and of each listed value."""
    totals: Counter[tuple[str, int]] = Counter()
    valid: Counter[tuple[str, int]] = Counter()
    for number in range(NUM_DRAWS):
        for combination in combinations(spec, _options(spec, number)):
            names = [(one.key, index) for one, index, _ in combination.chosen if index is not None]
            totals.update([("", 0), *names])
            if not broken_rules(combination.values):
                valid.update([("", 0), *names])
    return totals, valid


def _options(spec: SweepSpec, number: int, fixed: Mapping[str, Sequence[Option]] | None = None) -> Options:
    """What one draw gives for each parameter; grid parameters take turns, so that a draw is one combination."""

    def options(parameter: Parameter) -> Sequence[Option]:
        if fixed and parameter.key in fixed:
            return fixed[parameter.key]
        if parameter.kind == "grid":
            return [all_options(parameter)[number % parameter.num_options]]
        return [draw(parameter, spec.search.seed, number)]

    return options
