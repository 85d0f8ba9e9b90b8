"""The keys of the config tree: which exist, what values they take, and what is wrong with a value.

Whatever pydantic finds is said in our own words here; its texts never reach a user.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from search_spaces.spec.problem_list import ProblemList, did_you_mean
from search_spaces.spec.problems import Keys, shown

_NAMES_OF_TYPES: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_MAX_KEYS_LISTED = 12

# Bounds and lengths, by pydantic's name of the error; the field in braces is the error's own context.
_RULES: dict[str, str] = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "too_short": "must not have fewer than {min_length} items",
    "too_long": "must not have more than {max_length} items",
    "string_too_short": "must not be shorter than {min_length} characters",
    "string_too_long": "must not be longer than {max_length} characters",
}


@dataclasses.dataclass(frozen=True)
class ConfigKey:
    """One key of the tree: a section, or a leaf with the types or choices it takes."""

    key: str
    owner: type[BaseModel]
    field: str
    section: type[BaseModel] | None
    types: frozenset[type]
    choices: tuple[Any, ...]
    nullable: bool

    @property
    def expected(self) -> str:
        """What may stand here, in words."""
        if self.section is not None:
            return "a mapping (lines of `key: value`)"
        if self.choices:
            return "one of " + ", ".join(shown_plain(choice) for choice in self.choices)
        names = [name for kind, name in _NAMES_OF_TYPES.items() if kind in self.types]
        return (" or ".join(names) or "a list") + (" or null" if self.nullable else "")

    @property
    def number(self) -> type[int] | type[float] | None:
        """int or float where a range of numbers makes sense, else None."""
        if self.choices or self.section is not None:
            return None
        return float if float in self.types else int if int in self.types else None

    @property
    def description(self) -> str | None:
        return self.owner.model_fields[self.field].description


def find_key(root: type[BaseModel], key: str) -> ConfigKey | None:
    """The place of a dotted key under `root`, or None if there is no such key."""
    section: type[BaseModel] | None = root
    place = None
    for part in key.split("."):
        if section is None or part not in section.model_fields:
            return None
        place = _place(key, section, part, section.model_fields[part])
        section = place.section
    return place


def leaf_keys(root: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of every leaf under `root`."""
    for name, field in root.model_fields.items():
        place = _place(prefix + name, root, name, field)
        if place.section is None:
            yield place.key
        else:
            yield from leaf_keys(place.section, f"{place.key}.")


def check_mapping(root: type[BaseModel], prefix: str, values: Any, where: Keys, findings: ProblemList) -> bool:
    """Check a part of a section, given as a mapping: every key, and every value by itself. True if all is well."""
    if not isinstance(values, dict):
        findings.add(where, "must be a mapping (lines of `key: value`)", value=values)
        return False
    well = True
    for name, value in values.items():
        place = find_key(root, f"{prefix}{name}") if "." not in name else None
        if place is None:
            findings.add((*where, name), "unknown key", hint=hint_for_unknown_key(root, prefix, name))
            well = False
        else:
            well &= check_value(root, place, value, (*where, name), findings)
    return well


def check_value(root: type[BaseModel], place: ConfigKey, value: Any, where: Keys, findings: ProblemList) -> bool:
    """Check what stands at one place, without regard to its neighbours. True if all is well."""
    if place.section is not None:
        if value is None and place.nullable:
            return True
        return check_mapping(root, f"{place.key}.", value, where, findings)
    if _changes_kind(place, value):
        findings.add(where, f"must be {place.expected}", value=value, hint=_hint_for_value(place, value))
        return False
    try:
        # The other fields take their defaults; what the rules between fields say of those does not matter here.
        place.owner.model_validate({place.field: value})
    except ValidationError as error:
        own = [details for details in error.errors() if details["loc"][:1] == (place.field,)]
        for details in own:
            inner = tuple(part for part in details["loc"][1:] if isinstance(part, int))
            rule = rule_in_words(details, place)
            hint = _hint_for_value(place, details["input"], details["type"])
            findings.add((*where, *inner), rule, value=details["input"], hint=hint)
        return not own
    return True


def normalized(root: type[BaseModel], prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """A checked mapping with numbers as their places take them: `1e3` steps are 1000, a learning rate of 1 is 1.0."""
    return {name: normalized_value(root, f"{prefix}{name}", value) for name, value in values.items()}


def normalized_value(root: type[BaseModel], key: str, value: Any) -> Any:
    """As `normalized`, for the value at one dotted key."""
    place = find_key(root, key)
    if place is None or value is None:
        return value
    if place.section is not None:
        return normalized(root, f"{key}.", value)
    if place.number is None or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return place.number(value)


def hint_for_unknown_key(root: type[BaseModel], prefix: str, name: str) -> str | None:
    """The nearest right spelling of a key: among its neighbours, then in the whole tree, else the neighbours."""
    parent = find_key(root, prefix.rstrip(".")) if prefix else None
    section = root if not prefix else parent.section if parent is not None else None
    known = list(section.model_fields) if section is not None else []
    first, _, last = name.partition(".")
    if find_key(root, prefix + name) is not None:
        return f"write {first}: {{{last}: …}}"
    if last and (near := did_you_mean(prefix + name, leaf_keys(root))):
        return near
    elsewhere = [key for key in leaf_keys(root) if key.rpartition(".")[2] == name.rpartition(".")[2]]
    if near := did_you_mean(name, known):
        return near
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return "known keys: " + ", ".join(known) if 0 < len(known) <= _MAX_KEYS_LISTED else None


def rule_in_words(details: ErrorDetails, place: ConfigKey | None) -> str:
    """What a pydantic error says, in our words; without the value."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "too_short" and context["min_length"] == 1:
        return "must not be empty"
    if kind in _RULES:
        bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
        return _RULES[kind].format(**bounds)
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "string_pattern_mismatch":
        return f"must look like {context['pattern']}"
    if place is None:
        return "is not valid here"
    inside = any(isinstance(part, int) for part in details["loc"])
    return "must be text" if inside else f"must be {place.expected}"


def keys_in_backticks(message: str) -> list[str]:
    """The keys that a rule names: `dim / num_heads` gives dim, num_heads."""
    quoted = re.findall(r"`([^`]*)`", message)
    return [key for text in quoted for key in re.findall(r"[a-z_][a-z0-9_.]*", text)]


def shown_plain(value: Any) -> str:
    """A value as it is written in YAML where no quotes are needed."""
    return value if isinstance(value, str) else shown(value)


def _place(key: str, owner: type[BaseModel], field: str, info: FieldInfo) -> ConfigKey:
    options = _options(info.annotation)
    sections = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
    choices = tuple(choice for option in options if get_origin(option) is Literal for choice in get_args(option))
    kinds = {get_origin(option) or option for option in options if get_origin(option) is not Literal}
    return ConfigKey(
        key=key,
        owner=owner,
        field=field,
        section=sections[0] if sections else None,
        types=frozenset({kind for kind in kinds if isinstance(kind, type)} | {type(choice) for choice in choices}),
        choices=choices,
        nullable=type(None) in options,
    )


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _changes_kind(place: ConfigKey, value: Any) -> bool:
    """Whether pydantic would quietly make something else of a value: the text '64' or the word true a number."""
    if isinstance(value, bool):
        return bool not in place.types
    if isinstance(value, str):
        return str not in place.types and not place.choices
    return isinstance(value, int | float) and place.types <= {bool, type(None)}


def _hint_for_value(place: ConfigKey, value: Any, kind: str = "") -> str | None:
    if kind == "string_pattern_mismatch":
        return place.description
    if isinstance(value, str) and place.choices:
        return did_you_mean(value, place.choices)
    if isinstance(value, str) and place.number is not None and re.fullmatch(r"[-+0-9_.eE]+", value):
        return "write it without quotes"
    if isinstance(value, int | float) and place.types == {str} and not place.choices:
        return "put it in quotes"
    return None
