"""Each config of a run against its controls, of the same shape and of the same bytes, and as published."""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from results.analysis import published_figures
from results.analysis import replicate_groups as of
from results.analysis.objectives import DEFAULT_OBJECTIVES
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.published_figures import Published, Scale
from results.analysis.replicate_groups import Group, Row
from results.analysis.standing import is_scored
from results.analysis.statistics import Estimate
from results.tables.load import Tables
from results.tables.schema import CONTROL_RECIPE

# What may differ between a model and the learned control of its bytes.
_SHAPE = frozenset(
    f"cfg_model_{name}" for name in ("num_layers", "dim", "num_heads", "num_kv_heads", "rope_dims", "mlp")
)
_MLP = "cfg_model_mlp"
UNLIKE_CONTROL = "c"  # of published_figures.MARKS
_BUT_FOR_SHAPE = itemgetter(*(name for name in of.SHARED_COLUMNS if name.startswith("cfg_") and name not in _SHAPE))
# What is read of a trial.
_COLUMNS = (
    *("trial_id", "config_id", "seed", "status", "stage", "suspect", "accelerator", "ce"),
    *("num_params", "num_params_seeded", "num_params_stored_frozen"),
)
Learned = Sequence[Group]  # in the order of their bytes
# A learned model whose artifact is larger or smaller by more than this factor is no control of the same bytes.
SAME_BYTES_RATIO = 1.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SameBytes:
    """A config against the learned one whose artifact comes nearest in size; `ratio` is its bytes over the config's."""

    label: str
    ratio: float
    ce_pct: Estimate | None

    @property
    def name(self) -> str:
        """`5L64d ×1.04`: its shape, and its bytes over the config's."""
        return f"{self.label.removeprefix(CONTROL_RECIPE).strip()} ×{self.ratio:.2f}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One config. Differences of CE are in percent, paired by seed; negative is better than the control."""

    label: str
    recipe: str | None
    ce: Estimate
    is_control: bool
    ce_pct: Estimate | None
    control: str | None
    same_bytes: SameBytes | None
    artifact_bytes: int | None
    seeded_share: float | None
    stored_frozen_share: float | None
    published: Published | None
    published_pct: float | None  # against the baseline of its own table
    marks: str  # letters of published_figures.MARKS
    accelerators: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyTable:
    """All configs of one run, and the published rows of its sweep that no config corresponds to."""

    sweep: str
    scale: Scale
    rows: tuple[StudyRow, ...]
    missing: tuple[Published, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def study_table(
    tables: Tables, figures: Sequence[Published], scale: Scale, info: ParetoInfo | None = None
) -> StudyTable:
    """Every config of a run in the order of the run's table, with what was published of it.

    A control is the learned config that is equal in all else; where there is none, the config that stands for the
    published table's own baseline, and the comparison is marked.

    Args:
        info: of the tables, where it is known already.
    """
    if info is None or info.objectives != DEFAULT_OBJECTIVES:  # others may make other groups
        info = pareto_info(tables)
    sweep = info.sweeps[0] if info.sweeps else ""
    rows = [row for row in of.to_rows(tables.trials, _COLUMNS) if is_scored(row) and row["stage"] != "confirm"]
    rows_of = of.by_key(rows, ["config_id"])
    found = {group.config_id: published_figures.find(_settings(group), sweep, scale, figures) for group in info.groups}
    own = sweep.removesuffix(f"_{scale.name}") if scale.name else sweep
    baselines = [group for group in info.groups if _is_baseline(found[group.config_id])]
    baseline = min(baselines, key=lambda group: _sweep(found[group.config_id]) != own, default=None)
    labels = {group.config_id: group.label for group in reversed(info.groups)}
    learned = _learned_by_settings(info.groups)
    context = _Context(labels=labels, learned=learned, rows=rows_of, figures=figures, scale=scale, baseline=baseline)
    found_rows = [_row(group, found[group.config_id], context) for group in info.groups]
    used = {id(row) for row in found.values()}
    missing = tuple(row for row in figures if row.sweep == own and id(row) not in used)
    return StudyTable(sweep=sweep, scale=scale, rows=tuple(sorted(found_rows, key=_order)), missing=missing)


def load_study_table(folder: Path, figures: Path) -> StudyTable:
    """The table of a run folder, with the published figures of a file.

    Raises:
        ResultsError: if either is missing or damaged.
    """
    from results.tables import load

    rows = published_figures.load_published(figures)
    return study_table(load.load(folder), rows, published_figures.scale_of(folder))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Context:
    """What a row needs of the others."""

    labels: Mapping[str, str]  # by config_id
    learned: Mapping[tuple[Any, ...], Learned]  # by the settings that two models of the same bytes share
    rows: dict[tuple[Any, ...], list[Row]]  # scored trials by config_id
    figures: Sequence[Published]
    scale: Scale
    baseline: Group | None


def _is_baseline(row: Published | None) -> bool:
    return row is not None and row.is_baseline


def _sweep(row: Published | None) -> str | None:
    return None if row is None else row.sweep


def _settings(group: Group) -> dict[str, Any]:
    return {**group.settings, "recipe": group.recipe, "data": group.data}


def _row(group: Group, figure: Published | None, context: _Context) -> StudyRow:
    members = context.rows[group.config_id,]
    is_control = group.recipe == CONTROL_RECIPE
    control, ce_pct, unlike = _against_control(group, members, context)
    marks = published_figures.marks(_settings(group), context.scale, figure) if figure else ""
    first = members[0]
    return StudyRow(
        label=group.label,
        recipe=group.recipe,
        ce=group.ce,
        is_control=is_control,
        ce_pct=ce_pct,
        control=control,
        same_bytes=None if is_control else _same_bytes(group, members, context),
        artifact_bytes=group.artifact_bytes,
        seeded_share=_share(first, "num_params_seeded"),
        stored_frozen_share=_share(first, "num_params_stored_frozen"),
        published=figure,
        published_pct=published_figures.percentage(figure, context.figures) if figure else None,
        marks=marks + (UNLIKE_CONTROL if unlike else ""),
        accelerators=group.accelerators,
    )


def _against_control(
    group: Group, members: Sequence[Row], context: _Context
) -> tuple[str | None, Estimate | None, bool]:
    """The control's label, the difference from it, and whether it is another shape."""
    if group.control is not None:
        return context.labels[group.control.config_id], group.control.ce_pct, False
    baseline = context.baseline
    if baseline is None or baseline.config_id == group.config_id or baseline.scored_on != group.scored_on:
        return None, None, False
    return baseline.label, of.compare(members, context.rows[baseline.config_id,]), True


def _same_bytes(group: Group, members: Sequence[Row], context: _Context) -> SameBytes | None:
    if not group.artifact_bytes:
        return None
    near = [
        (other, ratio)
        for other, ratio in _near(context.learned.get(_but_for_shape(group), ()), group.artifact_bytes)
        if abs(math.log(ratio)) <= math.log(SAME_BYTES_RATIO)
    ]
    if not near:
        return None

    def distance(found: tuple[Group, float]) -> tuple[Any, ...]:
        # of two at one distance the better one: a control must not be chosen for its weakness
        other, ratio = found
        return other.settings[_MLP] != group.settings[_MLP], abs(math.log(ratio)), other.ce.mean

    rival, ratio = min(near, key=distance)
    ce_pct = of.compare(members, context.rows[rival.config_id,])
    return SameBytes(label=rival.label, ratio=ratio, ce_pct=ce_pct)


def _learned_by_settings(groups: Sequence[Group]) -> dict[tuple[Any, ...], Learned]:
    found: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        if group.recipe == CONTROL_RECIPE and group.artifact_bytes:
            found.setdefault(_but_for_shape(group), []).append(group)
    return {key: sorted(of_key, key=_bytes) for key, of_key in found.items()}


def _near(learned: Learned, artifact_bytes: int) -> Iterator[tuple[Group, float]]:
    """Learned models of about so many bytes, each with its bytes over these."""
    first = bisect.bisect_left(learned, artifact_bytes / SAME_BYTES_RATIO - 1, key=_bytes)
    last = bisect.bisect_right(learned, artifact_bytes * SAME_BYTES_RATIO + 1, key=_bytes)
    return ((other, _bytes(other) / artifact_bytes) for other in learned[first:last])


def _bytes(group: Group) -> int:
    return group.artifact_bytes or 0


def _but_for_shape(group: Group) -> tuple[Any, ...]:
    return (group.data, group.data_sha256, *_BUT_FOR_SHAPE(group.settings))


def _share(row: Row, column: str) -> float | None:
    return None if row[column] is None or not row["num_params"] else row[column] / row["num_params"]


def _order(row: StudyRow) -> tuple[Any, ...]:
    """Controls first, then by recipe, the best of each first."""
    return (not row.is_control, str(row.recipe), row.ce.mean)
