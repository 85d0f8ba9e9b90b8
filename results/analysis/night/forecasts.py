"""What each call of `frostline run` was expected to bring, and what it brought: `forecasts.jsonl` of a run folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "forecasts.jsonl"
LATE = ("interrupt", "fault", "pause")  # ends that no forecast holds
_NOTHING = {"low": 0.0, "middle": 0.0, "high": 0.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """One figure: its middle, the range that four in five nights are in, and what came. `shown` formats all of them."""

    name: str
    low: float
    middle: float
    high: float
    came: float
    shown: str

    @property
    def is_within(self) -> bool:
        """As shown: a forecast of 3 to 3 trials is met by 3."""
        edges = (self.shown.format(self.low), self.shown.format(self.high))
        return self.low <= self.came <= self.high or self.shown.format(self.came) in edges


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForecastCall:
    """One call. `end` says what ended it, and is None where nobody knows: it was killed, or is at work."""

    made_at: str
    num_nights: int
    end: str | None
    figures: tuple[Expected, ...]


def read_forecasts(folder: Path) -> list[ForecastCall]:
    """Every call that began with a forecast, oldest first; a line that cannot be read is left out."""
    found: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
    path = folder / FILE_NAME
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if values.get("kind") == "forecast":
            found.append((values, None))
        elif values.get("kind") == "truth" and found and found[-1][1] is None:
            found[-1] = (found[-1][0], values["truth"])
    return [_call(made, truth) for made, truth in found]


def _call(made: Mapping[str, Any], truth: Mapping[str, Any] | None) -> ForecastCall:
    forecast = made["forecast"]
    return ForecastCall(
        made_at=made["at"],
        num_nights=forecast["num_nights"],
        end=None if truth is None else truth["end"],
        figures=() if truth is None else tuple(_figures(forecast, truth)),
    )


def _figures(forecast: Mapping[str, Any], truth: Mapping[str, Any]) -> Iterator[Expected]:
    for status in sorted({*forecast["counts"], *truth["counts"]}):
        expected = forecast["counts"].get(status, _NOTHING)
        yield _figure(f"trials {status.replace('_', ' ')}", expected, truth["counts"].get(status, 0), "{:,.0f}")
    minutes = {key: value / 60 for key, value in forecast["seconds"].items()}
    yield _figure("minutes", minutes, truth["seconds"] / 60, "{:,.1f}")
    if forecast["usd"] is not None:
        yield _figure("USD", forecast["usd"], truth["usd"], "{:,.2f}")


def _figure(name: str, expected: Mapping[str, float], came: float, shown: str) -> Expected:
    low, middle, high = (expected[key] for key in ("low", "middle", "high"))
    return Expected(name=name, low=low, middle=middle, high=high, came=came, shown=shown)
