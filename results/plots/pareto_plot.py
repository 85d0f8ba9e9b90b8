"""The plot of the Pareto front: CE over artifact bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from results.analysis.objectives import SizeLimit, metric_of, size_limit
from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group
from results.plots.label_layout import place_labels
from results.plots.style import GREY, INK, RED, legend, new_figure, save, style_of, title, unit_of

_WIDE = 12.0  # a range beyond this factor gets a logarithmic axis
_NEAR = 4.0  # a limit within this factor of the largest artifact is drawn in its place, else named at the edge
_MANY = 60  # with more groups than this, spread and seeds would cover the points
_MAX_NAMES = 14


def plot_pareto(info: ParetoInfo, path: Path) -> Path:
    """CE over artifact bytes: seeds, group means with 95 % intervals, the front, and the limit. Writes a PNG.

    The y axis is `bpb` where that is an objective and `ce` is not.
    """
    metric = metric_of(info.objectives)
    shown = [group for group in info.groups if group.artifact_bytes is not None and metric in group.estimates]
    figure, axes = new_figure()
    if shown:
        _draw_pareto(axes, info, shown, metric)
    else:
        axes.text(0.5, 0.5, "no trial has completed yet", transform=axes.transAxes, ha="center", color=INK)
        axes.set(xticks=[], yticks=[])
    title(axes, _pareto_title(info, metric), ", ".join(info.sweeps))
    return save(figure, path)


def _draw_pareto(axes: Axes, info: ParetoInfo, shown: Sequence[Group], metric: str) -> None:
    scale, unit = unit_of(max(_bytes(group) for group in shown), ((1e6, "MB"), (1e3, "kB"), (1.0, "bytes")))
    limit = _limit(info)
    _scale_axes(axes, [_bytes(group) / scale for group in shown])
    _draw_groups(axes, shown, metric, scale)
    _frame(axes, shown, metric, limit and limit.artifact_bytes / scale)
    if info.objectives.keys() == {metric, "artifact_bytes"} and set(info.objectives.values()) == {"min"}:
        _draw_fronts(axes, info, metric, scale)
    if limit is not None:
        _draw_limit(axes, limit, scale, max(_bytes(group) for group in shown))
    axes.set_xlabel(f"artifact ({unit}, decimal)")
    axes.set_ylabel(
        "cross-entropy of the reloaded artifact (nats/token)" if metric == "ce" else "bits per byte of the artifact"
    )
    _explain_spread(axes, shown)
    legend(axes)
    named = _spread_out([group for group in shown if group.on_front], _MAX_NAMES)
    points = [(_bytes(group) / scale, group.estimates[metric].mean) for group in shown]
    anchors = [(_bytes(group) / scale, group.estimates[metric].mean) for group in named]
    place_labels(axes, [group.label for group in named], anchors, points)


def _draw_groups(axes: Axes, shown: Sequence[Group], metric: str, scale: float) -> None:
    recipes = sorted({group.recipe or "?" for group in shown}, key=lambda name: (name != "baseline", name))
    few = len(shown) <= _MANY
    for recipe in recipes:
        colour, marker = style_of(recipe)
        for feasible in (True, False):
            groups = [g for g in shown if (g.recipe or "?") == recipe and bool(g.feasible) == feasible]
            if few:
                _draw_spread(axes, groups, metric, scale, colour if feasible else GREY)
            axes.plot(
                [_bytes(group) / scale for group in groups],
                [group.estimates[metric].mean for group in groups],
                linestyle="",
                marker=marker,
                markersize=8 if few else 4.5,
                color=colour if feasible else GREY,
                alpha=1.0 if few else 0.7,
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=recipe if feasible else "_nolegend_",
                zorder=4 if feasible else 2.5,
            )
    if not all(group.feasible for group in shown):
        axes.plot([], [], linestyle="", marker="o", color=GREY, label="grey: breaks a constraint")


def _draw_spread(axes: Axes, groups: Iterable[Group], metric: str, scale: float, ink: str) -> None:
    """Each seed as a dot (CE only: that is what replicates carry), and the 95 % interval of the mean."""
    for group in groups:
        found = group.estimates[metric]
        if metric == "ce" and found.num > 1:
            seeds = [(one.artifact_bytes / scale, one.ce) for one in group.replicates if one.artifact_bytes]
            axes.plot(
                *zip(*seeds, strict=True), linestyle="", marker=".", markersize=4, color=ink, alpha=0.8, zorder=3.5
            )
        if found.half_width:
            axes.errorbar(
                _bytes(group) / scale, found.mean, yerr=found.half_width, color=ink, linewidth=1, capsize=3, zorder=3
            )


def _explain_spread(axes: Axes, shown: Sequence[Group]) -> None:
    if len(shown) <= _MANY and any(group.ce.num > 1 for group in shown):
        axes.plot([], [], linestyle="", marker=".", markersize=4, color="#777777", label="one seed")
        axes.plot([], [], linestyle="", marker="|", markersize=10, color="#777777", label="95 % interval of the mean")


def _draw_fronts(axes: Axes, info: ParetoInfo, metric: str, scale: float) -> None:
    """A step line per set of comparable groups: what is reached at each size, up to the limit."""
    limit = _limit(info)
    right = min(axes.get_xlim()[1], limit.artifact_bytes / scale if limit else math.inf)
    size = 13 if len(info.groups) <= _MANY else 7
    top = axes.get_ylim()[1]
    by_scored: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for group in info.front:
        if group.artifact_bytes is not None and metric in group.estimates:
            by_scored.setdefault(group.scored_on, []).append((_bytes(group) / scale, group.estimates[metric].mean))
    for number, points in enumerate(by_scored.values()):
        xs, ys = zip(*sorted(points), strict=True)
        label = "Pareto front" if number == 0 else "_nolegend_"
        axes.step(
            [xs[0], *xs, right], [top, *ys, ys[-1]], where="post", color=INK, linewidth=1.1, label=label, zorder=2
        )
        axes.plot(xs, ys, linestyle="", marker="o", markersize=size, fillstyle="none", color=INK, markeredgewidth=0.8)


def _draw_limit(axes: Axes, limit: SizeLimit, scale: float, largest: float) -> None:
    """The limit in its place, or in words at the edge it lies beyond."""
    left, right = axes.get_xlim()
    name, place = limit.name, limit.artifact_bytes / scale
    style: dict[str, Any] = {"color": RED, "fontsize": 9}
    if not left <= place <= right:
        above, ratio = place > right, limit.artifact_bytes / largest
        text = f"{name}: {ratio:,.{0 if ratio >= 10 else 1}f} × the largest artifact →" if above else f"← {name}"
        axes.text(
            0.99 if above else 0.01, 0.02, text, transform=axes.transAxes, ha="right" if above else "left", **style
        )
        return
    axes.axvline(place, color=RED, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1.5)
    fraction, _ = axes.transAxes.inverted().transform(axes.transData.transform((place, axes.get_ylim()[0])))
    side = -1 if fraction > 0.2 else 1
    axes.annotate(
        name,
        (place, 0.98),
        xycoords=("data", "axes fraction"),
        xytext=(4 * side, 0),
        textcoords="offset points",
        ha="right" if side < 0 else "left",
        va="top",
        **style,
    )


def _scale_axes(axes: Axes, sizes: Sequence[float]) -> None:
    if min(sizes) <= 0 or max(sizes) < _WIDE * min(sizes):
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _frame(axes: Axes, shown: Sequence[Group], metric: str, limit: float | None) -> None:
    """Limits with room for labels; intervals of two seeds may be wide, so they never more than double the height."""
    left, right = axes.dataLim.intervalx
    log = axes.get_xscale() == "log"
    if limit is not None and right < limit <= right * _NEAR:
        right = limit * 1.02
    if limit is not None and left / _NEAR <= limit < left:
        left = limit * 0.98
    factor = (right / left) ** 0.06 if log else 1.0
    pad = 0.0 if log else max(0.06 * (right - left), 0.03 * right)
    axes.set_xlim(max(left - pad, 0.0) / factor, (right + pad) * factor)
    means = [group.estimates[metric].mean for group in shown]
    means += [one.ce for group in shown for one in group.replicates] if metric == "ce" else []
    low, high = min(means), max(means)
    height = max(high - low, 0.02 * abs(high), 1e-3)
    bars = [group.estimates[metric].half_width or 0.0 for group in shown]
    reach = [
        group.estimates[metric].mean + sign * bar for group, bar in zip(shown, bars, strict=True) for sign in (-1, 1)
    ]
    bottom = max(min(low, *reach), low - 0.5 * height) - 0.14 * height
    axes.set_ylim(bottom, min(max(high, *reach), high + 0.5 * height) + 0.12 * height)


def _limit(info: ParetoInfo) -> SizeLimit | None:
    return size_limit(info.constraints, max((group.code_bytes or 0 for group in info.groups), default=0))


def _pareto_title(info: ParetoInfo, metric: str) -> str:
    name = "Cross-entropy" if metric == "ce" else "Bits per byte"
    configs = "1 config" if len(info.groups) == 1 else f"{len(info.groups)} configs"
    return f"{name} over artifact size: {configs}, {len(info.front)} on the front"


def _spread_out(front: Sequence[Group], most: int) -> list[Group]:
    """At most so many groups, evenly over the front from the smallest artifact to the largest."""
    ordered = sorted(front, key=_bytes)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]


def _bytes(group: Group) -> float:
    assert group.artifact_bytes is not None
    return float(group.artifact_bytes)
