"""Nested mappings and dotted keys: look up, build, merge. Nothing is changed in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def get(values: Any, key: str, default: Any = None) -> Any:
    """The value at a dotted key."""
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return default
        values = values[part]
    return values


def nested(key: str, value: Any) -> Any:
    """A mapping that holds one value at a dotted key: `a.b` gives `{a: {b: value}}`."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def merged(values: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """A mapping with the values of another laid over it; what is no mapping is replaced."""
    result = dict(values) if isinstance(values, dict) else {}
    for key, value in changes.items():
        result[key] = merged(result.get(key), value) if isinstance(value, dict) else value
    return result


def leaves(values: dict[str, Any]) -> Iterator[str]:
    """The dotted keys that hold no mapping themselves."""
    for key, value in values.items():
        yield from (f"{key}.{sub}" for sub in leaves(value)) if isinstance(value, dict) else (key,)


def way_to(values: Any, key: str) -> tuple[str, ...] | None:
    """The way to a dotted key in nested mappings whose keys may be dotted themselves; None if it is not there."""
    if not isinstance(values, dict):
        return None
    if key in values:
        return (key,)
    for first in values:
        rest = way_to(values[first], key[len(first) + 1 :]) if key.startswith(f"{first}.") else None
        if rest is not None:
            return (first, *rest)
    return None
