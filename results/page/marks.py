"""The mark and the colour of each recipe and of each run: the same in every chart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from results.page.html import Html, element
from results.page.svg import Point, pixel

# In the order of results/plots/style.py, which cannot be imported without matplotlib.
RECIPES = (
    *("baseline", "selective", "progressive", "low_rank", "full_adapter", "distill"),
    *("ensemble", "scaled_freeze", "progressive_distill"),
)
NUM_RUNS = 6  # that a chart can tell apart


def recipe_class(recipe: str | None) -> str:
    """`recipe-3`: its colour is in static.css; one that is not known yet looks like the last of them."""
    return f"recipe-{_place(recipe)}"


def recipe_mark(at: Point, recipe: str | None, class_: str, size: float = 5.0, title: object | None = None) -> Html:
    """The shape of a recipe; `size` is half its width in pixels."""
    return mark(at, _place(recipe), class_, size, title)


def mark(at: Point, shape: int, class_: str, size: float = 5.0, title: object | None = None) -> Html:
    """One of nine shapes: circle, square, triangle, diamond, triangle on its tip, plus, cross, pentagon, star."""
    inside = [] if title is None else [element("title", title)]
    x, y = at
    if shape % len(_SHAPES) == 0:
        return element("circle", *inside, cx=pixel(x), cy=pixel(y), r=pixel(size), class_=class_)
    corners = "L".join(f"{pixel(x + dx * size)} {pixel(y + dy * size)}" for dx, dy in _SHAPES[shape % len(_SHAPES)])
    return element("path", *inside, d=f"M{corners}Z", class_=class_)


def _place(recipe: str | None) -> int:
    return RECIPES.index(recipe) if recipe in RECIPES else len(RECIPES) - 1


def _ring(corners: int, inner: float = 1.0, turn: float = 0.0) -> list[Point]:
    """Corners around a centre, the first one above; with `inner`, the tips of a star."""
    num = corners * (1 if inner == 1.0 else 2)
    lengths = (1.15 * (inner if i % 2 and inner != 1.0 else 1.0) for i in range(num))
    angles = (math.radians(turn - 90 + 360 * i / num) for i in range(num))
    return [(length * math.cos(angle), length * math.sin(angle)) for length, angle in zip(lengths, angles, strict=True)]


_PLUS: list[Point] = [
    *((-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4)),
    *((0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4)),
]
_TURN = math.sqrt(0.5)
_SHAPES: Sequence[Sequence[Point]] = (
    (),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    _ring(3),
    _ring(4),
    _ring(3, turn=180),
    _PLUS,
    [((dx - dy) * _TURN, (dx + dy) * _TURN) for dx, dy in _PLUS],
    _ring(5),
    _ring(5, inner=0.45),
)
