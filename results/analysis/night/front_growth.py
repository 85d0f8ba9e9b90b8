"""How the front of a run grew over its hours and dollars: the hypervolume, and the best score so far.

A config counts from the end of its first trial with a score, with the values that it has in the end: so the line never
falls, and ends where the front of the report is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results.analysis.night.volume import Floats, costs_of, reference_of, unit_of, values_of, volume_of
from results.analysis.objectives import Direction
from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group, Row
from results.tables.load import Tables


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moment:
    """The front when it had just grown.

    Args:
        seconds: that trials have run until then; times without any, as between two calls, do not count.
        usd: that the machines have cost until then; None where no machine has a price.
        volume: hypervolume.
        best: value of the first objective of the best config.
        half_width: of the 95 % interval of that value, over seeds.
    """

    seconds: float
    usd: float | None
    volume: float
    best: float
    half_width: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontGrowth:
    """The front of configs that compare with each other, from its first config on.

    Args:
        name: what tells it from others: the data, or the accelerator; empty where there is one.
        unit: of the hypervolume.
        reference: the worst value of each objective among the configs that keep the limits; what is worse adds nothing.
        moments: whenever the hypervolume or the best score grew, in order.
        seconds, usd: of the whole run, as in `Moment`; `usd_at_half`: spent when half of the seconds were over.
    """

    name: str
    unit: str
    reference: Mapping[str, float]
    moments: tuple[Moment, ...]
    seconds: float
    usd: float | None
    usd_at_half: float | None

    def at(self, seconds: float) -> Moment | None:
        """The front as it was then; None before its first config."""
        return next((one for one in reversed(self.moments) if one.seconds <= seconds), None)


def front_growth(tables: Tables, info: ParetoInfo, rows: Sequence[Row]) -> tuple[FrontGrowth, ...]:
    """One for each set of configs that compare with each other; none where no config keeps the limits."""
    clock = Clock.of(tables)
    ends = {row["trial_id"]: row["finished_at"] for row in rows if row["finished_at"] is not None}
    fronts: dict[tuple[Any, ...], list[Group]] = {}
    for group in info.groups:
        if group.feasible and group.rank is not None:
            fronts.setdefault(group.scored_on, []).append(group)
    several = len(fronts) > 1
    found = (
        _growth(_name(groups[0], info) if several else "", groups, info.objectives, clock, ends)
        for groups in fronts.values()
    )
    return tuple(one for one in found if one is not None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clock:
    """Time of day → time and money that a run had used by then.

    Args:
        spans: begin and end of times with a trial at work, in order, in seconds since 1970. Shape (spans, 2).
        machines: begin, end and price of each machine with one. Shape (machines, 3).
    """

    spans: Floats
    machines: Floats

    @classmethod
    def of(cls, tables: Tables) -> Clock:
        """From attempts and nodes; of old tables, from the trials alone."""
        source = tables.attempts if len(tables.attempts) else tables.trials
        last = _seconds_since_1970(source["finished_at"]).max() if len(source) else math.nan
        begins = _seconds_since_1970(source["started_at"])
        ends = _seconds_since_1970(source["finished_at"]).fillna(last)  # what is still at work ends last
        ends = ends.where(ends >= begins, begins)  # after a resume it may have begun later than anything ended
        known = begins.notna() & ends.notna()
        machines = np.zeros((0, 3))
        if len(tables.nodes):
            priced = tables.nodes[tables.nodes["usd"].notna() & tables.nodes["joined_at"].notna()]
            left = _seconds_since_1970(priced["left_at"]).fillna(last)
            columns = [_seconds_since_1970(priced["joined_at"]), left, priced["usd"].astype(np.float64)]
            machines = np.column_stack([column.to_numpy(np.float64) for column in columns])
        return cls(spans=_merged(begins[known].tolist(), ends[known].tolist()), machines=machines)

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return float((self.spans[:, 1] - self.spans[:, 0]).sum())

    @property
    def usd(self) -> float | None:
        """Of the whole run; None where no machine has a price."""
        return float(self.machines[:, 2].sum()) if len(self.machines) else None

    def seconds_at(self, moments: Floats) -> Floats:
        """Seconds that trials had run by then. Shape as `moments`."""
        if not len(self.spans):
            return np.zeros_like(moments)
        passed = np.concatenate([[0.0], np.cumsum(self.spans[:, 1] - self.spans[:, 0])])
        edges = self.spans.reshape(-1)
        found: Floats = np.interp(moments, edges, np.column_stack([passed[:-1], passed[1:]]).reshape(-1))
        return found

    def usd_at(self, moments: Floats) -> Floats | None:
        """What machines had cost by then, each evenly over the time with trials while it was there."""
        return self._usd_after(self.seconds_at(moments)) if len(self.machines) else None

    def _usd_after(self, now: Floats) -> Floats:
        spent = np.zeros_like(now)
        for begin, end, usd in zip(*self._machine_seconds(), self.machines[:, 2], strict=True):
            spent += usd * (np.clip((now - begin) / (end - begin), 0, 1) if end > begin else now >= begin)
        return spent

    def usd_at_half(self) -> float | None:
        """When half of the seconds were over."""
        return None if self.usd is None else float(self._usd_after(np.array([self.seconds / 2]))[0])

    def _machine_seconds(self) -> tuple[Floats, Floats]:
        return self.seconds_at(self.machines[:, 0]), self.seconds_at(self.machines[:, 1])


def _merged(begins: Sequence[float], ends: Sequence[float]) -> Floats:
    """Times covered by at least one interval, in order. Shape (spans, 2)."""
    spans: list[list[float]] = []
    for begin, end in sorted(zip(begins, ends, strict=True)):
        if spans and begin <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end)
        else:
            spans.append([begin, end])
    return np.array(spans, dtype=np.float64).reshape(-1, 2)


def _growth(
    name: str,
    groups: Sequence[Group],
    goals: Mapping[str, Direction],
    clock: Clock,
    ends: Mapping[str, pd.Timestamp],
) -> FrontGrowth | None:
    first = [
        min((ends[one.trial_id] for one in group.replicates if one.trial_id in ends), default=None) for group in groups
    ]
    dated = sorted((when.timestamp(), i) for i, when in enumerate(first) if when is not None)
    if not dated:
        return None
    values = values_of([groups[i] for _, i in dated], goals)
    costs = costs_of(values, goals)
    moments = np.array([when for when, _ in dated])
    seconds, usd = clock.seconds_at(moments), clock.usd_at(moments)
    main = next(iter(goals))
    widths = [groups[i].estimates[main].half_width if main in groups[i].estimates else None for _, i in dated]
    steps = _steps(costs, costs.max(axis=0))
    return FrontGrowth(
        name=name,
        unit=unit_of(goals),
        reference=reference_of(values, costs, goals),
        moments=tuple(
            Moment(
                seconds=float(seconds[i]),
                usd=None if usd is None else float(usd[i]),
                volume=volume,
                best=float(values[best, 0]),
                half_width=widths[best],
            )
            for i, volume, best in steps
        ),
        seconds=clock.seconds,
        usd=clock.usd,
        usd_at_half=clock.usd_at_half(),
    )


def _steps(costs: Floats, worst: Floats) -> list[tuple[int, float, int]]:
    """Whenever a config joins the front so far: its index, the hypervolume, and the index of the best one."""
    front, best, found = np.zeros((0, costs.shape[1])), 0, []
    for i, cost in enumerate(costs):
        if len(front) and bool((front <= cost).all(axis=1).any()):
            continue
        front = np.vstack([front[~(cost <= front).all(axis=1)], cost])
        best = i if cost[0] < costs[best, 0] else best
        found.append((i, volume_of(front, worst), best))
    return found


def _name(group: Group, info: ParetoInfo) -> str:
    """The accelerator, the data, or both, as far as they tell fronts apart."""
    same_kind = [one for one in info.groups if one.kind == group.kind and one.feasible and one.rank is not None]
    names = [str(group.kind or "unknown device")] if info.kinds else []
    if not names or len({one.scored_on for one in same_kind}) > 1:
        names.append(f"{group.data} ({str(group.data_sha256)[:8]})")
    return " on ".join(reversed(names))


def _seconds_since_1970(times: pd.Series[Any]) -> pd.Series[float]:
    moments = pd.to_datetime(times, utc=True)
    return (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
