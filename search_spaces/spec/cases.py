"""Reads the `cases` of a sweep file: parameters that exist only where the config has certain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from search_spaces.spec.config_keys import ConfigKey, check_value, find_key, normalized_value
from search_spaces.spec.parameters import hint_for_key, parse_space
from search_spaces.spec.problem_list import ProblemList, did_you_mean
from search_spaces.spec.problems import Keys, dotted, shown
from search_spaces.spec.sweep_spec import Case, Parameter, TrialKeys, get

MAX_CASES = 100

Conditions = dict[str, tuple[Any, ...]]


def parse_cases(raw: Any, base: dict[str, Any], space: Sequence[Parameter], findings: ProblemList) -> tuple[Case, ...]:
    """The conditional spaces, in order; a case may rest on parameters of the cases before it."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        findings.add(("cases",), "must be a list of `when` and `space`", value=raw)
        return ()
    if len(raw) > MAX_CASES:
        findings.add(("cases",), f"must not list more than {MAX_CASES} cases", value=len(raw))
        return ()
    cases: list[Case] = []
    for index, entry in enumerate(raw):
        where: Keys = ("cases", index)
        if not isinstance(entry, dict):
            findings.add(where, "must be a mapping of `when` and `space`", value=entry)
            continue
        for name in entry.keys() - {"when", "space"}:
            findings.add((*where, name), "unknown key", hint=did_you_mean(name, ("when", "space")))
        known = [*space, *(parameter for case in cases for parameter in case.space)]
        # A key of the space never has the value that the base gives it.
        fixed = _without(base, [parameter.key for parameter in space])
        when = _parse_when(entry.get("when"), (*where, "when"), fixed, known, findings)
        parameters = parse_space(entry.get("space"), (*where, "space"), findings)
        if not entry.get("space"):
            findings.add(where, "a case needs a `space`: the parameters that exist when it holds")
        for parameter in parameters:
            if parameter.key == "recipe":
                findings.add(parameter.where, "the recipe cannot depend on a case", hint="put it in `space`")
        cases.append(Case(when=when, space=parameters))
    return tuple(cases)


def check_conflicts(
    base: dict[str, Any], space: Sequence[Parameter], cases: Sequence[Case], findings: ProblemList
) -> None:
    """Note every parameter that sets what another one sets in the same trial."""
    earlier: list[tuple[Parameter, Conditions]] = []
    conditions = _conditions_of_cases(base, space, cases)
    conditional = [(parameter, when) for case, when in zip(cases, conditions, strict=True) for parameter in case.space]
    for parameter, when in [*((parameter, {}) for parameter in space), *conditional]:
        for other, its_when in earlier:
            if _overlap(parameter, other) and not _exclude(when, its_when):
                line = 0 if findings.document is None else findings.document.line(other.where)
                rule = f"sets {_common_key(parameter, other)}, which {dotted(other.where)} (line {line}) sets as well"
                findings.add(parameter.where, rule)
                break
        earlier.append((parameter, when))


def _without(base: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The base without some dotted keys, except whole sections: those are merged, not replaced."""
    remaining: dict[str, Any] = {}
    for key, value in base.items():
        if isinstance(value, dict):
            prefix = f"{key}."
            inner = [name.removeprefix(prefix) for name in keys if name.startswith(prefix)]
            remaining[key] = _without(value, inner)
        elif key not in keys:
            remaining[key] = value
    return remaining


def _parse_when(
    raw: Any, where: Keys, base: dict[str, Any], known: Sequence[Parameter], findings: ProblemList
) -> dict[str, tuple[Any, ...]]:
    """The condition of a case: each dotted key with the values it may have, checked against what can occur."""
    if not isinstance(raw, dict) or not raw:
        rule = "a case needs a `when`: keys and the value, or list of values, they must have"
        findings.add(where, rule, value=raw)
        return {}
    when: dict[str, tuple[Any, ...]] = {}
    for key, place, wanted, here in _conditions("", raw, where, findings):
        is_list_of_values = isinstance(wanted, list) and (
            tuple not in place.types or any(isinstance(item, list) for item in wanted)
        )
        values = wanted if is_list_of_values else [wanted]
        if not values:
            findings.add(here, "must not be empty")
            continue
        if all([check_value(TrialKeys, place, value, here, findings) for value in values]):
            when[key] = tuple(normalized_value(TrialKeys, key, value) for value in values)
            _check_occurs(key, when[key], here, base, known, findings)
    return when


def _conditions(
    prefix: str, raw: dict[str, Any], where: Keys, findings: ProblemList
) -> Iterator[tuple[str, ConfigKey, Any, Keys]]:
    for name, value in raw.items():
        key, here = f"{prefix}{name}", (*where, name)
        place = find_key(TrialKeys, key)
        if place is None:
            findings.add(here, "unknown key", hint=hint_for_key(prefix, name, is_list=False))
        elif place.section is not None and isinstance(value, dict):
            yield from _conditions(f"{key}.", value, here, findings)
        elif place.section is not None:
            findings.add(here, "names a section; a case rests on the value of a key in it", value=value)
        else:
            yield key, place, value, here


def _check_occurs(
    key: str,
    wanted: tuple[Any, ...],
    where: Keys,
    base: dict[str, Any],
    known: Sequence[Parameter],
    findings: ProblemList,
) -> None:
    missing = object()
    fixed = get(base, key, missing)
    setters = [parameter for parameter in known if key in parameter.leaves]
    if fixed is missing and not setters:
        rule = "is neither in `base` nor in `space`"
        findings.add(where, rule, hint="give it in `base`, even at its default")
        return
    for value in wanted:
        if value != fixed and not any(_may_be(parameter, key, value) for parameter in setters):
            findings.add(where, f"never is {shown(value)} in this sweep, so the case never holds")


def _may_be(parameter: Parameter, key: str, value: Any) -> bool:
    if parameter.key == key:
        return parameter.covers(value)
    sub = key.removeprefix(f"{parameter.key}.")
    return any(isinstance(option, dict) and get(option, sub) == value for option in parameter.values)


def _overlap(one: Parameter, other: Parameter) -> bool:
    if one.leaves & other.leaves:
        return True
    # A section that may be null takes everything below it along.
    first, second = sorted((one, other), key=lambda parameter: len(parameter.key))
    return None in first.values and any(leaf.startswith(f"{first.key}.") for leaf in second.leaves)


def _common_key(one: Parameter, other: Parameter) -> str:
    return min(one.leaves & other.leaves, default=max(one.key, other.key, key=len))


def _exclude(one: Conditions, other: Conditions) -> bool:
    """Whether two conditions can never hold in the same trial."""
    shared = one.keys() & other.keys()
    return any(not any(value in other[key] for value in one[key]) for key in shared)


def _conditions_of_cases(base: dict[str, Any], space: Sequence[Parameter], cases: Sequence[Case]) -> list[Conditions]:
    """What must hold for each case: its `when`, and that of the case whose parameter it rests on."""
    conditions: list[Conditions] = []
    for index, case in enumerate(cases):
        when = dict(case.when)
        for key in case.when:
            always = get(base, key, base) is not base or any(key in parameter.leaves for parameter in space)
            setters = [other for other in range(index) if any(key in one.leaves for one in cases[other].space)]
            if not always and len(setters) == 1:
                when = {**conditions[setters[0]], **when}
        conditions.append(when)
    return conditions
