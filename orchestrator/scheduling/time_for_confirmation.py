"""How much of a timed budget is kept for confirmation, so that a night by the clock ends confirmed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.scheduling.deadline import seconds_for
from orchestrator.scheduling.durations import Expected
from orchestrator.scheduling.placement import CPU, Node, Pool
from orchestrator.scheduling.waiting import Need, need_of
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import SearchAndConfirmation

# To choose what is confirmed, record it, and start it.
SECONDS_TO_BEGIN = 10.0


class TimeForConfirmation:
    """Seconds at the end that trials of the search may not use.

    They are what the trials take that would be confirmed if the search ended now, at most half of the whole time.
    """

    def __init__(self, search: SearchAndConfirmation, timed: TimedBudget, pool: Pool) -> None:
        self.search, self.timed, self.pool = search, timed, pool
        self._found: tuple[Sequence[PlannedTrial], tuple[Node, ...], float] | None = None
        self._ids: Collection[str] = ()

    def seconds(self) -> float:
        trials, nodes = self.search.to_confirm, self.pool.nodes
        if not trials or not self.timed.of_file.is_timed:
            return 0.0
        if self._found is None or self._found[0] is not trials or self._found[1] is not nodes:
            self._found = trials, nodes, self._seconds_for(trials)
            self._ids = {trial.trial_id for trial in trials}
        seconds = self._found[2]
        return min(seconds, self.timed.most_kept_seconds) if seconds else 0.0

    def kept_from(self, trial: PlannedTrial) -> float:
        """Seconds that this trial may not use: none from a trial of confirmation."""
        seconds = self.seconds()
        return 0.0 if trial.trial_id in self._ids else seconds

    def _seconds_for(self, trials: Sequence[PlannedTrial]) -> float:
        """One need after the other: they may be for the same nodes. Nothing, where none of them can run."""
        by_need: dict[Need, list[PlannedTrial]] = {}
        for trial in trials:
            by_need.setdefault(need_of(trial), []).append(trial)
        found = sum(
            seconds_for([expected for trial in group if (expected := self._expected(trial))], num_slots)
            for group in by_need.values()
            if (num_slots := self.pool.num_slots(group))
        )
        return found and found + SECONDS_TO_BEGIN

    def _expected(self, trial: PlannedTrial) -> Expected | None:
        """On the slowest kind of device that may be given to it."""
        found = [self.timed.expected(trial, kind) for kind in self.pool.kinds_for(trial) or (CPU,)]
        return max((one for one in found if one is not None), key=lambda one: one.middle, default=None)
