"""The plot of all comparisons: each config's difference of CE from its controls, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from results.analysis.control_comparison import UNLIKE_CONTROL, StudyRow, StudyTable
from results.analysis.statistics import Estimate
from results.plots.style import INK, legend, new_figure, save, style_of, title

_MOST = 40
_INCHES_PER_ROW = 0.3


def plot_controls(table: StudyTable, path: Path) -> Path | None:
    """Difference of CE in % with its 95 % interval, a line per config, best first. None where nothing is compared.

    Filled marks are against the control that is equal in all but the recipe, hollow ones against the learned config
    of (nearly) the same bytes, which is named beside. Left of zero is better.
    """
    compared = sorted((row for row in table.rows if _estimates(row)), key=_best)
    rows = compared[:_MOST]
    if not rows:
        return None
    figure, axes = new_figure()
    figure.set_figheight(2.2 + _INCHES_PER_ROW * len(rows))
    for place, row in enumerate(rows):
        _draw_row(axes, row, place)
    _explain(axes)
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("cross-entropy against the control (%); left of zero is better")
    legend(axes)
    cut = f": the best {len(rows)} of {len(compared)}" if len(rows) < len(compared) else ""
    title(axes, f"Against learned controls, paired by seed{cut}", table.sweep)
    return save(figure, path)


def _estimates(row: StudyRow) -> Sequence[Estimate]:
    return [found for found in (_same_shape(row), row.same_bytes and row.same_bytes.ce_pct) if found]


def _same_shape(row: StudyRow) -> Estimate | None:
    """The difference from the control; one of another shape is none, whatever the study did."""
    return None if UNLIKE_CONTROL in row.marks else row.ce_pct


def _best(row: StudyRow) -> tuple[float, str]:
    return min(found.mean for found in _estimates(row)), row.label


def _draw_row(axes: Axes, row: StudyRow, place: int) -> None:
    colour, marker = style_of(row.recipe or "?")
    same_bytes = row.same_bytes.ce_pct if row.same_bytes else None
    for found, fill, shift in ((_same_shape(row), colour, -0.14), (same_bytes, "white", 0.14)):
        if found is not None:
            axes.errorbar(
                found.mean,
                place + shift,
                xerr=found.half_width,
                color=colour,
                marker=marker,
                markersize=6,
                markerfacecolor=fill,
                linewidth=1.2,
                capsize=2.5,
            )
    if row.same_bytes and same_bytes:
        right = same_bytes.mean + (same_bytes.half_width or 0.0)
        axes.annotate(
            row.same_bytes.name,
            (right, place + 0.16),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color="#777777",
        )


def _explain(axes: Axes) -> None:
    for fill, text in ((INK, "learned, same shape"), ("white", "learned, same bytes (named, × its bytes)")):
        axes.plot([], [], linestyle="", marker="o", color=INK, markerfacecolor=fill, label=f"against: {text}")
    axes.plot([], [], linestyle="-", color=INK, linewidth=1.2, label="95 % interval over seeds")
