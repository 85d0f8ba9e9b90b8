"""Scales: one sweep file at several sizes, with numbers divided and settings replaced.

Divided and not replaced, so that all rows of a table shrink alike and each still stands for its row at full size.
"""

from __future__ import annotations

from typing import Any

from search_spaces.spec.base_values import parse_base
from search_spaces.spec.config_keys import find_key, hint_for_unknown_key
from search_spaces.spec.parameters import KINDS
from search_spaces.spec.problem_list import ProblemList, did_you_mean
from search_spaces.spec.problems import Keys
from search_spaces.spec.sweep_spec import Scaled, TrialKeys

FULL = "published"  # the scale of a file's own numbers
_KEYS = ("set", "divide")


def scale_names(raw: dict[str, Any], wanted: Any, findings: ProblemList) -> list[str]:
    """The scales of a file beside its own numbers; noted if there is none of the name that is wanted."""
    scales = raw.get("scales") or {}
    if not isinstance(scales, dict) or not all(isinstance(entry, dict) for entry in scales.values()):
        findings.add(("scales",), "must be a mapping of names to `set` and `divide`", value=scales)
        return []
    if FULL in scales:
        findings.add(("scales", FULL), "is the name of the file's own numbers", hint="choose another")
    known = [FULL, *(name for name in scales if name != FULL)]
    if wanted not in known:
        hint = did_you_mean(str(wanted), known) or f"this file knows {', '.join(known)}"
        findings.add(("scale",), "is no scale of this file", value=wanted, hint=hint)
    return known[1:]


def apply_scale(raw: dict[str, Any], name: str, findings: ProblemList) -> tuple[dict[str, Any], Scaled | None]:
    """The sweep at one of its scales, and how it came about.

    A sweep that was scaled before it was written carries `scaled`; it is handed on.
    """
    if name == FULL:
        return raw, _scaled_before(raw.get("scaled"), findings)
    return _at_scale(raw, name, raw["scales"][name], findings)


def _scaled_before(value: Any, findings: ProblemList) -> Scaled | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"name", "divide"} or not isinstance(value["divide"], dict):
        findings.add(("scaled",), "is written by frostline: `name` and `divide`", value=value, hint="remove it")
        return None
    return Scaled(name=str(value["name"]), divide=dict(value["divide"]))


def _at_scale(
    raw: dict[str, Any], name: str, entry: dict[str, Any], findings: ProblemList
) -> tuple[dict[str, Any], Scaled | None]:
    where: Keys = ("scales", name)
    for key in entry.keys() - set(_KEYS):
        findings.add((*where, key), "unknown key", hint=did_you_mean(key, _KEYS))
    changes, divide = entry.get("set") or {}, entry.get("divide") or {}
    if not isinstance(changes, dict) or not isinstance(divide, dict):
        findings.add(where, "needs mappings: set: {data: …}, divide: {model.dim: 4}", value=entry)
        return raw, None
    changes = parse_base(changes, (*where, "set"), findings)
    divider = _Divider(_divisors(divide, (*where, "divide"), findings), findings)
    scaled = {
        **raw,
        "base": _merged(divider.values(raw.get("base") or {}, "", ("base",)), changes),
        "space": divider.space(raw.get("space") or {}, "", ("space",)),
        "cases": divider.cases(raw.get("cases")),
    }
    for key in divider.divide.keys() - divider.used:
        findings.add((*where, "divide", key), "divides nothing: this file does not set it", hint="remove it")
    if isinstance(raw.get("name"), str):
        scaled["name"] = f"{raw['name']}_{name}"  # a folder and a name in the tables of its own
    return scaled, Scaled(name=name, divide=divider.divide)


def _divisors(divide: dict[str, Any], where: Keys, findings: ProblemList) -> dict[str, int]:
    """The divisors that are whole numbers above 0, of keys that take numbers."""
    found: dict[str, int] = {}
    for key, divisor in divide.items():
        place = find_key(TrialKeys, key)
        if place is None:
            prefix, _, last = key.rpartition(".")
            findings.add(
                (*where, key), "unknown key", hint=hint_for_unknown_key(TrialKeys, prefix and f"{prefix}.", last)
            )
        elif place.number is None:
            findings.add((*where, key), f"takes {place.expected}, which cannot be divided")
        elif not isinstance(divisor, int) or isinstance(divisor, bool) or divisor < 1:
            findings.add((*where, key), "must be a whole number from 1", value=divisor)
        else:
            found[key] = divisor
    return found


class _Divider:
    """Divides numbers wherever a sweep file may set them, and remembers which divisors were of use."""

    def __init__(self, divide: dict[str, int], findings: ProblemList) -> None:
        self.divide = divide
        self.findings = findings
        self.used: set[str] = set()

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
        when, space = given.get("when"), given.get("space")
        return {
            **given,
            "when": self.values(when, "", (*where, "when")),
            "space": self.space(space, "", (*where, "space")),
        }

    def _divided(self, key: str, value: Any, where: Keys) -> Any:
        if key not in self.divide:
            return value
        self.used.add(key)
        if isinstance(value, list):  # of a condition
            return [self._divided(key, item, (*where, index)) for index, item in enumerate(value)]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        place, divisor = find_key(TrialKeys, key), self.divide[key]
        assert place is not None
        if place.number is float:
            return value / divisor
        if value % divisor:
            self.findings.add(where, f"must be divisible by {divisor} to be scaled", value=value)
            return value
        return value // divisor


def _merged(base: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings with the values of another laid over them."""
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in changes.items():
        merged[key] = _merged(merged.get(key), value) if isinstance(value, dict) else value
    return merged
