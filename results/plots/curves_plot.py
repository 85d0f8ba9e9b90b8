"""The plot of loss over training tokens: the front and its controls."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group
from results.plots.style import STYLES, legend, new_figure, save, title, unit_of
from results.tables.load import Tables

_MAX_CURVES = 8


def plot_curves(tables: Tables, info: ParetoInfo, path: Path) -> Path | None:
    """Loss over training tokens of the front's groups and their controls, a line per seed. None without curves.

    Validation loss where it was measured while training, else training loss.
    """
    chosen = _with_curves(info)
    wanted = {replicate.trial_id: group for group in chosen for replicate in group.replicates}
    curves = tables.curves[tables.curves["trial_id"].isin(list(wanted))]
    metric = "val_ce" if _points_per_trial(curves, "val_ce") >= 2 else "train_ce"
    curves = curves[curves[metric].notna()]
    if curves.empty:
        return None
    figure, axes = new_figure()
    scale, unit = unit_of(
        float(curves["tokens"].max()), ((1e9, "billion"), (1e6, "million"), (1e3, "thousand"), (1.0, ""))
    )
    colours = [colour for colour, _ in STYLES]
    named: set[str] = set()
    for trial_id, curve in curves.groupby(curves["trial_id"].astype(object), sort=True):
        group, curve = wanted[trial_id], curve.sort_values("step")
        index = chosen.index(group)
        axes.plot(
            curve["tokens"].to_numpy(dtype=float) / scale,
            curve[metric].to_numpy(dtype=float),
            color=colours[index],
            linewidth=1.3,
            alpha=0.85,
            linestyle="--" if group.control is None else "-",
            label="_nolegend_" if group.label in named else group.label,
        )
        named.add(group.label)
    kind = "validation, before packing" if metric == "val_ce" else "training"
    axes.set_xlabel(f"training tokens ({unit})" if unit else "training tokens")
    axes.set_ylabel(f"cross-entropy, {kind} (nats/token)")
    axes.margins(x=0.02)
    legend(axes)
    title(axes, "Loss over tokens: the front and its controls", ", ".join(info.sweeps))
    return save(figure, path)


def _with_curves(info: ParetoInfo) -> list[Group]:
    """Groups of the front with their controls, best first, as many as there are colours."""

    def key(config_id: str, group: Group) -> tuple[str, str | None, str | None]:
        return config_id, group.data_sha256, group.kind if info.kinds else None

    by_key = {key(group.config_id, group): group for group in info.groups}
    chosen: dict[tuple[str, str | None, str | None], Group] = {}
    for group in info.front or info.groups:
        control = by_key.get(key(group.control.config_id, group)) if group.control else None
        for one in (group, control):
            if one is not None and len(chosen) < _MAX_CURVES:
                chosen.setdefault(key(one.config_id, one), one)
    return list(chosen.values())


def _points_per_trial(curves: pd.DataFrame, column: str) -> float:
    if curves.empty:
        return 0.0
    return float(curves[column].notna().groupby(curves["trial_id"].astype(object)).sum().median())
