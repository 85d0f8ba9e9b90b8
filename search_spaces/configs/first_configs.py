"""Configs that a sweep runs first: `search.first`, settings of the space; what an entry leaves out is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from search_spaces.configs.agreeing import agreeing
from search_spaces.configs.combinations import Combination, combinations
from search_spaces.configs.valid_configs import MAX_ATTEMPTS, arms_of, options_of_draw
from search_spaces.spec.config_keys import checked_value, find_key, placed_below
from search_spaces.spec.cross_field_rules import problems_of
from search_spaces.spec.nested import get, leaves, merged, nested
from search_spaces.spec.parameters import entries, unknown_parameter
from search_spaces.spec.problems import Keys, Problem
from search_spaces.spec.sweep_spec import Parameter, SweepSpec

_ABSENT = object()


def first_values(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as nested settings, whichever way its keys are written."""
    values: dict[str, Any] = {}
    for name, value, _ in entries(entry, ()):
        values = merged(values, nested(name, checked_value(name, value)[0]))
    return values


def first_problems(spec: SweepSpec) -> Iterator[Problem]:
    """Entries that the space does not hold, or that break a rule whatever else is drawn."""
    for index, entry in enumerate(spec.search.first):
        where: Keys = ("search", "first", index)
        problems = [problem for one in entries(entry, where) for problem in _problems_of_value(spec, *one)]
        yield from problems or _problems_of_entry(spec, first_values(entry), where)


def _problems_of_value(spec: SweepSpec, name: str, value: Any, where: Keys) -> list[Problem]:
    key = find_key(name)
    if key is None or name == "seed":
        return [unknown_parameter(name, where, value)]
    checked, wrong = checked_value(name, value)
    if wrong:
        return placed_below(wrong, where)
    setters = [one for one in spec.parameters if name in one.leaves or one.key.startswith(f"{name}.")]
    if not setters:
        hint = "it is the same in all trials: remove it, or let it vary"
        return [Problem(keys=where, rule="is not in the space", value=value, hint=hint)]
    if not any(_covers(one, name, checked) for one in setters):
        return [Problem(keys=where, rule=f"is not among the values of {setters[0].key}", value=value)]
    return []


def _covers(parameter: Parameter, name: str, value: Any) -> bool:
    if parameter.key == name:
        return parameter.covers(value)
    sub = name.removeprefix(f"{parameter.key}.")
    return any(isinstance(option, dict) and get(option, sub, _ABSENT) == value for option in parameter.values)


def _problems_of_entry(spec: SweepSpec, values: dict[str, Any], where: Keys) -> list[Problem]:
    """None if one of the draws that agree with the entry is valid."""
    invalid: Combination | None = None
    for attempt in range(MAX_ATTEMPTS):
        options = agreeing(values, options_of_draw(spec.search.seed, 0, attempt))
        arms = arms_of(spec, options)
        if isinstance(arms, Combination):
            invalid = arms
        elif not arms:
            return [Problem(keys=where, rule="no one choice of the space has all its values")]
        else:
            unused = next((key for key in leaves(values) if not _is_used(spec, values, key, attempt)), None)
            rule = "is in no config of the space beside the other values"
            return [] if unused is None else [Problem(keys=(*where, unused), rule=rule)]
    assert invalid is not None
    return [Problem(keys=where, rule=problem.rule, hint=problem.hint) for problem in problems_of(spec, invalid)[:1]]


def _is_used(spec: SweepSpec, values: dict[str, Any], key: str, attempt: int) -> bool:
    options = agreeing(values, options_of_draw(spec.search.seed, 0, attempt))
    return any(get(one.values, key, _ABSENT) == get(values, key) for one in combinations(spec, options))
