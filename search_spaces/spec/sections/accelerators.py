"""The kinds of accelerator that a trial may run on: one, any of a list, or any at all. As values and as text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

ANY, CPU = "any", "CPU"
# Ray knows more kinds than these; they are here so that `h100` is not a kind of its own that no node ever has.
KNOWN_ACCELERATORS: tuple[str, ...] = (
    *(ANY, CPU, "H100", "A40", "H200", "B200", "A100", "A100-40G", "A100-80G", "A10G", "A6000"),
    *("L4", "L40S", "T4", "V100", "P100"),
)
MAX_CHARACTERS = 128  # of a list: its kinds are a part of file names
PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
EXPECTED = "a kind as Ray names it, a list of kinds, CPU, or any"
BETWEEN = ","  # no kind has one in its name

Kinds = str | tuple[str, ...]


def spelt_as_ray_does(name: str) -> str:
    """The kind of an accelerator. Raises ValueError for a known one in other letters."""
    for known in KNOWN_ACCELERATORS:
        if name != known and name.casefold() == known.casefold():
            raise ValueError(f"must be spelt {known}")
    return name


def read_kinds(given: Any) -> Kinds:
    """A kind, or the kinds of a list in alphabetical order; a list of one kind is that kind.

    Raises:
        ValueError: for what is neither, and for a list that is empty, names a kind twice, or names `any`.
    """
    if isinstance(given, str):
        return _kind(given)
    if not isinstance(given, list | tuple):
        raise ValueError(f"must be {EXPECTED}")
    if not given:
        raise ValueError("must not be an empty list: name a kind, or write any")
    kinds = sorted(_item(one) for one in given)
    if len(kinds) > 1 and len(BETWEEN.join(kinds)) > MAX_CHARACTERS:
        raise ValueError(f"must not list kinds of more than {MAX_CHARACTERS} characters together")
    twice = next((one for one, other in itertools.pairwise(kinds) if one == other), None)
    if twice is not None:
        raise ValueError(f"must not list {twice} twice")
    if ANY in kinds and len(kinds) > 1:
        raise ValueError("must not list any beside other kinds: it means all of them")
    return kinds[0] if len(kinds) == 1 else tuple(kinds)


def text_of_kinds(kinds: Kinds, between: str = BETWEEN) -> str:
    """As rows have it: `A40`, or `A40,H100` for either of the two."""
    return kinds if isinstance(kinds, str) else between.join(kinds)


def kinds_in_words(text: str) -> str:
    """As messages have it: `A40 or H100`."""
    return " or ".join(text.split(BETWEEN))


def kinds_of_text(text: str) -> frozenset[str] | None:
    """The kinds that a text names; None for any."""
    return None if text == ANY else frozenset(text.split(BETWEEN))


def needs_in_words(texts: Iterable[str]) -> str:
    """What several trials need, each need once: `A40 or H100, CPU`."""
    return ", ".join(kinds_in_words(text) for text in sorted(set(texts)))


def _kind(name: str) -> str:
    if not re.fullmatch(PATTERN, name):
        raise ValueError(f"must look like {PATTERN} ({EXPECTED})")
    return spelt_as_ray_does(name)


def _item(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"must list kinds as text, and {name!r} is none")
    try:
        return _kind(name)
    except ValueError as error:
        raise ValueError(f"its {name!r} {error}") from None


_ONE = {"type": "string", "pattern": PATTERN}
Accelerators = Annotated[
    Kinds,
    BeforeValidator(read_kinds),
    WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1, "uniqueItems": True}]}),
]
