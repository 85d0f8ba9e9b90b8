"""The budget of hours, dollars and the clock while a driver is at work: what may start, what is to end, and why."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.progress.running_trial import Running
from orchestrator.scheduling.cost_model import Cost, Costs
from orchestrator.scheduling.deadline import Left, Spent, text_of, time_left, to_end
from orchestrator.scheduling.durations import Durations, Expected
from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sections.budget import BudgetConfig, read_until

# Of the whole time, at most so much is kept for what comes after the search.
MOST_KEPT_SHARE = 0.5
SECONDS_BESIDE_TRAINING = 3.0  # to pack and score, where nothing is known of the accelerator


def local_now() -> datetime:
    return datetime.now().astimezone()


class TimedBudget:
    """Asked by the driver once a second, and for every trial that could start.

    Args:
        budget: of the sweep file.
        extended: gives it with what was added since, by another process perhaps.
        durations: what is known of how long trials take.
    """

    def __init__(
        self,
        budget: BudgetConfig,
        extended: Callable[[BudgetConfig], BudgetConfig],
        books: Bookkeeper,
        clock: Callable[[], datetime] = local_now,
        durations: Durations | None = None,
    ) -> None:
        self.of_file, self.extended, self.books, self.clock = budget, extended, books, clock
        self.until = None if budget.until is None else read_until(budget.until, clock())
        self.durations, self._budget = durations or Durations(), extended(budget)
        self.reached: Left | None = None  # the limit that ended the sweep
        self.done: dict[str, float] = {}  # share of a trial's steps that its checkpoint has, by id
        self.costs = Costs()
        self._last: Cost | None = None
        self._left: tuple[tuple[datetime, int], Left] | None = None  # and the moment for which it holds

    @property
    def budget(self) -> BudgetConfig:
        """With what was added since, when it was last looked at."""
        return self._budget

    def look(self) -> None:
        """See what another process has added to the budget; call it every second."""
        if self.of_file.is_timed:
            with contextlib.suppress(UsageError, OSError):  # a file that somebody is at counts as it was
                self._budget = self.extended(self.of_file)
                self._left = None

    def left(self) -> Left:
        moment = self.clock(), self.books.ledger.num_events
        if self._left is None or self._left[0] != moment:
            self._left = moment, self._left_now(moment[0])
        return self._left[1]

    def _left_now(self, now: datetime) -> Left:
        books = self.books
        spent = Spent(
            now=now,
            driver_seconds=books.driver_seconds,
            usd=books.spent_usd,
            usd_per_hour=books.last_usd_per_hour,
        )
        return time_left(self.budget, self.until, spent)

    def ended(self, row: Mapping[str, Any], trial: PlannedTrial) -> None:
        """Learn from a trial that ended."""
        self._last = self.costs.of(trial)
        self.durations.ended(row, self._last)

    def is_in_time(self, trial: PlannedTrial, accelerator: str, kept_seconds: float = 0.0) -> bool:
        """Whether a trial that starts now would be finished in time.

        Until a trial has ended, all may try: where every trial is longer than the budget, the next call goes on with
        what they did.

        Args:
            kept_seconds: at the end, for what comes after it.
        """
        if not self.of_file.is_timed:
            return True
        expected = None if self._last is None else self.expected(trial, accelerator)
        return self.left().may_start(expected, kept_seconds)

    @property
    def most_kept_seconds(self) -> float:
        """So much of the whole time may be kept for what comes after the search."""
        return MOST_KEPT_SHARE * (self.books.driver_seconds + self.left().seconds)

    def expected(self, trial: PlannedTrial, accelerator: str) -> Expected | None:
        """How long a trial takes, without what it has done already."""
        return self.durations.expected(self.costs.of(trial).left(self.done.get(trial.trial_id, 0.0)), accelerator)

    def may_ask(self, accelerators: Iterable[str], kept_seconds: float = 0.0) -> bool:
        """Whether another trial like the last one would be in time: else no search need choose it."""
        if not self.of_file.is_timed:
            return True
        left, last = self.left(), self._last
        if last is None:
            return left.may_start(None)
        return any(left.may_start(self.durations.expected(last, kind), kept_seconds) for kind in accelerators)

    @property
    def is_over(self) -> bool:
        """Whether nothing can start any more, however short."""
        return self.of_file.is_timed and not self.left().may_start(None)

    def to_end(self, running: Iterable[Running], costs: Mapping[str, Cost]) -> list[tuple[str, str]]:
        """Running trials that are to checkpoint and end now, each with the reason."""
        if not self.of_file.is_timed:
            return []
        left = self.left()
        remaining = {one.trial_id: self._remaining_seconds(one, costs.get(one.trial_id)) for one in running}
        return [(trial_id, self.reason(left)) for trial_id in to_end(left, remaining)]

    def reach(self) -> str:
        """The sweep ends by its budget now; why, in words."""
        self.reached = self.left()
        return self.reason(self.reached)

    def reason(self, left: Left | None = None) -> str:
        """Why the sweep ends, in words."""
        return text_of(left or self.left(), self.budget)

    def _remaining_seconds(self, running: Running, cost: Cost | None) -> float | None:
        if cost is None or not running.tokens_per_s:
            return None
        expected = self.durations.expected(cost, running.accelerator)
        steps = (1 - running.share) * cost.tokens / running.tokens_per_s
        return steps + (SECONDS_BESIDE_TRAINING if expected is None else expected.beside)
