"""What decides a config's place: its values over seeds, its limits, and whom it is compared with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from results.analysis import replicate_groups as of
from results.analysis.objectives import Constraint, Direction
from results.analysis.pareto import pareto_rank
from results.analysis.per_device import are_per_device, comparable
from results.analysis.replicate_groups import Row
from results.analysis.statistics import Estimate

# Losses per token compare only where the same tokens were scored.
PER_TOKEN = frozenset({"ce", "ce_raw", "train_ce"})


class Placed(Protocol):
    """What a rank depends on; see `Standing`."""

    @property
    def values(self) -> Mapping[str, float | None]: ...

    @property
    def feasible(self) -> bool | None: ...

    @property
    def num_stopped(self) -> int: ...

    @property
    def scored_on(self) -> tuple[Any, ...]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """The scored trials of one config, and what decides its place on the front.

    Args:
        members: on one dataset, and on one accelerator if an objective depends on the device.
        estimates: of each objective over seeds, where all trials have it.
        values: of each objective: mean over seeds, or the largest for a size in bytes; see `per_device.py` for those
            that depend on the device.
        feasible: all artifacts keep all constraints; None if unknown.
        num_not_completed: trials of the config that gave no score.
        num_stopped: of these, stopped early: a mean of the others would be too good for the front.
        scored_on: configs are only compared where this is equal.
    """

    members: tuple[Row, ...]
    estimates: Mapping[str, Estimate]
    values: Mapping[str, float | None]
    feasible: bool | None
    num_not_completed: int
    num_stopped: int
    scored_on: tuple[Any, ...]


def is_scored(row: Row) -> bool:
    """Whether a trial counts: it completed with a finite loss, on a node that is not suspect."""
    return has_score(row) and row["config_id"] is not None and not of.is_suspect(row)


def has_score(row: Row) -> bool:
    """Whether a trial completed with a finite loss."""
    return row["status"] == "completed" and row["ce"] is not None and math.isfinite(row["ce"])


def group_columns(goals: Iterable[str]) -> tuple[str, ...]:
    """The columns whose values make the trials of one config."""
    return ("config_id", "data_sha256", *(["accelerator"] if are_per_device(goals) else []))


def standings(rows: Sequence[Row], goals: Mapping[str, Direction], bounds: Sequence[Constraint]) -> Iterator[Standing]:
    """Every config with a scored trial; `rows` are all trials of the search, whatever became of them."""
    siblings = of.by_key(rows, ["config_id"])
    for members in of.by_key(filter(is_scored, rows), group_columns(goals)).values():
        data = (members[0]["data_sha256"], None)
        others = [row for row in siblings[members[0]["config_id"],] if row["data_sha256"] in data]
        yield standing_of(members, others, goals, bounds)


def standing_of(
    members: Sequence[Row], siblings: Sequence[Row], goals: Mapping[str, Direction], bounds: Sequence[Constraint]
) -> Standing:
    """Of scored trials of one config; `siblings` are all its trials, also those without a score."""
    lost = [row for row in siblings if not has_score(row)]
    refused = [row for row in lost if row["status"] == "infeasible"]
    estimates = estimates_of(members, goals)
    return Standing(
        members=tuple(members),
        estimates=estimates,
        values={name: _value(name, members, estimates) for name in goals},
        feasible=of.keeps([*members, *refused], bounds),
        num_not_completed=len(lost),
        num_stopped=sum(row["status"] == "stopped_early" for row in lost),
        scored_on=_scored_on(members[0], goals),
    )


def ranks(configs: Sequence[Placed], goals: Mapping[str, Direction]) -> list[int | None]:
    """Layers of non-dominated sorting: of feasible configs with known objectives, each among those it compares with."""
    found: dict[int, int] = {}
    comparable_with: dict[tuple[Any, ...], list[int]] = {}
    for i, one in enumerate(configs):
        if one.feasible and not one.num_stopped:
            comparable_with.setdefault(one.scored_on, []).append(i)
    for rivals in comparable_with.values():
        values = [[_number(configs[i].values[name]) for name in goals] for i in rivals]
        layers = pareto_rank(np.reshape(values, (len(rivals), len(goals))), list(goals.values()))
        found.update({i: int(layer) for i, layer in zip(rivals, layers, strict=True) if layer >= 0})
    return [found.get(i) for i in range(len(configs))]


def largest(column: str, rows: Sequence[Row]) -> Any:
    """The largest value; None unless every row has one."""
    values = [row[column] for row in rows]
    return None if None in values else max(values)


def estimates_of(rows: Sequence[Row], columns: Iterable[str]) -> dict[str, Estimate]:
    """Of the trials of one config over seeds, of those columns that all trials that compare have."""
    found = {name: of.over_seeds(comparable(rows, name), itemgetter(name)) for name in columns}
    return {name: one for name, one in found.items() if one is not None}


def _value(objective: str, rows: Sequence[Row], estimates: Mapping[str, Estimate]) -> float | None:
    if objective.endswith("_bytes"):
        size: float | None = largest(objective, rows)
        return size
    return estimates[objective].mean if objective in estimates else None


def _scored_on(row: Row, goals: Mapping[str, Direction]) -> tuple[Any, ...]:
    text = [row["data"], row["data_sha256"], row["cfg_eval_tokens"]] if PER_TOKEN & goals.keys() else []
    return (*text, *([row["accelerator"]] if are_per_device(goals) else []))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
