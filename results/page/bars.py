"""Horizontal bars with their names and values: for shares of money, of time, and of importance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from results.page import svg
from results.page.html import Html, joined

WIDTH = 480.0
_ROW = 38.0
_THICK = 13.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar. `low` and `high`: an interval around the value; `class_`: says its colour."""

    name: str
    value: float
    shown: str
    class_: str = "plain"
    low: float | None = None
    high: float | None = None


def bars_chart(bars: Sequence[Bar], title: str) -> Html:
    """Each bar below its name, so that long names fit on a phone; all from one zero to the largest value."""
    right = max([1e-9, *(one.value for one in bars), *(one.high or 0.0 for one in bars)])
    scale = svg.Scale(0.0, right, 4.0, WIDTH - 4.0)
    parts = (_row(one, i * _ROW, scale) for i, one in enumerate(bars))
    return svg.chart(WIDTH, _ROW * len(bars) + 2.0, title, joined(part for row in parts for part in row))


def _row(one: Bar, top: float, scale: svg.Scale) -> Iterable[Html]:
    y = top + 20.0
    yield svg.text(scale.start, top + 14.0, one.name, "bar-name")
    yield svg.text(scale.end, top + 14.0, one.shown, "bar-value", "end")
    yield svg.bar((scale.start, y), scale.end - scale.start, _THICK, "bar-ground")
    yield svg.bar((scale.start, y), max(0.0, scale(one.value) - scale.start), _THICK, f"bar {one.class_}", one.shown)
    if one.low is not None and one.high is not None:
        low, high, middle = scale(max(0.0, one.low)), scale(one.high), y + _THICK / 2
        yield svg.line((low, middle), (high, middle), "interval")
        yield from (svg.line((x, middle - 4), (x, middle + 4), "interval") for x in (low, high))
