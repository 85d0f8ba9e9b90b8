"""The fronts of several runs side by side, on a text that all were scored on, up to one common reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from results.analysis.night.changes import ScoredText, of_text
from results.analysis.night.volume import costs_of, reference_of, unit_of, values_of, volume_of
from results.analysis.objectives import Direction
from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group, Row


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFronts:
    """The front of each run, as far as they compare.

    Args:
        kind: the accelerator, where an objective depends on it; else None.
        fronts: of each run; empty where nothing keeps the limits.
        reference: the worst value of each objective among all configs of all runs that keep the limits.
        volumes: the hypervolume of each run up to there.
    """

    kind: str | None
    fronts: tuple[tuple[Group, ...], ...]
    reference: Mapping[str, float]
    unit: str
    volumes: tuple[float, ...]


def run_fronts(
    infos: Sequence[ParetoInfo], rows: Sequence[Sequence[Row]], text: ScoredText, goals: Mapping[str, Direction]
) -> list[RunFronts]:
    """One; or one for each accelerator that several runs have used, if an objective depends on it."""
    found = []
    members = [_members(info, its_rows, text) for info, its_rows in zip(infos, rows, strict=True)]
    kinds = sorted({kind for info in infos for kind in info.kinds}, key=str) or [None]
    for kind in kinds:
        runs = [[group for group in groups if kind is None or group.kind == kind] for groups in members]
        if sum(map(bool, runs)) >= (1 if kind is None else 2):
            found.append(_compared(kind, runs, goals))
    return found


def _members(info: ParetoInfo, rows: Sequence[Row], text: ScoredText) -> list[Group]:
    """Configs with a rank whose trials were scored on the text."""
    trials = {row["trial_id"] for row in of_text(rows, text)}
    ranked = (group for group in info.groups if group.feasible and group.rank is not None)
    return [group for group in ranked if any(one.trial_id in trials for one in group.replicates)]


def _compared(kind: str | None, runs: Sequence[Sequence[Group]], goals: Mapping[str, Direction]) -> RunFronts:
    values = values_of([group for run in runs for group in run], goals)
    costs = costs_of(values, goals)
    worst, parts = costs.max(axis=0), np.split(costs, np.cumsum([len(run) for run in runs])[:-1])
    return RunFronts(
        kind=kind,
        fronts=tuple(tuple(group for group in run if group.on_front) for run in runs),
        reference=reference_of(values, costs, goals),
        unit=unit_of(goals),
        volumes=tuple(volume_of(part, worst) for part in parts),
    )
