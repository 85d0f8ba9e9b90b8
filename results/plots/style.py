"""What all plots share: colours, frame, title, legend, saving."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from results.files import write_atomically

# Okabe and Ito's colours, told apart by colour-blind readers too; the marker differs as well.
STYLES: tuple[tuple[str, str], ...] = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
    ("#7A6A00", "X"),
    ("#8A5FBF", "p"),
    ("#222222", "*"),
)
# A recipe has the same style in every picture, whichever others are in it.
RECIPES = (
    *("baseline", "selective", "progressive", "low_rank", "full_adapter", "distill"),
    *("ensemble", "scaled_freeze", "progressive_distill"),
)
GREY = "#b4b4b4"
INK = "#333333"
RED = "#A00000"


def style_of(recipe: str) -> tuple[str, str]:
    """Colour and marker of a recipe; one that is not known yet looks like the last of them."""
    return STYLES[RECIPES.index(recipe) if recipe in RECIPES else -1]


def unit_of(largest: float, units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """The first of the units, largest first, of which there is at least a half; else the last."""
    return next(((scale, name) for scale, name in units if largest >= 0.5 * scale), units[-1])


def new_figure() -> tuple[Figure, Axes]:
    """An empty picture of 1440 × 900 pixels."""
    figure = Figure(figsize=(9.6, 6.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(True, color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def title(axes: Axes, text: str, sweeps: str) -> None:
    """What the picture shows, and in small which sweeps it is of."""
    axes.set_title(text, loc="left", fontsize=12, fontweight="bold", color=INK)
    axes.set_title(sweeps, loc="right", fontsize=9, color="#777777")


def legend(axes: Axes) -> None:
    """Below the axes, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        axes.figure.legend(
            list(unique.values()),
            list(unique),
            loc="outside lower center",
            ncols=min(5, len(unique)),
            frameon=False,
            fontsize=9,
        )


def save(figure: Figure, path: Path) -> Path:
    """Without software version or time in the file, equal tables give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
    return path
