"""Groups of replicates: the trials of one config, their means, and their control."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results.analysis.objectives import Constraint
from results.analysis.per_device import comparable
from results.analysis.statistics import Estimate, estimate
from results.tables.schema import RECIPE_SECTIONS, TRIALS

Row = dict[str, Any]

CONFIG_COLUMNS = tuple(column.name for column in TRIALS if column.name.startswith("cfg_"))
# What a config shares with its control: everything but the recipe and the sections that only some recipes read.
SHARED_COLUMNS = (
    *("data", "data_sha256"),
    *(one for one in CONFIG_COLUMNS if not one.startswith(tuple(f"cfg_{section}_" for section in RECIPE_SECTIONS))),
)
# Without these a config is not known well enough to name its control.
_ESSENTIAL = ("data", "data_sha256", "cfg_model_num_layers", "cfg_model_dim", "cfg_train_steps")


@dataclasses.dataclass(frozen=True)
class Replicate:
    """One completed trial of a group."""

    seed: int | None
    accelerator: str | None
    ce: float
    artifact_bytes: int | None
    trial_id: str
    bpb: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Control:
    """A group against its control, paired by seed and accelerator; `ce_pct` is None where no pair exists."""

    config_id: str
    ce_pct: Estimate | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A config over fresh seeds: on the second part of the text, and on the first, where the search saw it."""

    config_id: str
    test: Estimate
    again: Estimate
    accelerators: tuple[str, ...]
    against: str | None
    num_lost: int  # fresh trials that gave no score


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """All replicates of one config on one dataset (and on one accelerator, if an objective depends on the device).

    Estimates are over seeds: two runs of one seed are averaged first, since they are no independent evidence.
    """

    label: str
    config_id: str
    recipe: str | None
    data: str | None
    data_sha256: str | None
    accelerators: tuple[str, ...]
    settings: Mapping[str, Any]  # the cfg_* columns
    replicates: tuple[Replicate, ...]
    num_not_completed: int  # trials of this config that gave no score
    num_stopped: int  # of these, stopped early: a mean of the others would be too good for the front
    estimates: Mapping[str, Estimate]  # of ce, bpb and any other column asked for, where known
    values: Mapping[str, float | None]  # of each objective: mean over seeds, or the largest for a size in bytes
    artifact_bytes: int | None  # largest of the replicates
    code_bytes: int | None  # of the code that scores them; the same, unless they come from several versions
    tokens_per_s: Mapping[str, float]  # mean by accelerator, of trials that were alone on their device
    feasible: bool | None  # all artifacts keep all constraints; None if unknown
    scored_on: tuple[Any, ...]  # groups are only compared where this is equal
    rank: int | None = None  # layer of non-dominated sorting among the feasible; 0 is the front
    control: Control | None = None
    front_probability: float | None = None  # None where the spread between seeds is unknown, or it is not feasible
    confirmed: Confirmed | None = None

    @property
    def kind(self) -> str | None:
        """The one accelerator of its trials; None where it is not known, or there are several."""
        return self.accelerators[0] if len(self.accelerators) == 1 else None

    @property
    def on_front(self) -> bool:
        return self.rank == 0

    @property
    def ce(self) -> Estimate:
        return self.estimates["ce"]


def to_rows(trials: pd.DataFrame, columns: Sequence[str] | None = None) -> list[Row]:
    """Rows as plain Python values, None where a value is missing; of all columns, or of some, which is faster."""
    names = [str(name) for name in (trials.columns if columns is None else columns)]
    return [dict(zip(names, row, strict=True)) for row in zip(*(_plain(trials[name]) for name in names), strict=True)]


def _plain(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        words = [*column.cat.categories.tolist(), None]  # None is the last: the code of a missing value is -1
        return [words[code] for code in column.cat.codes.tolist()]
    values = column.astype(object).to_numpy(copy=True)
    values[column.isna().to_numpy()] = None
    plain: list[Any] = values.tolist()
    return plain


def by_key(rows: Iterable[Row], columns: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some columns, in order of first appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[column] for column in columns)].append(row)
    return dict(groups)


def over_seeds(rows: Sequence[Row], value: Callable[[Row], float | None]) -> Estimate | None:
    """Estimate of a value over seeds; None unless every row has it: a mean of the others would be too good."""
    numbers = [value(row) for row in rows]
    if not numbers or None in numbers:
        return None
    if len(numbers) == 1:  # most configs have one trial
        return Estimate(float(numbers[0]), 1)  # type: ignore[arg-type]
    seeds: dict[Any, list[float]] = defaultdict(list)
    for row, number in zip(rows, numbers, strict=True):
        seeds[row["seed"] if row["seed"] is not None else row["trial_id"]].append(float(number))  # type: ignore[arg-type]
    return estimate([sum(of_seed) / len(of_seed) for of_seed in seeds.values()])


def by_seed_and_id(row: Row) -> tuple[int, str]:
    """The order of the replicates of a group."""
    return row["seed"] or 0, row["trial_id"]


def is_suspect(row: Mapping[str, Any]) -> bool:
    """Whether a trial takes part in no comparison, as sentinels found its node and nobody has explained why."""
    return row.get("suspect") is not None


def throughput(rows: Sequence[Row]) -> dict[str, float]:
    """Mean tokens per second by accelerator, of trials that were alone on their device: kinds are never mixed."""
    speeds: dict[str, list[float]] = defaultdict(list)
    for row in comparable(rows, "tokens_per_s"):
        if row["tokens_per_s"] is not None:
            speeds[row["accelerator"] or "unknown"].append(row["tokens_per_s"])
    return {kind: sum(numbers) / len(numbers) for kind, numbers in sorted(speeds.items())}


def keeps(rows: Sequence[Row], constraints: Iterable[Constraint]) -> bool | None:
    """Whether every trial of a config keeps every constraint.

    `rows` are all trials of the config that were scored or that an earlier check called infeasible: one artifact too
    large makes the config too large, whatever seed it belongs to. None if a value is missing and no other breaks it.
    """
    verdicts = [_keeps_one(rows, constraint) for constraint in constraints]
    return False if False in verdicts else None if None in verdicts else True


def _keeps_one(rows: Sequence[Row], constraint: Constraint) -> bool | None:
    known = [row[constraint.column] for row in rows if row[constraint.column] is not None]
    if not constraint.holds(known):
        return False
    return True if len(known) == len(rows) else None


def control_key(row: Row) -> tuple[Any, ...] | None:
    """What a trial shares with its control: everything but the recipe and its sections; None if too little is known."""
    if any(row[column] is None for column in _ESSENTIAL):
        return None
    return tuple(row[column] for column in SHARED_COLUMNS)


def control_keys(trials: pd.DataFrame, split_by: Sequence[str] = ()) -> list[int | None]:
    """`control_key` of every trial of a table, each key as a number; `split_by`: further columns that it shares."""
    keys = np.zeros(len(trials), dtype=np.int64)
    for column in (*SHARED_COLUMNS, *split_by):
        codes, values = pd.factorize(trials[column])  # -1 where it is missing
        keys = pd.factorize(keys * (len(values) + 1) + codes + 1)[0]
    known = trials[list(_ESSENTIAL)].notna().all(axis=1)
    return [key if is_known else None for key, is_known in zip(keys.tolist(), known.tolist(), strict=True)]


def compare(rows: Sequence[Row], control_rows: Sequence[Row]) -> Estimate | None:
    """Difference of CE against the control in percent, paired by seed and accelerator, estimated over seeds.

    Negative is better than the control. None without a common pair.
    """
    controls = by_key(control_rows, ("seed", "accelerator"))
    pairs = [row for row in rows if row["seed"] is not None and (row["seed"], row["accelerator"]) in controls]

    def percent(row: Row) -> float:
        twins = controls[row["seed"], row["accelerator"]]
        control_ce = sum(twin["ce"] for twin in twins) / len(twins)
        return float(100 * (row["ce"] - control_ce) / control_ce)

    return over_seeds(pairs, percent)
