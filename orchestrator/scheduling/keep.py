"""What a run folder need not keep: artifacts of configs that are off the front, checkpoints of stopped trials. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.early_stopping.rule import Verdict
from orchestrator.search.planner import PlannedTrial
from results.analysis import replicate_groups as of
from results.analysis.objectives import parse_constraint
from results.analysis.standing import Standing, ranks, standings
from results.tables.schema import CONTROL_RECIPE, TRIALS
from search_spaces.spec.sweep_spec import SweepSpec

# A trial that ended in one of these does not go on in this sweep.
SETTLED_STATUSES = ("completed", "infeasible", "diverged")
_ALL_COLUMNS = tuple(column.name for column in TRIALS)
# What tells a config and whom it is compared with, beside objectives and limits.
_COLUMNS = (
    *("trial_id", "config_id", "seed", "recipe", "status", "data", "data_sha256", "accelerator", "cfg_eval_tokens"),
    *("ce", "bpb", "num_neighbours", "suspect"),
)

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToCome:
    """What of a sweep may still change which configs are on its front.

    Args:
        config_ids: configs of which a trial waits, runs, or may go on.
        is_choosing: any config may still be given further seeds, or be confirmed.
        is_compared: trials are still to come that controls may be compared with.
        confirmed: ids of configs that were chosen for confirmation, and of their rivals.
    """

    config_ids: Collection[str] = ()
    is_choosing: bool = False
    is_compared: bool = False
    confirmed: Collection[str] = ()


def to_come(
    spec: SweepSpec,
    trials: Sequence[PlannedTrial],
    rows: Iterable[Row],
    against: Mapping[str, str | None],
    *,
    is_over: bool,
) -> ToCome:
    """What may still change of a sweep.

    Args:
        trials: all that the search has given so far.
        against: by id of each trial of confirmation, the config that it is compared with.
        is_over: the search gives no more.
    """
    ended = {row["trial_id"]: row for row in rows}
    open_rows = {row["config_id"] for row in ended.values() if row["status"] not in SETTLED_STATUSES}
    waiting = [trial for trial in trials if trial.trial_id not in ended]
    recipes = {trial.config.recipe for trial in trials} | {row["recipe"] for row in ended.values()}
    may_choose = spec.replicating == "near_front" or spec.num_confirmed > 0
    confirmed = {trial.config.config_id for trial in trials if trial.trial_id in against} | {*against.values()}
    return ToCome(
        config_ids=open_rows | {trial.config.config_id for trial in waiting},
        is_choosing=may_choose and not is_over,
        is_compared=bool((waiting or open_rows or not is_over) and recipes != {CONTROL_RECIPE}),
        confirmed=frozenset(one for one in confirmed if one is not None),
    )


def removable_artifacts(spec: SweepSpec, rows: Iterable[Row], coming: ToCome) -> list[str]:
    """Ids of the trials whose artifact need not be kept, by `keep.artifacts` of the sweep.

    With `front`, the trials of a config go once it breaks a limit, or once another config is better whatever is still
    to come: neither of the two can change any more. What is in doubt stays: trials without a score or with an unknown
    value, ties, trials of confirmation with the configs that were confirmed, and controls of what stays.
    """
    completed = [row for row in rows if row["status"] == "completed"]
    if spec.keep.artifacts == "none":
        return [row["trial_id"] for row in completed]
    if spec.keep.artifacts == "all":
        return []
    searched = {row["trial_id"]: row for row in rows if row.get("stage") != "confirm"}
    columns = (*_COLUMNS, *spec.objectives, *(limit.column for limit in spec.constraints))
    bounds = [parse_constraint(str(limit)) for limit in spec.constraints]
    configs = list(standings([_known(row, columns) for row in searched.values()], spec.objectives, bounds))
    gone = {id(one): one for one in _beaten(spec, configs, coming) if _config_id(one) not in coming.confirmed}
    needed = _control_keys([one for one in configs if id(one) not in gone], searched)
    return [
        row["trial_id"]
        for one in gone.values()
        if one.members[0]["recipe"] != CONTROL_RECIPE
        or not (coming.is_compared or _control_key(one, searched) in needed)
        for row in one.members
    ]


def far_checkpoints(stopped: Iterable[str], verdicts: Mapping[str, Verdict], num_kept: int) -> list[str]:
    """Of trials that early stopping ended, all but those that came nearest to the front.

    A trial that a user ended has no verdict, and is not counted.
    """
    known = [one for one in stopped if one in verdicts and verdicts[one].action == "stop"]
    return sorted(known, key=lambda trial_id: verdicts[trial_id].margin or 0.0)[num_kept:]


def _beaten(spec: SweepSpec, configs: Sequence[Standing], coming: ToCome) -> list[Standing]:
    """Configs that break a limit, which no further seed mends, or that are behind one that cannot become worse."""
    settled = [one for one in configs if _is_settled(spec, one, coming)]
    behind = [one for one, rank in zip(settled, ranks(settled, spec.objectives), strict=True) if rank]
    return [one for one in configs if one.feasible is False] + behind


def _is_settled(spec: SweepSpec, config: Standing, coming: ToCome) -> bool:
    """Whether a config has all the seeds that it will get."""
    if coming.is_choosing and (spec.num_confirmed or not {*spec.seeds} <= {row["seed"] for row in config.members}):
        return False
    return config.feasible is True and _config_id(config) not in coming.config_ids


def _control_keys(configs: Iterable[Standing], rows: Mapping[str, Row]) -> set[Any]:
    """What the controls of these configs share with them."""
    return {_control_key(one, rows) for one in configs if one.members[0]["recipe"] != CONTROL_RECIPE}


def _control_key(config: Standing, rows: Mapping[str, Row]) -> Any:
    return of.control_key(_known(rows[config.members[0]["trial_id"]], _ALL_COLUMNS))


def _config_id(config: Standing) -> str:
    return str(config.members[0]["config_id"])


def _known(row: Row, columns: Iterable[str]) -> dict[str, Any]:
    """Some columns of a row; as in tables that were read, a NaN is no value."""
    values = {name: row.get(name) for name in columns}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
