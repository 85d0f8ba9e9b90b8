"""Reads the `cases` of a sweep file: parameters that exist only where the config has certain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from search_spaces.spec.config_keys import ConfigKey, checked_value, find_key, placed_below
from search_spaces.spec.nested import get
from search_spaces.spec.parameters import entries, read_space, unknown_parameter
from search_spaces.spec.problems import Keys, Problem, dotted, shown
from search_spaces.spec.sweep_file import CaseFile
from search_spaces.spec.sweep_spec import Case, Parameter
from search_spaces.spec.yaml_document import Document

Conditions = dict[str, tuple[Any, ...]]
_MISSING = object()


def read_cases(
    raw: Sequence[CaseFile], base: dict[str, Any], space: Sequence[Parameter]
) -> tuple[tuple[Case, ...], list[Problem]]:
    """The conditional spaces, in order; a case may rest on parameters of the cases before it."""
    cases: list[Case] = []
    problems: list[Problem] = []
    for index, entry in enumerate(raw):
        where: Keys = ("cases", index)
        known = [*space, *(parameter for case in cases for parameter in case.space)]
        # A key of the space never has the value that the base gives it.
        fixed = _without(base, [parameter.key for parameter in space])
        when, of_when = _read_when(entry.when, (*where, "when"), fixed, known)
        parameters, of_space = read_space(entry.space, (*where, "space"))
        problems += [*of_when, *of_space]
        if not entry.space:
            problems.append(Problem(keys=where, rule="a case needs a `space`: the parameters that exist when it holds"))
        rule, hint = "the recipe cannot depend on a case", "put it in `space`"
        problems += [Problem(keys=one.where, rule=rule, hint=hint) for one in parameters if one.key == "recipe"]
        cases.append(Case(when=when, space=parameters))
    return tuple(cases), problems


def conflicts(
    base: dict[str, Any], space: Sequence[Parameter], cases: Sequence[Case], document: Document
) -> Iterator[Problem]:
    """Every parameter that sets what another one sets in the same trial."""
    earlier: list[tuple[Parameter, Conditions]] = []
    conditions = _conditions_of_cases(base, space, cases)
    conditional = [(parameter, when) for case, when in zip(cases, conditions, strict=True) for parameter in case.space]
    for parameter, when in [*((parameter, {}) for parameter in space), *conditional]:
        for other, its_when in earlier:
            if _overlap(parameter, other) and not _exclude(when, its_when):
                common = min(parameter.leaves & other.leaves, default=max(parameter.key, other.key, key=len))
                line = document.line(other.where)
                rule = f"sets {common}, which {dotted(other.where)} (line {line}) sets as well"
                yield Problem(keys=parameter.where, rule=rule)
                break
        earlier.append((parameter, when))


def _without(base: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The base without some dotted keys, except whole sections: those are merged, not replaced."""
    remaining: dict[str, Any] = {}
    for key, value in base.items():
        if isinstance(value, dict):
            prefix = f"{key}."
            remaining[key] = _without(value, [name.removeprefix(prefix) for name in keys if name.startswith(prefix)])
        elif key not in keys:
            remaining[key] = value
    return remaining


def _read_when(
    raw: dict[str, Any], where: Keys, base: dict[str, Any], known: Sequence[Parameter]
) -> tuple[Conditions, list[Problem]]:
    """The condition of a case: each dotted key with the values it may have, checked against what can occur."""
    if not raw:
        rule = "a case needs a `when`: keys and the value, or list of values, they must have"
        return {}, [Problem(keys=where, rule=rule, value=raw)]
    when: Conditions = {}
    problems: list[Problem] = []
    for name, wanted, here in entries(raw, where):
        key = find_key(name)
        if key is None:
            problems.append(unknown_parameter(name, here, None))
        elif key.section is not None:
            rule = "names a section; a case rests on the value of a key in it"
            problems.append(Problem(keys=here, rule=rule, value=wanted))
        else:
            pairs = [checked_value(name, value) for value in _alternatives(key, wanted)]
            wrong = [problem for _, found in pairs for problem in placed_below(found, here)]
            problems += wrong if pairs else [Problem(keys=here, rule="must not be empty")]
            if pairs and not wrong:
                when[name] = tuple(value for value, _ in pairs)
                problems += _never_occurs(name, when[name], here, base, known)
    return when, problems


def _alternatives(key: ConfigKey, wanted: Any) -> list[Any]:
    """A list gives alternatives; where the key itself takes a list, only a list of lists does."""
    is_list = isinstance(wanted, list) and (not key.takes_list or any(isinstance(item, list) for item in wanted))
    return wanted if is_list else [wanted]


def _never_occurs(
    key: str, wanted: tuple[Any, ...], where: Keys, base: dict[str, Any], known: Sequence[Parameter]
) -> Iterator[Problem]:
    """Values that the config never has in this sweep."""
    fixed = get(base, key, _MISSING)
    setters = [parameter for parameter in known if key in parameter.leaves]
    if fixed is _MISSING and not setters:
        rule = "is neither in `base` nor in `space`"
        yield Problem(keys=where, rule=rule, hint="give it in `base`, even at its default")
        return
    for value in wanted:
        if value != fixed and not any(_may_be(parameter, key, value) for parameter in setters):
            yield Problem(keys=where, rule=f"never is {shown(value)} in this sweep, so the case never holds")


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


def _exclude(one: Conditions, other: Conditions) -> bool:
    """Whether two conditions can never hold in the same trial."""
    return any(not any(value in other[key] for value in one[key]) for key in one.keys() & other.keys())


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
