"""Places labels beside points so that they overlap as little as possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_HALF_A_MARK = 6  # pixels
# Where a name may stand, in points from its anchor, best first: below and left of a front there is nothing else.
_OFFSETS = (
    [
        (dx, dy)
        for reach in (10, 18, 28)
        for dx, dy in ((-reach, -reach), (reach, reach), (reach, -reach), (-reach, reach))
    ]
    + [(0, -16), (0, 16), (0, -30), (0, 30)]
    + [(dx, dy) for reach in (42, 58, 78) for dx, dy in ((-reach, -reach / 2), (reach / 2, reach), (reach / 2, -reach))]
)


def place_labels(
    axes: Axes,
    labels: Sequence[str],
    anchors: Sequence[tuple[float, float]],  # data coordinates, one per label
    points: Sequence[tuple[float, float]],  # data coordinates of all that should stay visible
) -> int:
    """Write each label near its anchor at the first free place; one without a free place is left out. Returns how many.

    Limits and scales of the axes must be final.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # fixes the layout, so that pixels mean what they will mean in the file
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]
    visible = axes.transData.transform(points) if points else np.empty((0, 2))
    taken = [Text.get_window_extent(text) for text in axes.texts]
    placed = 0
    for label, anchor in zip(labels, anchors, strict=True):
        for dx, dy in _OFFSETS:
            text = axes.annotate(
                label,
                anchor,
                xytext=(dx, dy),
                textcoords="offset points",
                ha="left" if dx > 0 else "right" if dx < 0 else "center",
                va="bottom" if dy > 0 else "top",
                fontsize=8,
                color="#222222",
                arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
                zorder=6,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
            text.update_positions(renderer)
            box = Text.get_window_extent(text)  # an annotation's own extent would include its arrow
            inside = axes.bbox.padded(2).fully_containsx(box.x0) and axes.bbox.fully_containsx(box.x1)
            inside = inside and axes.bbox.fully_containsy(box.y0) and axes.bbox.fully_containsy(box.y1)
            if inside and not any(box.overlaps(other) for other in taken) and not _covers(box, visible):
                taken.append(box.padded(3))
                placed += 1
                break
            text.remove()
    return placed


def _covers(box: Bbox, points: npt.NDArray[np.float64]) -> bool:  # (n, 2), in pixels
    """Whether a box touches the mark of a point."""
    low, high = np.array(box.min) - _HALF_A_MARK, np.array(box.max) + _HALF_A_MARK
    return bool(((low <= points) & (points <= high)).all(axis=1).any())
