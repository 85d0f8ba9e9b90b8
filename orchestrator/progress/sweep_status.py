"""The status of a sweep: counts, running trials, the best so far, time left. Updated by events."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from orchestrator.progress.front_so_far import FrontSoFar
from orchestrator.progress.running_trial import Running
from orchestrator.progress.time_left import TimeLeft
from orchestrator.scheduling.cost_model import Cost
from results.analysis.per_device import comparable, is_per_device

# Statuses in the order they are shown; `waiting` and `running` are those of trials without a result.
OUTCOMES = ("completed", "failed", "diverged", "out_of_memory", "infeasible", "stopped_early", "deadline")


# Who stops a sweep: a user, a fault of a machine, the circuit breaker, or a budget of time or dollars.
StopKind = Literal["interrupt", "fault", "pause", "budget"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Best:
    """The best completed trial that holds the constraints, by the first objective.

    `accelerator`: only where that objective depends on the device; then there is a best one on each.
    """

    trial_id: str
    value: float
    artifact_bytes: int | None
    accelerator: str | None = None


class SweepStatus:
    """Counts, running trials and the best so far, kept up to date by one method per event.

    Args:
        num_trials: planned trials, finished ones included.
        objective: column to rank by, and `min` or `max`.
        started_seconds: the clock at the start of this session.
        varied: by trial id, the settings in which a trial differs from others whose id looks alike.
        costs: by trial id, what the trials to be run are expected to cost.
    """

    def __init__(
        self,
        *,
        num_trials: int,
        objective: tuple[str, str],
        started_seconds: float,
        varied: Mapping[str, str] | None = None,
        costs: Mapping[str, Cost] | None = None,
    ) -> None:
        self.num_trials, self.objective, self.started_seconds = num_trials, objective, started_seconds
        self.varied = dict(varied or {})
        self.counts: Counter[str] = Counter()
        self.running: dict[str, Running] = {}
        self.bests: dict[str | None, Best] = {}  # by accelerator, or under None
        self.num_deaths = 0
        self.stop_reason: str | None = None
        self.stop_kind: StopKind | None = None
        self.pauses: list[str] = []  # what the circuit breaker holds back
        self.finished_lines: list[str] = []
        self.time_left = TimeLeft(costs or {})
        self.front: FrontSoFar | None = None
        self.suspects: list[str] = []  # nodes that sentinels found
        self.details: list[str] = []  # of the search and of early stopping, for the headline

    @property
    def best(self) -> Best | None:
        """The best of all; None where each accelerator has its own."""
        return self.bests.get(None)

    @property
    def is_stopping(self) -> bool:
        return self.stop_reason is not None

    def stop(self, reason: str, *, kind: StopKind = "interrupt") -> None:
        """Start no more trials; the first reason is the one that is shown."""
        if self.stop_reason is None:
            self.stop_reason, self.stop_kind = reason, kind

    def pause(self, reason: str) -> None:
        """Some trials are held back; see `CircuitBreaker`."""
        self.pauses.append(reason)

    @property
    def num_finished(self) -> int:
        return sum(self.counts.values())

    @property
    def num_waiting(self) -> int:
        return max(0, self.num_trials - self.num_finished - len(self.running))

    def planned(self, trial_id: str, cost: Cost, varied: str) -> None:
        """A trial that was not known at the start."""
        self.varied[trial_id] = varied
        self.time_left.planned(trial_id, cost)

    def started(self, trial_id: str, accelerator: str) -> None:
        self.running[trial_id] = Running(trial_id=trial_id, accelerator=accelerator)

    def reported(self, trial_id: str, report: Mapping[str, Any]) -> None:
        if trial_id in self.running:
            running = self.running[trial_id]
            running.step, running.total_steps = int(report["step"]), int(report["total_steps"])
            running.ce, running.tokens_per_s = float(report["ce"]), float(report["tokens_per_s"])

    def at_stage(self, trial_id: str, stage: str) -> None:
        if trial_id in self.running:
            self.running[trial_id].stage = stage

    def already_finished(self, row: Mapping[str, Any]) -> None:
        """A trial that took none of this session's time: an earlier one finished it, or it is not to be trained."""
        self.counts[row["status"]] += 1
        if row.get("stage") == "confirm":  # it says how good a config is, and not which one is best
            return
        if row.get("suspect") is not None:  # it takes part in no comparison
            return
        if self.front is not None:
            self.front.add(row)
        self._consider(row)

    def finished(self, row: Mapping[str, Any]) -> None:
        self.running.pop(row["trial_id"], None)
        self.time_left.finished(row)
        self.already_finished(row)
        self.finished_lines.append(_line(row, self.varied.get(row["trial_id"], "")))

    def reopened(self, row: Mapping[str, Any]) -> None:
        """A trial that had ended goes on."""
        self.counts[row["status"]] -= 1

    def lost(self, trial_id: str, *, died: bool) -> None:
        """A trial whose worker died, or that stopped at its checkpoint; it waits again."""
        self.running.pop(trial_id, None)
        self.num_deaths += died

    def remaining_seconds(self) -> float | None:
        """Estimated time to the end; None before any trial has a pace."""
        return self.time_left.seconds(list(self.running.values()), self.num_trials - self.num_finished)

    def _consider(self, row: Mapping[str, Any]) -> None:
        column, direction = self.objective
        value = row.get(column)
        if row["status"] != "completed" or not row.get("feasible") or value is None or math.isnan(value):
            return
        if not comparable([row], column):
            return
        sign = 1 if direction == "min" else -1
        kind = str(row.get("accelerator") or "unknown") if is_per_device(column) else None
        if kind not in self.bests or sign * value < sign * self.bests[kind].value:
            size = row.get("artifact_bytes")
            self.bests[kind] = Best(trial_id=row["trial_id"], value=value, artifact_bytes=size, accelerator=kind)


def _line(row: Mapping[str, Any], varied: str) -> str:
    """The line printed when a trial ends."""
    name = f"{row['trial_id']} ({varied})" if varied else row["trial_id"]
    if row["status"] != "completed":
        return f"{name}: {row['status']}: {row.get('error') or 'no reason known'}"
    fits = {True: "", False: ", over the budget", None: ""}[row.get("feasible")]
    return (
        f"{name}: ce {row['ce']:.4f}, {row['artifact_bytes']:,} bytes{fits}, "
        f"{row['tokens_per_s'] or 0:,.0f} tokens/s on {row['accelerator']}"
    )
