"""Published figures: read them, find the one of a config, mark what keeps the two from being compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from results.analysis.objectives import read_sweep
from results.errors import ResultsError

# What PR #1301 published; a file of the same keys may stand in its place.
FIGURES = Path(__file__).with_name("published_figures.yaml")

# What makes a comparison unlike, by the letter that a table shows.
MARKS: dict[str, str] = {
    "s": "other scale: sizes and steps are divided",
    "d": "other data",
    "r": "other dropout",
    "o": "other settings that the published row fixes",
    "k": "published is the best of several scores on the validation rows, ours that of the last step",
    "b": "other bytes rule: published is an estimate, ours a measured file",
    "c": "control of another shape, dropout or MLP: none of the same was run",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """One published row. `match` and `alike` hold dotted settings; `ce` is in nats per token."""

    sweep: str
    row: str
    match: Mapping[str, Any]
    alike: Mapping[str, Any]
    ce: float | None
    size: str | None
    byte_rule: str
    scoring: str
    source: str
    verdict: str
    bpc: float | None = None
    against: str | None = None  # the row that its percentage is of; None: the baseline of its sweep
    is_baseline: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """What the numbers of a run's configs were divided by, by dotted setting; nothing for a run of full size."""

    name: str | None = None
    divide: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def full(self, key: str, value: Any) -> Any:
        """A setting's value as it was before."""
        divisor = self.divide.get(key)
        return value if divisor is None or value is None else value * divisor


def load_published(path: Path) -> list[Published]:
    """The rows of a file of published figures.

    Raises:
        ResultsError: if it is no such file.
    """
    rows = read_sweep(path).get("rows")
    try:
        return [Published(**row) for row in rows or []]
    except TypeError as error:
        raise ResultsError(f"{path}: a row has other keys than published figures have: {error}") from None


def scale_of(folder: Path) -> Scale:
    """The scale that the sweep of a run folder was read at."""
    path = folder / "sweep.yaml"
    scaled = read_sweep(path).get("scaled") if path.is_file() else None
    return Scale(name=scaled["name"], divide=scaled["divide"]) if isinstance(scaled, dict) else Scale()


def find(settings: Mapping[str, Any], sweep: str, scale: Scale, rows: Iterable[Published]) -> Published | None:
    """The published row with the settings of a config; None where there is none.

    Args:
        settings: recipe, data and the cfg_* columns of the config.
    """
    own = sweep.removesuffix(f"_{scale.name}") if scale.name else sweep
    fitting = [row for row in rows if _fits(row.match, settings, scale)]
    return min(fitting, key=lambda row: (row.sweep != own, len(_differing(row.alike, settings, scale))), default=None)


def percentage(row: Published, rows: Iterable[Published]) -> float | None:
    """A row's ce against the row that the study holds it against, in percent; negative is better."""

    def is_other(one: Published) -> bool:
        return one.row == row.against if row.against else one.is_baseline and one.sweep == row.sweep

    other = next((one for one in rows if is_other(one) and one is not row), None)
    return None if other is None or other.ce is None or row.ce is None else 100 * (row.ce / other.ce - 1)


def marks(settings: Mapping[str, Any], scale: Scale, row: Published) -> str:
    """Letters of MARKS for every difference between the published experiment and this one."""
    differing = _differing(row.alike, settings, scale)
    found = {
        "s": bool(scale.divide),
        "d": "data" in differing,
        "r": "model.dropout" in differing,
        "o": bool(differing - {"data", "model.dropout"}),
        "k": row.scoring == "best" and row.ce is not None,
        "b": row.size is not None,
    }
    return "".join(letter for letter, holds in found.items() if holds)


def _fits(wanted: Mapping[str, Any], settings: Mapping[str, Any], scale: Scale) -> bool:
    return all(scale.full(key, _setting(settings, key)) == value for key, value in wanted.items())


def _differing(wanted: Mapping[str, Any], settings: Mapping[str, Any], scale: Scale) -> set[str]:
    return {key for key, value in wanted.items() if scale.full(key, _setting(settings, key)) != value}


def _setting(settings: Mapping[str, Any], key: str) -> Any:
    return settings.get(key if key in ("recipe", "data") else "cfg_" + key.replace(".", "_"))
