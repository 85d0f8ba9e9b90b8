"""The frame of the front's picture: which values its axes cover, the same for the static picture and for the script."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from results.analysis.objectives import SizeLimit, size_limit
from results.page.page_info import PageInfo
from results.page.states import FRONT

_WIDE = 5.0  # sizes that span this factor get a logarithmic axis
_NEAR = 4.0  # a limit within this factor of the largest size is drawn in its place
_SHOWN_SHARE = 0.95  # of the configs that are not on the front: the worst would crowd the others at the bottom


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """Ranges of the axes. `num_above`: configs with a worse score, drawn at the upper edge."""

    x: tuple[float, float]
    y: tuple[float, float]
    is_log: bool
    num_above: int
    limit: SizeLimit | None

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"limit": None if self.limit is None else self.limit._asdict()}


def size_of(page: PageInfo, index: int) -> float | None:
    """The value of a config on the horizontal axis."""
    group = page.configs.all[index].group
    if group is None:
        return None
    value = group.values.get(page.size, getattr(group, page.size, None))
    return None if value is None else float(value)


def frame_of(page: PageInfo) -> Frame | None:
    """None where no config has both values."""
    points = [
        (x, one.group.estimates[page.metric].mean, one.state == FRONT)
        for index, one in enumerate(page.configs.all)
        if one.group is not None and page.metric in one.group.estimates and (x := size_of(page, index)) is not None
    ]
    if not points:
        return None
    code_bytes = max((group.code_bytes or 0 for group in page.info.groups), default=0)
    limit = size_limit(page.info.constraints, code_bytes, page.size)
    if limit is not None and limit.artifact_bytes <= 0:
        limit = None  # the code alone is larger: no place on an axis of sizes
    xs, ys = np.array([x for x, _, _ in points]), np.array([y for _, y, _ in points])
    front = [y for _, y, is_front in points if is_front]
    low, high = float(ys.min()), max([float(np.quantile(ys, _SHOWN_SHARE)), *front])
    high = float(ys.max()) if high <= low or ys.max() - low < 1.5 * (high - low) else high
    is_log = bool(xs.min() > 0 and xs.max() / xs.min() >= _WIDE)
    low, high = _with_bars(page, low, high)
    room = max(high - low, 0.01 * abs(high), 1e-6)
    return Frame(
        x=_range(xs.tolist(), limit, is_log),
        y=(low - 0.08 * room, high + 0.06 * room),
        is_log=is_log,
        num_above=int((ys > high + 0.06 * room).sum()),
        limit=limit,
    )


def _with_bars(page: PageInfo, low: float, high: float) -> tuple[float, float]:
    """Room for the intervals of the front; that of two seeds may be wide, so they add half the height at most."""
    bars = [group.estimates[page.metric] for group in page.info.front if page.metric in group.estimates]
    ends = [bar.mean + sign * (bar.half_width or 0.0) for bar in bars for sign in (-1, 1)]
    most = 0.5 * (high - low)
    return max(min([low, *ends]), low - most), min(max([high, *ends]), high + most)


def _range(sizes: Sequence[float], limit: SizeLimit | None, is_log: bool) -> tuple[float, float]:
    low, high = min(sizes), max(sizes)
    if limit is not None and high < limit.artifact_bytes <= high * _NEAR:
        high = limit.artifact_bytes
    if is_log:
        margin = (high / low) ** 0.05
        return low / margin, high * margin
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - room, high + room
