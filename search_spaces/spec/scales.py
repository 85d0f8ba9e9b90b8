"""Scales: one sweep file at several sizes, with numbers divided and settings replaced.

Divided and not replaced, so that all rows of a table shrink alike and each still stands for its row at full size.
"""

from __future__ import annotations

from typing import Any

from search_spaces.spec.config_keys import find_key, unknown_key
from search_spaces.spec.nested import merged
from search_spaces.spec.parameters import KINDS
from search_spaces.spec.problems import Keys, Problem, did_you_mean
from search_spaces.spec.sections.resources import TrialKeys
from search_spaces.spec.sweep_file import FULL, ScaleFile, SweepFile


def check_scales(file: SweepFile, wanted: str) -> list[Problem]:
    """What is wrong with the scales of a file, and with the one that is wanted."""
    problems = []
    if FULL in file.scales:
        rule = "is the name of the file's own numbers"
        problems.append(Problem(keys=("scales", FULL), rule=rule, hint="choose another"))
    known = [FULL, *(name for name in file.scales if name != FULL)]
    if wanted not in known:
        hint = did_you_mean(wanted, known) or f"this file knows {', '.join(known)}"
        line = None if wanted == file.scale else 0  # an option of the command is no line of the file
        problems.append(Problem(keys=("scale",), rule="is no scale of this file", value=wanted, hint=hint, line=line))
    return problems


def scaled_values(
    raw: dict[str, Any], name: str, scale: ScaleFile, changes: dict[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """The values of a file at one of its scales, with `changes` laid over the base, and what cannot be scaled."""
    where: Keys = ("scales", name, "divide")
    divider = _Divider({key: divisor for key, divisor in scale.divide.items() if _takes_number(key)})
    scaled = {
        **raw,
        "base": merged(divider.values(raw.get("base"), "", ("base",)), changes),
        "space": divider.space(raw.get("space"), "", ("space",)),
        "cases": divider.cases(raw.get("cases")),
        "scaled": {"name": name, "divide": dict(scale.divide)},
    }
    if isinstance(raw.get("name"), str):
        scaled["name"] = f"{raw['name']}_{name}"  # a folder and a name in the tables of its own
    unused = sorted(divider.divide.keys() - divider.used)
    rule = "divides nothing: this file does not set it"
    problems = [Problem(keys=(*where, key), rule=rule, hint="remove it") for key in unused]
    problems += [_no_number(key, (*where, key)) for key in scale.divide if not _takes_number(key)]
    return {key: value for key, value in scaled.items() if value is not None}, problems + divider.problems


def _takes_number(key: str) -> bool:
    known = find_key(key)
    return known is not None and known.number is not None


def _no_number(key: str, where: Keys) -> Problem:
    known = find_key(key)
    if known is None:
        hint = unknown_key(TrialKeys, tuple(key.split("."))).hint
        return Problem(keys=where, rule="unknown key", hint=hint)
    return Problem(keys=where, rule=f"takes {known.expected}, which cannot be divided")


class _Divider:
    """Divides numbers wherever a sweep file may set them, and remembers which divisors were of use."""

    def __init__(self, divide: dict[str, int]) -> None:
        self.divide = divide
        self.used: set[str] = set()
        self.problems: list[Problem] = []

    def values(self, given: Any, prefix: str, where: Keys) -> Any:
        """A mapping of keys, nested or dotted, to values."""
        if not isinstance(given, dict):
            return self._divided(prefix.removesuffix("."), given, where)
        return {name: self.values(value, f"{prefix}{name}.", (*where, name)) for name, value in given.items()}

    def space(self, given: Any, prefix: str, where: Keys) -> Any:
        """A space: like values, but with {choice: [...]} and its kind in their place."""
        if not isinstance(given, dict):
            return given
        kinds = [kind for kind in KINDS if isinstance(given.get(kind), list)]
        if not kinds:
            return {name: self.space(value, f"{prefix}{name}.", (*where, name)) for name, value in given.items()}
        options = {
            kind: [self.values(item, prefix, (*where, kind, index)) for index, item in enumerate(given[kind])]
            for kind in kinds
        }
        return {**given, **options}

    def cases(self, given: Any) -> Any:
        return [self._case(case, ("cases", i)) for i, case in enumerate(given)] if isinstance(given, list) else given

    def _case(self, given: Any, where: Keys) -> Any:
        if not isinstance(given, dict):
            return given
        changes = {
            "when": self.values(given.get("when"), "", (*where, "when")),
            "space": self.space(given.get("space"), "", (*where, "space")),
        }
        return {**given, **{key: value for key, value in changes.items() if key in given}}

    def _divided(self, key: str, value: Any, where: Keys) -> Any:
        if key not in self.divide:
            return value
        self.used.add(key)
        if isinstance(value, list):  # of a condition
            return [self._divided(key, item, (*where, index)) for index, item in enumerate(value)]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        known, divisor = find_key(key), self.divide[key]
        assert known is not None
        if known.number is float:
            return value / divisor
        if value % divisor:
            self.problems.append(Problem(keys=where, rule=f"must be divisible by {divisor} to be scaled", value=value))
            return value
        return value // divisor
