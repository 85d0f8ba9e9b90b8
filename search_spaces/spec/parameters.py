"""Reads the `space` of a sweep file: choice, grid, range, log_range and steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from search_spaces.spec.config_keys import ConfigKey, checked_value, find_key, keys_of, placed_below
from search_spaces.spec.problems import Keys, Problem, did_you_mean
from search_spaces.spec.sections.resources import TrialKeys
from search_spaces.spec.sweep_spec import Kind, Parameter, num_steps, stepped
from trainer.config.section import Section

KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_OPTIONS = 10_000
_MAX_KEYS_LISTED = 12
_EXAMPLES = {"choice": "[a, b, …]", "grid": "[a, b, …]", "range": "[low, high]", "log_range": "[low, high]"}
_EXAMPLES["steps"] = "[low, high, step]"

Number = Annotated[float, Field(allow_inf_nan=False)]
Values = Annotated[list[Any], Field(min_length=1, max_length=MAX_OPTIONS)]


class Choice(Section):
    """One of the values."""

    choice: Values


class Grid(Section):
    """Every value, also under random search."""

    grid: Values


class Range(Section):
    """A number between low and high; whole numbers where the setting takes whole numbers."""

    range: tuple[Number, Number]


class LogRange(Section):
    """A number between low and high, each ratio alike."""

    log_range: tuple[Number, Number]


class Steps(Section):
    """low, low + step, … up to high."""

    steps: tuple[Number, Number, Number]


def _kind(value: Any) -> str | None:
    return next(iter(value)) if isinstance(value, dict) and len(value) == 1 else None


ParameterFile = Annotated[
    Annotated[Choice, Tag("choice")]
    | Annotated[Grid, Tag("grid")]
    | Annotated[Range, Tag("range")]
    | Annotated[LogRange, Tag("log_range")]
    | Annotated[Steps, Tag("steps")],
    Discriminator(_kind),
]
_ADAPTER: TypeAdapter[Section] = TypeAdapter(ParameterFile)


def read_space(raw: dict[str, Any], where: Keys) -> tuple[tuple[Parameter, ...], list[Problem]]:
    """The parameters of one space, and what is wrong with the others."""
    parameters: list[Parameter] = []
    problems: list[Problem] = []
    for name, value, at in entries(raw, where):
        key = find_key(name)
        if key is None or name == "seed":
            problems.append(unknown_parameter(name, at, value))
            continue
        parameter, found = _parameter(key, value, at)
        problems += found
        parameters += [] if parameter is None else [parameter]
    return tuple(parameters), problems


def entries(raw: dict[str, Any], where: Keys, prefix: str = "") -> Iterator[tuple[str, Any, Keys]]:
    """Dotted key, value and place of everything in a `space` or `when`; sections may be nested."""
    for name, value in raw.items():
        at, key = (*where, name), find_key(f"{prefix}{name}")
        is_choice = isinstance(value, dict) and any(isinstance(value.get(kind), list) for kind in ("choice", "grid"))
        if key is not None and key.section is not None and isinstance(value, dict) and value and not is_choice:
            yield from entries(value, at, f"{key.name}.")
        else:
            yield f"{prefix}{name}", value, at


def unknown_parameter(name: str, at: Keys, value: Any) -> Problem:
    """An unknown key. In a section, `choise: [...]` is a misspelt kind; elsewhere a misspelt key."""
    if name == "seed":
        hint = "write seeds: [1, 2, 3]"
        return Problem(keys=at, rule="belongs to `seeds` at the top of the file", hint=hint)
    prefix, _, last = name.rpartition(".")
    is_nested = bool(prefix) and at[-1] == last
    if is_nested and isinstance(value, list) and (kind := did_you_mean(last, ("choice", "grid"))):
        return Problem(keys=at, rule="unknown key", hint=kind)
    tree = keys_of(TrialKeys)
    siblings = [key.rpartition(".")[2] for key in tree if key.rpartition(".")[0] == prefix]
    near = did_you_mean(last, siblings)
    if near is not None and prefix and not is_nested:
        near = near.replace("did you mean ", f"did you mean {prefix}.")
    same = next((key for key in tree if key.rpartition(".")[2] == last), None)
    near = near or (f"did you mean {same}?" if same else None)
    near = near or did_you_mean(name, [key for key, one in tree.items() if one.section is None])
    listed = f"known keys: {', '.join(siblings)}" if 0 < len(siblings) <= _MAX_KEYS_LISTED else None
    return Problem(keys=at, rule="unknown key", hint=near or listed)


def _parameter(key: ConfigKey, value: Any, at: Keys) -> tuple[Parameter | None, list[Problem]]:
    """The parameter at one key, or None with what is wrong."""
    if key.section is not None and not value:
        return None, [Problem(keys=at, rule="must say what varies", value=value, hint="write {choice: [{…}, {…}]}")]
    try:
        _ADAPTER.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return None, [_problem_of_shape(value, at)]
    [kind] = value
    check = _check_listed if kind in ("choice", "grid") else _check_numbers
    values, problems = check(key, kind, value[kind], (*at, kind))
    return (None if problems else Parameter(key.name, kind, tuple(values), at)), problems


def _problem_of_shape(value: Any, at: Keys) -> Problem:
    """What keeps a value from being a parameter, in our words."""
    kinds = ", ".join(KINDS)
    if not isinstance(value, dict):
        hint = "write {choice: [a, b]}" if isinstance(value, list) else "a fixed value belongs in `base`"
        return Problem(keys=at, rule=f"must be one of {kinds} with its values", value=value, hint=hint)
    unknown = next((name for name in value if name not in KINDS), None)
    if unknown is not None:
        hint = did_you_mean(unknown, KINDS) or f"known: {kinds}"
        return Problem(keys=(*at, unknown), rule="unknown kind of parameter", hint=hint)
    if len(value) != 1:
        return Problem(keys=at, rule=f"must have exactly one of {kinds}", value=value)
    [(kind, values)] = value.items()
    here = (*at, kind)
    if not isinstance(values, list):
        return Problem(keys=here, rule=f"must be a list: {kind}: {_EXAMPLES[kind]}", value=values)
    if not values:
        return Problem(keys=here, rule="must not be empty")
    if kind in ("choice", "grid"):
        return Problem(keys=here, rule=f"must not list more than {MAX_OPTIONS:,} values", value=len(values))
    num_expected = 3 if kind == "steps" else 2
    return Problem(keys=here, rule=f"must be {num_expected} finite numbers: {kind}: {_EXAMPLES[kind]}", value=values)


def _check_listed(key: ConfigKey, kind: str, values: list[Any], at: Keys) -> tuple[list[Any], list[Problem]]:
    """Each value checked at its key, normalized; no two alike."""
    valid: list[Any] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for index, value in enumerate(values):
        one, wrong = checked_value(key.name, value)
        problems += placed_below(wrong, (*at, index))
        text = json.dumps(one, sort_keys=True)
        if not wrong and text in seen:
            problems.append(Problem(keys=(*at, index), rule="listed twice", value=one))
        seen.add(text)
        valid.append(one)
    return valid, problems


def _check_numbers(key: ConfigKey, kind: str, values: list[Any], at: Keys) -> tuple[list[Any], list[Problem]]:
    """Whether `values` are a range, log-range or steps of numbers that the key takes."""
    if key.number is None:
        rule = f"takes {key.expected}; a {kind} is for numbers"
        return [], [Problem(keys=at, rule=rule, value=values, hint="use choice or grid")]
    if (broken := _broken_order(kind, values)) is not None:
        is_reversed = kind != "steps" and values[0] > values[1]
        hint = f"did you mean [{values[1]}, {values[0]}]?" if is_reversed else None
        return [], [Problem(keys=at, rule=broken, value=values, hint=hint)]
    if kind == "steps":  # a value between the ends has no place of its own; bounds hold there if they do at both ends
        steps = list(stepped(values[0], values[1], values[2]))
        ends: list[tuple[Any, Keys]] = [(value, at) for value in dict.fromkeys((*steps[:2], steps[-1]))]
    else:
        ends = [(value, (*at, index)) for index, value in enumerate(values)]
    wrong = (placed_below(checked_value(key.name, value)[1], here) for value, here in ends)
    return values, next((problems[:1] for problems in wrong if problems), [])


def _broken_order(kind: str, values: list[Any]) -> str | None:
    low, high = values[:2]
    if kind == "steps":
        if values[2] == 0:
            return "the step must not be 0"
        if (high - low) * values[2] < 0:
            return "the step must lead from the first number to the second"
        too_many = num_steps(low, high, values[2]) > MAX_OPTIONS
        return f"must not be more than {MAX_OPTIONS:,} values" if too_many else None
    if low >= high:
        return "low must be below high"
    return "low must be above 0" if kind == "log_range" and low <= 0 else None
