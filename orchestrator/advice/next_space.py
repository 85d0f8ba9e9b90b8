"""The space of the next sweep: each parameter narrowed, cases that can no longer hold left out. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.advice.narrowing import Narrowed, Reach, Seen, narrowed
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.nested import get
from search_spaces.spec.problems import Keys
from search_spaces.spec.sweep_spec import Case, Parameter, SweepSpec

_ABSENT = object()


@dataclasses.dataclass(frozen=True)
class Tried:
    """A config of the space that was tried, and whether it is on the front or likely to be."""

    candidate: Candidate
    is_good: bool


@dataclasses.dataclass(frozen=True)
class NextCase:
    """A case that may still hold, with the values of its condition that may still be."""

    when: Mapping[str, tuple[Any, ...]]
    space: tuple[Narrowed, ...]


@dataclasses.dataclass(frozen=True)
class NextSpace:
    """`space` and `cases` of the next sweep, and how many cases are left out."""

    space: tuple[Narrowed, ...]
    cases: tuple[NextCase, ...]
    num_cases_left_out: int


def next_space(spec: SweepSpec, tried: Sequence[Tried], reach: Reach) -> NextSpace:
    """The part of a space that is worth trying next. Every good config lies in it."""
    seen = _seen(tried)
    refines = spec.method == "grid"
    space = tuple(narrowed(one, seen.get(one.where, Seen()), reach, refines=refines) for one in spec.space)
    known = [one.parameter for one in space]
    cases: list[NextCase] = []
    for case in spec.cases:
        when = _still_possible(spec, case, known)
        if when is not None:
            parts = tuple(narrowed(one, seen.get(one.where, Seen()), reach, refines=refines) for one in case.space)
            cases.append(NextCase(when, parts))
            known += [one.parameter for one in parts]
    return NextSpace(space, tuple(cases), len(spec.cases) - len(cases))


def _seen(tried: Sequence[Tried]) -> dict[Keys, Seen]:
    """What each parameter, by its place in the file, was in the configs that have it."""
    found: dict[Keys, list[tuple[Any, bool]]] = {}
    for one in tried:
        for parameter, index, value in one.candidate.chosen:
            found.setdefault(parameter.where, []).append((value if index is None else index, one.is_good))
    return {where: Seen(*zip(*pairs, strict=True)) for where, pairs in found.items()}


def _still_possible(spec: SweepSpec, case: Case, known: Sequence[Parameter]) -> Mapping[str, tuple[Any, ...]] | None:
    """The condition of a case with the values that still occur; None where one of its keys has none left."""
    when = {
        key: tuple(value for value in values if _occurs(spec, key, value, known)) for key, values in case.when.items()
    }
    return when if all(when.values()) else None


def _occurs(spec: SweepSpec, key: str, value: Any, known: Sequence[Parameter]) -> bool:
    """Whether a key may have a value: by the base, or by a parameter that is still there."""
    fixed = get(spec.base, key, _ABSENT)
    is_set = any(one.key == key for one in spec.space)
    if fixed is not _ABSENT and not is_set and fixed == value:
        return True
    return any(one.covers(value) if one.key == key else _says(one, key, value) for one in known if key in one.leaves)


def _says(parameter: Parameter, key: str, value: Any) -> bool:
    sub = key.removeprefix(f"{parameter.key}.")
    return any(isinstance(option, dict) and get(option, sub, _ABSENT) == value for option in parameter.values)
