"""The keys of the config tree: which exist, what values they take, and what is wrong with a value, in plain words.

Values are checked by pydantic, each by itself: `part_of` makes of a section a model of the same keys in which each is
optional and rules between keys are left out. pydantic's own texts never reach a user.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from search_spaces.spec.nested import get, nested
from search_spaces.spec.problems import Keys, Problem, did_you_mean, plain
from search_spaces.spec.sections.resources import TrialKeys
from trainer.config.section import Section

# Bounds and lengths, by pydantic's name of the error; the field in braces is the error's own context.
_RULES: dict[str, str] = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "too_short": "must not have fewer than {min_length} items",
    "too_long": "must not have more than {max_length} items",
    "string_too_long": "must not be longer than {max_length} characters",
    "string_pattern_mismatch": "must look like {pattern}",
    "missing": "is missing",
}
_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_WORDS_OF_ERRORS = {"int_type": "a whole number", "int_from_float": "a whole number", "string_type": "text"}
_MAPPING = "a mapping (lines of `key: value`)"
_MAX_KEYS_LISTED = 12
_LARGEST_EXACT = 2**53

S = TypeVar("S", bound=Section)


class RuleError(ValueError):
    """A broken rule with a hint; validators of the models raise it."""

    def __init__(self, rule: str, hint: str | None = None) -> None:
        super().__init__(rule)
        self.hint = hint


@dataclasses.dataclass(frozen=True)
class ConfigKey:
    """A dotted key of a trial, or of `resources`: a section, or a leaf that takes values."""

    name: str
    info: FieldInfo
    section: type[Section] | None

    @property
    def expected(self) -> str:
        return expected(self.info)

    @property
    def number(self) -> type[int] | type[float] | None:
        """int or float where a range of numbers makes sense, else None."""
        options = _options(self.info.annotation)
        if self.section is not None or _choices(self.info):
            return None
        return float if float in options else int if int in options else None

    @property
    def takes_list(self) -> bool:
        """Whether its one value is a list, and never a single item."""
        options = _options(self.info.annotation)
        return any(get_origin(option) is tuple for option in options) and str not in options


def expected(info: FieldInfo) -> str:
    """What a field takes, in words; a field may say it itself, as `expected` in its extra."""
    if isinstance(info.json_schema_extra, dict) and "expected" in info.json_schema_extra:
        return str(info.json_schema_extra["expected"])
    if choices := _choices(info):
        return "one of " + ", ".join(map(plain, choices))
    if section_of(info.annotation):
        return _MAPPING
    options = _options(info.annotation)
    names = [_WORDS[option] for option in options if option in _WORDS] or ["a list"]
    return " or ".join(names) + (" or null" if type(None) in options else "")


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field holds, if it is one."""
    return next((t for t in _options(annotation) if isinstance(t, type) and issubclass(t, Section)), None)


@functools.cache
def part_of(section: type[Section]) -> type[Section]:
    """A model of the same keys, each optional, without the rules between them."""
    # a validator of the same name takes the place of the section's own
    names = section.__pydantic_decorators__.model_validators
    no_rules: dict[str, Any] = {name: model_validator(mode="after")(lambda self: self) for name in names}
    fields: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        inner, info = section_of(field.annotation), copy.copy(field)
        info.default, info.default_factory, info.validate_default = None, None, False
        annotation: Any = field.annotation if inner is None else part_of(inner)
        is_nullable = inner is not None and type(None) in _options(field.annotation)
        fields[name] = (annotation | None if is_nullable else annotation, info)
    return create_model(f"{section.__name__}Part", __base__=section, __validators__=no_rules, **fields)


@functools.cache
def keys_of(root: type[Section]) -> dict[str, ConfigKey]:
    """Every dotted key under a section, sections before what is in them."""

    def walk(section: type[Section], prefix: str) -> Iterator[ConfigKey]:
        for name, info in section.model_fields.items():
            inner = section_of(info.annotation)
            yield ConfigKey(f"{prefix}{name}", info, inner)
            if inner is not None:
                yield from walk(inner, f"{prefix}{name}.")

    return {key.name: key for key in walk(root, "")}


def find_key(name: str) -> ConfigKey | None:
    """The key of a trial or of its resources, None if there is none."""
    return keys_of(TrialKeys).get(name)


def checked(model: type[S], values: Any) -> tuple[S, list[Problem]]:
    """A model of the valid part of a mapping, and what is wrong with the rest."""
    found: list[Problem] = []
    while True:
        try:
            return model.model_validate_json(_to_json(values), strict=True), found
        except ValidationError as error:
            details = error.errors(include_url=False)
        # a section is not blamed for being without what was taken out of it
        emptied = {problem.keys[:length] for problem in found for length in range(len(problem.keys))}
        found += [problem_of(model, one) for one in details if _keys(one) not in emptied]
        for one in details:  # what was wrong may hide more; of what is missing only its section can be taken out
            values = _without(values, _keys(one)[:-1] if one["type"] == "missing" else _keys(one))


def checked_value(name: str, value: Any) -> tuple[Any, list[Problem]]:
    """The value at one key of a trial, normalized, and what is wrong with it; keys begin below the key's own."""
    parts = name.split(".")
    valid, problems = checked(part_of(TrialKeys), nested(name, value))
    if problems:
        return None, [dataclasses.replace(one, keys=one.keys[len(parts) :]) for one in problems]
    return get(plain_values(valid), name), []


def plain_values(part: Section) -> dict[str, Any]:
    """What was given to a part of a section, as plain values that pydantic has normalized."""
    return part.model_dump(mode="json", exclude_unset=True)


def problem_of(model: type[Section], details: ErrorDetails) -> Problem:
    """What a pydantic error says, in our words."""
    keys, kind, context, value = _keys(details), details["type"], details.get("ctx", {}), details["input"]
    if kind == "extra_forbidden":
        return unknown_key(model, keys)
    if kind in ("value_error", "assertion_error"):
        error = context["error"]
        return Problem(keys=keys, rule=str(error), value=value, hint=getattr(error, "hint", None))
    if kind == "too_short" and context["min_length"] == 1:
        return Problem(keys=keys, rule="must not be empty")
    info = _field_at(model, keys)
    if kind in _RULES:
        bounds = {name: _number(bound) for name, bound in context.items()}
        hint = info.description if kind == "string_pattern_mismatch" and info is not None else None
        return Problem(keys=keys, rule=_RULES[kind].format(**bounds), value=value, hint=hint)
    what = expected(info) if info is not None else _WORDS_OF_ERRORS.get(kind, _MAPPING)
    return Problem(keys=keys, rule=f"must be {what}", value=value, hint=_hint(info, value))


def _number(bound: Any) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" if isinstance(bound, float) else str(bound)


def unknown_key(model: type[Section], keys: Keys) -> Problem:
    """An unknown key with the nearest right spelling: among its neighbours, then in the whole tree of a trial."""
    name, hint = str(keys[-1]), None
    tree = keys_of(TrialKeys)
    if len(keys) == 1 and name in tree:
        return Problem(keys=keys, rule="unknown key", hint="belongs in `base`")
    section = _section_at(model, keys[:-1])
    neighbours = list(section.model_fields) if section is not None else []
    first, _, last = name.partition(".")
    if last and name in tree:
        hint = f"write {first}: {{{last}: …}}"
    elsewhere = next((key for key in tree if key.rpartition(".")[2] == name.rpartition(".")[2]), None)
    hint = hint or did_you_mean(name, neighbours) or (f"did you mean {elsewhere}?" if elsewhere else None)
    if hint is None and 0 < len(neighbours) <= _MAX_KEYS_LISTED:
        hint = "known keys: " + ", ".join(neighbours)
    return Problem(keys=keys, rule="unknown key", hint=hint)


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _choices(info: FieldInfo) -> list[Any]:
    options = _options(info.annotation)
    return [choice for option in options if get_origin(option) is Literal for choice in get_args(option)]


def _keys(details: ErrorDetails) -> Keys:
    """The place of an error; `[key]` is pydantic's mark of a mapping's key."""
    return tuple(part for part in details["loc"] if part != "[key]")


def _section_at(model: type[Section], keys: Keys) -> type[Section] | None:
    """The section at keys, through lists and mappings of sections too."""
    annotation: Any = model
    for key in keys:
        section = section_of(annotation)
        if section is not None:
            info = section.model_fields.get(str(key))
            annotation = None if info is None else info.annotation
        else:  # tuple[X, ...] or dict[str, X]
            items = next((get_args(t) for t in _options(annotation) if get_origin(t) in (tuple, dict)), (None,))
            annotation = items[-1] if items[-1] is not Ellipsis else items[0]
    return section_of(annotation)


def _field_at(model: type[Section], keys: Keys) -> FieldInfo | None:
    """The field at keys; None inside lists and mappings, whose items are no fields."""
    section = _section_at(model, keys[:-1]) if keys else None
    return section.model_fields.get(str(keys[-1])) if section is not None else None


def _hint(info: FieldInfo | None, value: Any) -> str | None:
    if info is None:
        return None
    options = _options(info.annotation)
    if isinstance(value, str) and (choices := _choices(info)):
        return did_you_mean(value, choices)
    if (
        isinstance(value, str)
        and {int, float} & set(options)
        and 0 < len(value) < 100
        and not value.strip("-+0123456789_.eE")
    ):
        return "write it without quotes"
    if isinstance(value, int | float) and str in options and not isinstance(value, bool):
        return "put it in quotes"
    return None


def _to_json(values: Any) -> str:
    """JSON for pydantic's strict mode: a number without a fraction may stand where whole numbers do (`1e3` steps)."""
    return json.dumps(_whole(values))


def _whole(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _whole(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_whole(value) for value in values]
    is_whole = isinstance(values, float) and math.isfinite(values) and values.is_integer()
    return int(values) if is_whole and abs(values) < _LARGEST_EXACT else values


def _without(values: Any, keys: Keys) -> Any:
    """Nested mappings without one key; of a list that holds it nothing is left."""
    if not keys or not isinstance(values, Mapping):
        return {}
    first, rest = str(keys[0]), keys[1:]
    if rest and isinstance(values.get(first), Mapping):
        return {**values, first: _without(values[first], rest)}
    return {key: value for key, value in values.items() if key != first}


def placed_below(problems: Iterable[Problem], where: Keys) -> list[Problem]:
    """Problems of a value, at the keys where the value stands."""
    return [dataclasses.replace(problem, keys=(*where, *problem.keys)) for problem in problems]
