"""Which settings vary among configs, as whole numbers; which only some configs have, and which cannot be told apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from results.tables.schema import RECIPE_SECTIONS
from results.tables.settings import COLUMN_OF_KEY, KEY_OF_COLUMN

Codes = npt.NDArray[np.int64]
Settings = Mapping[str, Any]  # recipe, data and the cfg_* columns of one config

ABSENT = -1
TIED = 0.5  # Cramér's V from which two settings are said to be tied
MAX_BINS = 4
MIN_TO_SEE_TIE = 20  # configs that have both


@dataclasses.dataclass(frozen=True, kw_only=True)
class Varied:
    """A setting that takes two values or more.

    Args:
        keys: as in sweep files; several where these were only ever changed together, one to one.
        codes: int64[n], the place of each config's value among all values; `ABSENT` where a config has no such setting.
        is_ordered: the values are numbers, and the codes follow their order.
        depends_on: keys whose values decide which configs have the setting.
    """

    keys: tuple[str, ...]
    codes: Codes
    is_ordered: bool
    depends_on: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return " + ".join(self.keys)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        return np.not_equal(self.codes, ABSENT)

    @property
    def num_values(self) -> int:
        return int(self.codes.max()) + 1


def varied_settings(configs: Sequence[Settings], cases: Sequence[Mapping[str, Any]] = ()) -> list[Varied]:
    """The settings that vary, by name.

    Args:
        configs: in any order that does not depend on how they were read.
        cases: those of the sweep file, with `when` and `space`: a setting that only a case has is absent elsewhere.
    """
    found = []
    for column, key in sorted(KEY_OF_COLUMN.items(), key=lambda one: one[1]):
        has, depends_on = _presence(column, key, configs, cases)
        if one := _coded(key, [config.get(column) for config in configs], has, depends_on):
            found.append(one)
    return _joined(found)


def ties(settings: Sequence[Varied]) -> Iterator[tuple[Varied, Varied, float]]:
    """Pairs whose values go together, and how much: Cramér's V from 0 to 1, corrected for chance (Bergsma, 2013)."""
    for one, other in combinations(settings, 2):
        both = one.present & other.present
        if both.sum() >= MIN_TO_SEE_TIE:
            strength = _cramers_v(_binned(one.codes[both]), _binned(other.codes[both]))
            if strength >= TIED:
                yield one, other, strength


def _presence(
    column: str, key: str, configs: Sequence[Settings], cases: Sequence[Mapping[str, Any]]
) -> tuple[list[bool], frozenset[str]]:
    """Which configs have a setting, and the keys that decide it: by the section of a recipe, or by cases."""
    conditions = [_known(case.get("when") or {}) for case in cases if _sets(case.get("space") or {}, key)]
    has, depends_on = [True] * len(configs), frozenset[str]()
    section = key.partition(".")[0]
    if section in RECIPE_SECTIONS:
        own = [name for name in KEY_OF_COLUMN if name.startswith(f"cfg_{section}_")]
        has = [any(config.get(name) is not None for name in own) for config in configs]
        depends_on = frozenset({"recipe"})
    if conditions:
        has = [a and any(_holds(when, config) for when in conditions) for a, config in zip(has, configs, strict=True)]
        depends_on |= {name for when in conditions for name in when}
    return has, depends_on - {key}


def _sets(space: Mapping[str, Any], key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in space)


def _known(when: Mapping[str, Any]) -> dict[str, Any]:
    """A condition without what is no setting in the table, such as `resources.accelerator`: that cannot be checked."""
    return {key: wanted for key, wanted in when.items() if key in COLUMN_OF_KEY}


def _holds(when: Mapping[str, Any], config: Settings) -> bool:
    return all(_plain(config.get(COLUMN_OF_KEY[key])) in _values(wanted) for key, wanted in when.items())


def _values(wanted: Any) -> list[Any]:
    """The values that a condition allows, as the table has them: lists are joined by commas."""
    return [_plain(one) for one in (wanted if isinstance(wanted, list) else [wanted])]


def _plain(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _coded(key: str, values: Sequence[Any], has: Sequence[bool], depends_on: frozenset[str]) -> Varied | None:
    """None where those who have the setting have one value of it."""
    distinct = {value for value, there in zip(values, has, strict=True) if there}
    if len(distinct) < 2:
        return None
    numbers = [one for one in distinct if isinstance(one, int | float) and not isinstance(one, bool)]
    is_ordered = len(numbers) >= len(distinct - {None})
    order = sorted(distinct - {None}, key=None if is_ordered else str)
    order = [None, *order] if None in distinct else order
    place = {value: index for index, value in enumerate(order)}
    codes = [place[value] if there else ABSENT for value, there in zip(values, has, strict=True)]
    is_everywhere = all(has)
    return Varied(
        keys=(key,),
        codes=np.array(codes, dtype=np.int64),
        is_ordered=is_ordered,
        depends_on=frozenset() if is_everywhere else depends_on,
    )


def _joined(settings: Sequence[Varied]) -> list[Varied]:
    """Settings of which one tells the other are one: what each does alone cannot be seen."""
    groups: dict[bytes, Varied] = {}
    for one in settings:
        mark = _mark(one)
        if mark in groups:
            groups[mark] = dataclasses.replace(groups[mark], keys=(*groups[mark].keys, *one.keys))
        else:
            groups[mark] = one
    return list(groups.values())


def _mark(one: Varied) -> bytes:
    """Equal for settings that are one to one: which configs have equal values.

    Values of a range hardly come twice, so there the order must be the same, too, or the reverse.
    """
    codes = one.codes
    if one.num_values > one.present.sum() / 2:
        reverse = np.where(one.present, one.num_values - 1 - codes, ABSENT)
        return min(codes.tobytes(), reverse.tobytes()) + b"ordered"
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return bytes(np.where(one.present, first[inverse], ABSENT).astype(np.int64).tobytes())


def _binned(codes: Codes) -> Codes:
    """At most `MAX_BINS` bins of about equal counts, values that are equal in one bin."""
    values, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if len(values) <= MAX_BINS:
        return np.asarray(inverse, dtype=np.int64)
    middles = (np.cumsum(counts) - counts / 2) / len(codes)
    return np.asarray((middles * MAX_BINS).astype(np.int64)[inverse])


def _cramers_v(one: Codes, other: Codes) -> float:
    counts = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(counts, (one, other), 1)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    num = counts.sum()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / num
    rows, columns = counts.shape
    squared = max(
        0.0, float(((counts - expected) ** 2 / expected).sum()) / num - (rows - 1) * (columns - 1) / (num - 1)
    )
    least = min(rows - (rows - 1) ** 2 / (num - 1), columns - (columns - 1) ** 2 / (num - 1)) - 1
    return min(1.0, (squared / least) ** 0.5) if least > 0 else 0.0
