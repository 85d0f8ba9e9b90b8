"""The settings of configs: what all share, what varies, and which of these are axes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from results.page.configs import PageConfig
from results.page.page_info import PageInfo
from results.page.payload.columns import exact
from results.tables.settings import KEY_OF_COLUMN

MAX_AXES = 10
_WIDE = 30.0  # numbers that span this factor get a logarithmic axis, where the sweep file does not say
# Settings that are lists, whose columns hold them joined by commas.
LISTS = ("freeze.matrices", "ensemble.members", "artifact.bits_by_pattern")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting that varies: `values` in order (numbers by size), and for each config its index, -1 for none."""

    key: str
    values: tuple[Any, ...]
    codes: tuple[int, ...]
    is_log: bool

    @property
    def is_number(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)


def varying_settings(configs: Sequence[PageConfig], log_keys: frozenset[str]) -> tuple[Setting, ...]:
    """In the order of the schema; a setting that is null in some configs and one value in the others varies too."""
    found = (_setting(column, configs, log_keys) for column in KEY_OF_COLUMN)
    return tuple(one for one in found if len(one.values) + (-1 in one.codes) > 1)


def _setting(column: str, configs: Sequence[PageConfig], log_keys: frozenset[str]) -> Setting:
    key, found = KEY_OF_COLUMN[column], [config.settings[column] for config in configs]
    values = sorted({value for value in found if value is not None}, key=lambda one: (isinstance(one, str), one))
    places = {value: index for index, value in enumerate(values)}
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    is_wide = len(numbers) == len(values) > 0 and min(numbers) > 0 and max(numbers) / min(numbers) >= _WIDE
    return Setting(
        key=key,
        values=tuple(values),
        codes=tuple(-1 if value is None else places[value] for value in found),
        is_log=is_wide or (key in log_keys and bool(numbers) and min(numbers) > 0),
    )


def shared_settings(configs: Sequence[PageConfig], varying: Sequence[Setting]) -> dict[str, Any]:
    """The settings that all configs have alike, by key."""
    names = {one.key for one in varying}
    first = configs[0].settings if configs else {}
    return {key: first.get(column) for column, key in KEY_OF_COLUMN.items() if key not in names}


def axes(settings: Sequence[Setting]) -> list[int]:
    """Which settings are drawn: those that differ most between configs, at most MAX_AXES, in the order given.

    Of settings that always change together, as heads with width, the first alone; one that has a single value, and none
    where the recipe does not read it, says no more than the recipe.
    """
    seen: set[tuple[int, ...]] = set()
    distinct = []
    for index, one in enumerate(settings):
        pattern = _pattern(one.codes)
        if pattern not in seen and len(one.values) > 1:
            seen.add(pattern)
            distinct.append(index)
    spread = sorted(distinct, key=lambda index: (_usual_share(settings[index]), index))
    return sorted(spread[:MAX_AXES])


def _pattern(codes: Sequence[int]) -> tuple[int, ...]:
    places: dict[int, int] = {}
    return tuple(places.setdefault(code, len(places)) for code in codes)


def _usual_share(setting: Setting) -> float:
    """How many configs have the most usual value: the fewer, the more there is to see."""
    return max(Counter(setting.codes).values()) / len(setting.codes)


def log_keys(sweeps: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The settings that a sweep file searches over a logarithmic range."""
    return frozenset(key for sweep in sweeps for space in _spaces(sweep) for key in _log_keys("", space))


def _spaces(sweep: Mapping[str, Any]) -> Iterator[Any]:
    yield sweep.get("space")
    for case in sweep.get("cases") or ():
        if isinstance(case, Mapping):
            yield case.get("space")


def _log_keys(prefix: str, space: Any) -> Iterator[str]:
    if isinstance(space, Mapping):
        for key, value in space.items():
            if key == "log_range":
                yield prefix
            yield from _log_keys(f"{prefix}.{key}" if prefix else str(key), value)


def settings_data(page: PageInfo, sweeps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The payload: `varying` settings, which of them are `axes`, what all configs `share`, and `exact` texts."""
    varying = varying_settings(page.configs.all, log_keys(sweeps))
    shared = shared_settings(page.configs.all, varying)
    return {
        "varying": [
            {"key": one.key, "number": one.is_number, "log": one.is_log, "values": one.values, "codes": one.codes}
            for one in varying
        ],
        "axes": axes(varying),
        "shared": shared,
        "lists": LISTS,
        "exact": _exact_texts(varying, shared),
    }


def _exact_texts(varying: Sequence[Setting], shared: Mapping[str, Any]) -> dict[str, list[str]]:
    """Of settings with a whole number that a script would round: all values as texts, in the order of the codes."""
    values = {**{key: (value,) for key, value in shared.items()}, **{one.key: one.values for one in varying}}
    return {
        key: [str(value) for value in found]
        for key, found in values.items()
        if any(isinstance(value, int) and exact(value) != value for value in found)
    }
