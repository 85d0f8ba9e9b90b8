"""The estimated time to the end of a sweep: predicted costs of trials at the pace that is measured now. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.progress.running_trial import Running
from orchestrator.scheduling.cost_model import Cost

SECONDS_BESIDE_TRAINING = 3.0  # to start, pack and score, before any trial has shown it


class TimeLeft:
    """Follows the trials of one session.

    Args:
        costs: of the trials to be run, by id; trials without one count as the average.
    """

    def __init__(self, costs: Mapping[str, Cost]) -> None:
        self.costs = dict(costs)
        self._left = dict(costs)
        self.average_work = statistics.mean(cost.work for cost in costs.values()) if costs else 1.0
        self._work_done = self._train_seconds = 0.0
        self._beside_seconds: list[float] = []

    def planned(self, trial_id: str, cost: Cost) -> None:
        """A trial that was not known at the start."""
        self.costs[trial_id] = self._left[trial_id] = cost

    def finished(self, row: Mapping[str, Any]) -> None:
        """Learn from a trial that ended in this session."""
        cost = self._left.pop(row["trial_id"], None)
        train_seconds, total_seconds = row.get("train_seconds") or 0.0, row.get("total_seconds") or 0.0
        if cost is not None and row["status"] == "completed" and train_seconds:
            self._work_done += cost.work
            self._train_seconds += train_seconds
            self._beside_seconds.append(total_seconds - train_seconds)

    def seconds(self, running: Collection[Running], num_left: int) -> float | None:
        """The estimate for `num_left` trials, `running` among them; None before any has a pace."""
        pace = self._pace(running)
        if pace is None:
            return None
        work_left = self.average_work * num_left
        if self._left:
            work_left = sum(cost.work for cost in self._left.values()) * num_left / len(self._left)
        work_left -= sum(trial.share * self._work(trial.trial_id) for trial in running)
        beside = statistics.mean(self._beside_seconds) if self._beside_seconds else SECONDS_BESIDE_TRAINING
        num_to_start = num_left - sum(trial.share for trial in running)
        return (max(0.0, work_left) / pace + beside * num_to_start) / max(1, len(running))

    def _pace(self, running: Collection[Running]) -> float | None:
        """Work per second of one trial: of those that run now, else of those that ended."""
        known = [(self.costs[trial.trial_id], trial) for trial in running if trial.trial_id in self.costs]
        paces = [cost.work * trial.tokens_per_s / cost.tokens for cost, trial in known if trial.tokens_per_s]
        if paces:
            return statistics.mean(paces)
        return self._work_done / self._train_seconds if self._train_seconds else None

    def _work(self, trial_id: str) -> float:
        return self.costs[trial_id].work if trial_id in self.costs else self.average_work
