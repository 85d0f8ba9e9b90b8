"""Reads the `space` of a sweep file: choice, grid, range, log_range and steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, get_args

from search_spaces.spec.config_keys import (
    ConfigKey,
    check_value,
    find_key,
    hint_for_unknown_key,
    leaf_keys,
    normalized_value,
)
from search_spaces.spec.problem_list import ProblemList, did_you_mean
from search_spaces.spec.problems import Keys
from search_spaces.spec.sweep_spec import Kind, Parameter, TrialKeys, num_steps, stepped

KINDS: tuple[Kind, ...] = get_args(Kind)
KINDS_OF_SECTIONS = ("choice", "grid")
MAX_OPTIONS = 10_000

_EXAMPLES: dict[str, str] = {
    "choice": "[a, b, …]",
    "grid": "[a, b, …]",
    "range": "[low, high]",
    "log_range": "[low, high]",
    "steps": "[low, high, step]",
}


def parse_space(raw: Any, where: Keys, findings: ProblemList) -> tuple[Parameter, ...]:
    """The parameters of one space; those with a problem are noted and left out."""
    if raw is None:
        return ()
    if not isinstance(raw, dict):
        findings.add(where, "must be a mapping of keys to what they may be", value=raw)
        return ()
    return tuple(_parameters("", raw, where, findings))


def _parameters(prefix: str, raw: dict[str, Any], where: Keys, findings: ProblemList) -> Iterator[Parameter]:
    for name, value in raw.items():
        key, here = f"{prefix}{name}", (*where, name)
        place = find_key(TrialKeys, key)
        if key == "seed":
            findings.add(here, "belongs to `seeds` at the top of the file", hint="write seeds: [1, 2, 3]")
        elif place is None:
            findings.add(here, "unknown key", hint=hint_for_key(prefix, name, isinstance(value, list)))
        elif place.section is not None and not value:
            findings.add(here, "must say what varies", value=value, hint="write {choice: [{…}, {…}]}")
        elif place.section is not None and isinstance(value, dict) and not _is_choice_of_section(value):
            yield from _parameters(f"{key}.", value, here, findings)
        else:
            parameter = _parameter(place, value, here, findings)
            if parameter is not None:
                yield parameter


def _is_choice_of_section(value: dict[str, Any]) -> bool:
    return any(isinstance(value.get(kind), list) for kind in KINDS_OF_SECTIONS)


def hint_for_key(prefix: str, name: str, is_list: bool) -> str | None:
    """What an unknown key was to be. In a section, `choise: [...]` is a misspelt kind; elsewhere a misspelt key."""
    kind = did_you_mean(name, KINDS_OF_SECTIONS)
    if prefix and is_list and kind is not None:
        return kind
    parent, _, last = name.rpartition(".")
    if parent and find_key(TrialKeys, parent) is not None:
        hint = hint_for_unknown_key(TrialKeys, f"{parent}.", last)
        return hint.replace("did you mean ", f"did you mean {parent}.") if hint and "." not in hint else hint
    return hint_for_unknown_key(TrialKeys, prefix, name) or did_you_mean(name, leaf_keys(TrialKeys))


def _parameter(place: ConfigKey, value: Any, where: Keys, findings: ProblemList) -> Parameter | None:
    """The parameter at one place, or None with its problems noted."""
    if not isinstance(value, dict):
        example = "{choice: [a, b]}" if isinstance(value, list) else None
        hint = f"write {example}" if example else "a fixed value belongs in `base`"
        findings.add(where, f"must be one of {', '.join(KINDS)} with its values", value=value, hint=hint)
        return None
    unknown = [name for name in value if name not in KINDS]
    for name in unknown:
        hint = did_you_mean(name, KINDS) or f"known: {', '.join(KINDS)}"
        findings.add((*where, name), "unknown kind of parameter", hint=hint)
    if unknown:
        return None
    if len(value) != 1:
        findings.add(where, f"must have exactly one of {', '.join(KINDS)}", value=value)
        return None
    [(kind, values)] = value.items()
    here = (*where, kind)
    if not isinstance(values, list):
        findings.add(here, f"must be a list: {kind}: {_EXAMPLES[kind]}", value=values)
        return None
    if not values:
        findings.add(here, "must not be empty")
        return None
    check = _check_listed if kind in ("choice", "grid") else _check_numbers
    if not check(place, kind, values, here, findings):
        return None
    if kind in ("choice", "grid"):
        values = [normalized_value(TrialKeys, place.key, item) for item in values]
        if not _check_distinct(values, here, findings):
            return None
    return Parameter(place.key, kind, tuple(values), where)


def _check_listed(place: ConfigKey, kind: str, values: list[Any], where: Keys, findings: ProblemList) -> bool:
    if len(values) > MAX_OPTIONS:
        findings.add(where, f"must not list more than {MAX_OPTIONS:,} values", value=len(values))
        return False
    checks = [check_value(TrialKeys, place, item, (*where, index), findings) for index, item in enumerate(values)]
    return all(checks)


def _check_distinct(values: list[Any], where: Keys, findings: ProblemList) -> bool:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        text = json.dumps(value, sort_keys=True)
        if text in seen:
            findings.add((*where, index), "listed twice", value=value)
            return False
        seen[text] = index
    return True


def _check_numbers(place: ConfigKey, kind: str, values: list[Any], where: Keys, findings: ProblemList) -> bool:
    """Whether `values` are a range, log-range or steps of numbers that may stand at `place`."""
    num_expected = 3 if kind == "steps" else 2
    if place.number is None:
        rule = f"takes {place.expected}; a {kind} is for numbers"
        findings.add(where, rule, value=values, hint="use choice or grid")
        return False
    if len(values) != num_expected or not all(_is_number(value) for value in values):
        findings.add(where, f"must be {num_expected} finite numbers: {kind}: {_EXAMPLES[kind]}", value=values)
        return False
    broken = _broken_order(kind, values)
    if broken is not None:
        reversed_ends = kind != "steps" and values[0] > values[1]
        hint = f"did you mean [{values[1]}, {values[0]}]?" if reversed_ends else None
        findings.add(where, broken, value=values, hint=hint)
        return False
    ends = values[:2] if kind != "steps" else list(stepped(*values))
    for index, end in enumerate(ends):
        # A value between the ends of steps has no place of its own in the file.
        at = (*where, index) if kind != "steps" else where
        if not check_value(TrialKeys, place, end, at, findings):
            return False
    return True


def _broken_order(kind: str, values: list[Any]) -> str | None:
    low, high = values[:2]
    if kind == "steps":
        if values[2] == 0:
            return "the step must not be 0"
        if (high - low) * values[2] < 0:
            return "the step must lead from the first number to the second"
        if num_steps(low, high, values[2]) > MAX_OPTIONS:
            return f"must not be more than {MAX_OPTIONS:,} values"
        return None
    if low >= high:
        return "low must be below high"
    return "low must be above 0" if kind == "log_range" and low <= 0 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
