"""ParetoInfo: all that tables, plots and reports show of a run, computed once."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from results.analysis import replicate_groups as of
from results.analysis.claims import Claim, Key, claims_of, confirmed_configs
from results.analysis.config_labels import config_labels
from results.analysis.front_probability import probabilities_of
from results.analysis.objectives import (
    BUDGET,
    DEFAULT_OBJECTIVES,
    Constraint,
    Direction,
    metric_of,
    nearest,
    parse_constraint,
)
from results.analysis.per_device import are_per_device, is_per_device, left_out_text
from results.analysis.replicate_groups import Confirmed, Control, Group, Replicate, Row
from results.analysis.standing import (
    PER_TOKEN,
    Standing,
    estimates_of,
    group_columns,
    has_score,
    is_scored,
    largest,
    ranks,
    standings,
)
from results.collector import paused_collector
from results.errors import ResultsError
from results.tables.load import Tables
from results.tables.schema import CONTROL_RECIPE, STATUSES, TRIALS

SUSPECT = "completed on a suspect node"
# What is read of a trial; the settings are read of one trial of each group.
_COLUMNS = (
    *("sweep", "trial_id", "config_id", "seed", "recipe", "data", "data_sha256", "cfg_eval_tokens"),
    *("stage", "confirm_against", "status", "suspect", "feasible", "accelerator", "host", "node", "num_neighbours"),
    *("ce", "bpb", "ce_test", "bpb_test", "artifact_bytes", "code_bytes", "tokens_per_s"),
)
_NUMERIC = tuple(c.name for c in TRIALS if pa.types.is_integer(c.type) or pa.types.is_floating(c.type))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParetoInfo:
    """Groups of replicates, best first by `metric_of`, with the front among those that keep the constraints."""

    sweeps: tuple[str, ...]
    objectives: Mapping[str, Direction]
    constraints: tuple[Constraint, ...]
    groups: tuple[Group, ...]
    num_trials: int
    status_counts: Mapping[str, int]
    not_counted: Mapping[str, int]  # trials outside the groups, by reason
    notes: tuple[str, ...]  # what a reader must know before comparing
    claims: tuple[Claim, ...] = ()  # of confirmed configs against their rivals

    @property
    def front(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.on_front)

    @property
    def kinds(self) -> tuple[str | None, ...]:
        """The accelerators with a front of their own; empty where the objectives do not depend on the device."""
        if not are_per_device(self.objectives):
            return ()
        return tuple(sorted({group.kind for group in self.groups}, key=str))

    @property
    def feasible(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.feasible)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {
            "sweeps": list(self.sweeps),
            "objectives": dict(self.objectives),
            "front_per_accelerator": are_per_device(self.objectives),
            "constraints": [str(constraint).replace(",", "") for constraint in self.constraints],
            "num_trials": self.num_trials,
            "status_counts": dict(self.status_counts),
            "not_counted": dict(self.not_counted),
            "notes": list(self.notes),
            "claims": [{**dataclasses.asdict(claim), "is_decided": claim.is_decided} for claim in self.claims],
            "groups": [_group_dict(group) for group in self.groups],
        }


@paused_collector()
def pareto_info(
    tables: Tables,
    objectives: Mapping[str, Direction] | None = None,
    constraints: Sequence[Constraint | str] = (BUDGET,),
) -> ParetoInfo:
    """Group the completed trials, find which groups keep the constraints, the front among them, and each one's control.

    Raises:
        ResultsError: if an objective or constraint names no numeric column of the table of trials.
    """
    goals = dict(objectives or DEFAULT_OBJECTIVES)
    bounds = tuple(parse_constraint(item) if isinstance(item, str) else item for item in constraints)
    _check_columns([*goals, *(bound.column for bound in bounds)])
    rows = _rows(tables.trials, goals, [bound.column for bound in bounds])
    # what confirms is no second chance: it decides claims, and no place on the front
    searched = [row for row in rows if row.get("stage") != "confirm"]
    test_column = "bpb_test" if "bpb" in goals else "ce_test"
    confirmed = confirmed_configs(rows, test_column)
    counted, not_counted = _split(searched)
    configs = list(standings(searched, goals, bounds))
    groups = list(_groups(tables.trials, configs, goals, confirmed))
    counts = Counter(row["status"] or "unknown" for row in rows)
    return ParetoInfo(
        sweeps=tuple(sorted({row["sweep"] for row in rows if row["sweep"]})),
        objectives=goals,
        constraints=bounds,
        groups=tuple(sorted(groups, key=lambda group: _goodness(group, metric_of(goals)))),
        num_trials=len(rows),
        status_counts={status: counts[status] for status in sorted(counts, key=_status_order)},
        not_counted=not_counted,
        notes=(*_notes(groups, goals, counted), *_suspect_notes(rows)),
        claims=claims_of(rows, test_column),
    )


def _rows(trials: pd.DataFrame, goals: Iterable[str], limited: Iterable[str]) -> list[Row]:
    """Rows with what is read of a trial, its place in the table, and what it shares with its control (or None)."""
    rows = of.to_rows(trials, list(dict.fromkeys((*_COLUMNS, *goals, *limited))))
    split_by = ["accelerator"] if "accelerator" in group_columns(goals) else []
    for place, (row, key) in enumerate(zip(rows, of.control_keys(trials, split_by), strict=True)):
        row["place"], row["control_key"] = place, key
    return rows


def _check_columns(columns: Iterable[str]) -> None:
    for column in columns:
        if column not in _NUMERIC:
            raise ResultsError(f"`{column}` is no numeric column of the table of trials{nearest(column, _NUMERIC)}")


def _status_order(status: str) -> tuple[int, str]:
    return (STATUSES.index(status) if status in STATUSES else len(STATUSES), status)


def _split(rows: Iterable[Row]) -> tuple[list[Row], dict[str, int]]:
    """Trials that count, and the number of others by reason."""
    counted, reasons = [], Counter[str]()
    for row in rows:
        if is_scored(row):
            counted.append(row)
        elif has_score(row) and of.is_suspect(row):
            reasons[SUSPECT] += 1
        else:
            reasons["completed without ce" if row["status"] == "completed" else row["status"] or "unknown"] += 1
    return counted, {reason: reasons[reason] for reason in sorted(reasons, key=_status_order)}


def _groups(
    trials: pd.DataFrame,
    configs: Sequence[Standing],
    goals: Mapping[str, Direction],
    confirmed: Mapping[Key, Confirmed],
) -> Iterator[Group]:
    """A group for each config, ranked among those that it can be compared with."""
    firsts = [config.members[0] for config in configs]
    settings = of.to_rows(trials[list(of.CONFIG_COLUMNS)].iloc[[first["place"] for first in firsts]])
    learned = [row for config in configs for row in config.members if row["recipe"] == CONTROL_RECIPE]
    controls = of.by_key(learned, ["control_key"])
    labels, places = _labels(firsts, settings, goals), ranks(configs, goals)
    shares = probabilities_of(configs, places, goals)
    for config, label, its_settings, rank, share in zip(configs, labels, settings, places, shares, strict=True):
        first, members = config.members[0], config.members
        estimates = {**estimates_of(members, {"ce", "bpb"} - goals.keys()), **config.estimates}
        yield Group(
            label=label,
            config_id=first["config_id"],
            recipe=first["recipe"],
            data=first["data"],
            data_sha256=first["data_sha256"],
            accelerators=tuple(sorted({row["accelerator"] for row in members if row["accelerator"]})),
            settings=its_settings,
            replicates=tuple(map(_replicate, sorted(members, key=of.by_seed_and_id))),
            num_not_completed=config.num_not_completed,
            num_stopped=config.num_stopped,
            estimates={name: estimates[name] for name in ("ce", "bpb", *goals) if name in estimates},
            values=config.values,
            artifact_bytes=largest("artifact_bytes", members),
            code_bytes=largest("code_bytes", members),
            tokens_per_s=of.throughput(members),
            feasible=config.feasible,
            scored_on=config.scored_on,
            rank=rank,
            control=_control(members, controls),
            front_probability=share,
            confirmed=confirmed.get((first["config_id"], first["data_sha256"])),
        )


def _goodness(group: Group, metric: str) -> tuple[float, float, int, str]:
    """Less is better; what lacks the metric comes last."""
    loss = group.estimates[metric].mean if metric in group.estimates else math.inf
    return loss, group.ce.mean, group.artifact_bytes or 0, group.label


def _labels(firsts: Sequence[Row], settings: Sequence[Row], goals: Iterable[str]) -> list[str]:
    """The accelerator is part of a config's name only where groups are split by it, and then of every name."""
    labels = config_labels([{**first, **its, "accelerator": None} for first, its in zip(firsts, settings, strict=True)])
    if "accelerator" not in group_columns(goals) or len({first["accelerator"] for first in firsts}) == 1:
        return labels
    return [f"{label} {first['accelerator'] or 'unknown device'}" for label, first in zip(labels, firsts, strict=True)]


def _replicate(row: Row) -> Replicate:
    return Replicate(row["seed"], row["accelerator"], row["ce"], row["artifact_bytes"], row["trial_id"], row["bpb"])


def _control(members: Sequence[Row], controls: Mapping[tuple[Any, ...], Sequence[Row]]) -> Control | None:
    """The one control group of these trials; None for controls themselves, without one, or if two would do."""
    first = members[0]
    rows = () if first["control_key"] is None else controls.get((first["control_key"],), ())
    found = {row["config_id"] for row in rows}
    if len(found) != 1 or first["recipe"] == CONTROL_RECIPE:
        return None
    return Control(config_id=found.pop(), ce_pct=of.compare(members, rows))


def _notes(groups: Sequence[Group], goals: Mapping[str, Direction], counted: Sequence[Row]) -> Iterable[str]:
    if len({group.scored_on for group in groups}) > 1:
        why = "; ".join(
            (["losses per token compare on the same scored tokens only"] if PER_TOKEN & goals.keys() else [])
            + (["speed and memory compare within one accelerator only"] if are_per_device(goals) else [])
        )
        yield f"{len({group.scored_on for group in groups})} fronts: {why}"
    if groups and are_per_device(goals):
        kinds = ", ".join(sorted({group.kind or "unknown" for group in groups}))
        yield f"each front is of one accelerator, as {', '.join(filter(is_per_device, goals))} depends on it: {kinds}"
    if text := left_out_text(counted):
        yield text
    if partial := sum(group.num_not_completed > 0 for group in groups):
        yield f"{partial} of {len(groups)} groups have replicates that gave no score: their means are of the others"
    if unknown := sum(group.feasible is None for group in groups):
        yield f"{unknown} groups lack a value that a constraint needs: they are left out of the front"
    if stopped := sum(group.num_stopped > 0 for group in groups):
        yield f"{stopped} groups have a replicate that was stopped early: they are left out of the front"
    if missing := sum(group.feasible is True and group.rank is None and not group.num_stopped for group in groups):
        yield f"{missing} groups lack a value of an objective: they are left out of the front"


def _suspect_notes(rows: Iterable[Row]) -> Iterable[str]:
    """How many trials are left out for their node, and why."""
    left_out = [row for row in rows if has_score(row) and of.is_suspect(row)]
    for (host, node, why), found in of.by_key(left_out, ["host", "node", "suspect"]).items():
        number = f"{len(found)} trial{' is' if len(found) == 1 else 's are'}"
        place = f"{host or 'a node'} ({str(node)[:8]})"
        yield f"{number} left out, as {place} is suspect: {why}; frostline explain says why, and they count again"


def _group_dict(group: Group) -> dict[str, Any]:
    plain = dataclasses.asdict(group)
    pct = group.control.ce_pct if group.control else None
    plain |= {
        "on_front": group.on_front,
        "num_seeds": group.ce.num,
        "control_config_id": group.control.config_id if group.control else None,
        "ce_vs_control_pct": pct.mean if pct else None,
        "ce_vs_control_half_width_pct": pct.half_width if pct else None,
        "ce_vs_control_num_pairs": pct.num if pct else 0,
    }
    for name in ("control", "scored_on"):
        del plain[name]
    return plain
