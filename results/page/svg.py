"""Static SVG: scales with ticks, axes, lines, dots, bars, texts.

Colours come from CSS classes alone, so that dark mode and print work. All functions return markup; texts are escaped.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from results.page.html import Html, element, joined

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclasses.dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` → pixels from `start` to `end`. `time`: seconds since 1970, shown as UTC."""

    low: float
    high: float
    start: float
    end: float
    kind: Literal["linear", "log", "time"] = "linear"

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(x) if self.kind == "log" else x for x in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 7) -> list[float]:
        """Round values within the range, at most about so many."""
        if self.kind == "log" and self.low > 0 and self.high / self.low > 3:
            return _log_ticks(self.low, self.high, most)
        steps = _TIME_STEPS if self.kind == "time" else ()
        return _linear_ticks(self.low, self.high, most, steps)


def padded(values: Iterable[float], start: float, end: float, *, log: bool = False, pad: float = 0.04) -> Scale:
    """A scale around some values, with a margin on both sides; 0 to 1 where there are none."""
    known = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not known:
        return Scale(0.1 if log else 0.0, 1.0, start, end, "log" if log else "linear")
    low, high = min(known), max(known)
    if log:
        margin = (high / low) ** pad if high > low else 1.5
        return Scale(low / margin, high * margin, start, end, "log")
    room = (high - low) * pad or abs(high) * pad or 1.0
    return Scale(low - room, high + room, start, end)


_TIME_STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)


def _linear_ticks(low: float, high: float, most: int, steps: Sequence[float]) -> list[float]:
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((one for one in steps or [factor * power for factor in (1, 2, 5, 10)] if one >= rough), rough)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        ticks = [tick for tick in ticks if low <= tick * (1 + 1e-9) and tick <= high * (1 + 1e-9)]
        if len(ticks) <= most + 1:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]


def short_number(value: float) -> str:
    """`16 M`-like texts without their unit: 1500 → `1.5k`, 16e6 → `16M`, 0.25 → `0.25`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def bytes_text(value: float) -> str:
    """`16 MB`, `250 kB`, `12 B`: decimal units, as the competition counts."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} B"


def clock_text(value: float) -> str:
    """Seconds since 1970 → `02 Jan 03:04`."""
    return datetime.fromtimestamp(value, UTC).strftime("%d %b %H:%M")


def pixel(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def chart(width: float, height: float, title: str, *parts: str) -> Html:
    """The whole picture; `title` is what a screen reader says of it."""
    view = f"0 0 {pixel(width)} {pixel(height)}"
    return element("svg", *map(Html, parts), viewBox=view, role="img", aria_label=title, class_="chart")


def group(class_: str, *parts: str) -> Html:
    return element("g", *map(Html, parts), class_=class_)


def text(x: float, y: float, content: object, class_: str = "label", anchor: Anchor = "start") -> Html:
    anchored = None if anchor == "start" else anchor
    return element("text", content, x=pixel(x), y=pixel(y), class_=class_, text_anchor=anchored)


def line(start: Point, end: Point, class_: str) -> Html:
    (x1, y1), (x2, y2) = start, end
    return element("line", x1=pixel(x1), y1=pixel(y1), x2=pixel(x2), y2=pixel(y2), class_=class_)


def polyline(points: Iterable[Point], class_: str) -> Html:
    return element("path", d="M" + "L".join(f"{pixel(x)} {pixel(y)}" for x, y in points), class_=class_)


def step_line(points: Sequence[Point], class_: str) -> Html:
    """Goes level to the next point's x, then up or down to it."""
    (x, y), *others = points
    parts = [f"M{pixel(x)} {pixel(y)}", *(f"H{pixel(x)}V{pixel(y)}" for x, y in others)]
    return element("path", d="".join(parts), class_=class_)


def bar(corner: Point, width: float, height: float, class_: str, title: object | None = None) -> Html:
    """A rectangle from its upper left corner; `title` is shown when the pointer rests on it."""
    x, y = corner
    inside = [] if title is None else [element("title", title)]
    return element(
        "rect", *inside, x=pixel(x), y=pixel(y), width=pixel(width), height=pixel(max(0.0, height)), class_=class_
    )


def error_bar(x: float, low: float, high: float, class_: str = "error-bar") -> Html:
    """A vertical interval with caps, in pixels."""
    left, right, ends = pixel(x - 3), pixel(x + 3), (pixel(low), pixel(high))
    caps = "".join(f"M{left} {end}H{right}" for end in ends)
    return element("path", d=f"M{pixel(x)} {ends[0]}V{ends[1]}{caps}", class_=class_)


def dot(at: Point, shape: str, class_: str, size: float = 4.0, title: object | None = None) -> Html:
    """A mark: circle, dot (a small circle), cross, triangle (its tip below) or square; `size` is half its width."""
    (x, y), s = at, size * (0.7 if shape == "dot" else 1.0)
    inside = [] if title is None else [element("title", title)]
    if shape in ("circle", "dot"):
        return element("circle", *inside, cx=pixel(x), cy=pixel(y), r=pixel(s), class_=class_)
    paths = {
        "cross": f"M{pixel(x - s)} {pixel(y - s)}L{pixel(x + s)} {pixel(y + s)}"
        f"M{pixel(x - s)} {pixel(y + s)}L{pixel(x + s)} {pixel(y - s)}",
        "triangle": f"M{pixel(x - s)} {pixel(y - s)}H{pixel(x + s)}L{pixel(x)} {pixel(y + s)}Z",
        "square": f"M{pixel(x - s)} {pixel(y - s)}H{pixel(x + s)}V{pixel(y + s)}H{pixel(x - s)}Z",
    }
    return element("path", *inside, d=paths[shape], class_=class_)


def x_axis(scale: Scale, y: float, label: str, *, top: float, write: Callable[[float], str] = short_number) -> Html:
    """Ticks, their grid lines up to `top`, and the label below."""
    middle = (scale.start + scale.end) / 2
    marks = [(scale(tick), write(tick)) for tick in scale.ticks(max(2, int(abs(scale.end - scale.start) / 90)))]
    return group(
        "axis",
        *(line((x, top), (x, y), "grid") for x, _ in marks),
        *(text(x, y + 18, word, "tick", "middle") for x, word in marks),
        text(middle, y + 40, label, "axis-label", "middle"),
    )


def y_axis(scale: Scale, x: float, label: str, *, right: float, write: Callable[[float], str] = short_number) -> Html:
    """Ticks, their grid lines to `right`, and the label above the axis, set level so that it can be read."""
    marks = [(scale(tick), write(tick)) for tick in scale.ticks(max(2, int(abs(scale.end - scale.start) / 55)))]
    return group(
        "axis",
        *(line((x, y), (right, y), "grid") for y, _ in marks),
        *(text(x - 8, y + 4, word, "tick", "end") for y, word in marks),
        text(8, min(scale.start, scale.end) - 12, label, "axis-label"),
    )


def legend(entries: Iterable[tuple[str, str, str]], x: float, y: float) -> Html:
    """Marks with their names in one row; each entry: shape, class, name."""
    parts: list[Html] = []
    for shape, class_, name in entries:
        parts += [dot((x, y), shape, class_, 4.5), text(x + 10, y + 4, name, "legend")]
        x += 28 + 6.6 * len(name)
    return joined(parts)
