"""When a sweep ends by its hours, by the clock, or by its dollars, and what may still start before that. Pure.

Machines are paid for whether they are used or not, so dollars that are left are time that is left.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from orchestrator.scheduling.durations import Expected
from search_spaces.spec.sections.budget import BudgetConfig

Limit = Literal["hours", "until", "usd"]

# A trial that is told to end writes its checkpoint and its state, and the driver records it.
SECONDS_TO_END = 10.0
# A trial that would be done so soon after the end is let finish: at most five minutes, and of the dollars one in a
# hundred.
MOST_GRACE_SECONDS = 300.0
GRACE_SHARE_OF_HOURS = 0.02
GRACE_SHARE_OF_USD = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spent:
    """What a sweep has used so far, and what it uses.

    Args:
        now: local time.
        driver_seconds: of all drivers of the run.
        usd_per_hour: of all machines that are there.
    """

    now: datetime
    driver_seconds: float
    usd: float
    usd_per_hour: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Left:
    """Time until the end, and the limit that makes it; infinite without a limit.

    Args:
        grace_seconds: by which a running trial may overrun it.
        seconds_to_end: so long before it, trials are told to end; 0 where that time is kept back already.
    """

    seconds: float
    limit: Limit | None = None
    grace_seconds: float = 0.0
    seconds_to_end: float = SECONDS_TO_END

    def may_start(self, expected: Expected | None, kept_seconds: float = 0.0) -> bool:
        """Whether a trial is expected to finish in time; one of which nothing is known may try.

        Args:
            kept_seconds: at the end, for what comes after it.
        """
        seconds = self.seconds - self.seconds_to_end - kept_seconds
        return seconds > 0 if expected is None else expected.to_start <= seconds

    def must_end(self, remaining_seconds: float | None) -> bool:
        """Whether a running trial is to checkpoint and end now. `remaining_seconds`: None if not known."""
        if self.seconds > self.seconds_to_end:
            return False
        overrun = math.inf if remaining_seconds is None else remaining_seconds - self.seconds
        return overrun > self.grace_seconds or self.seconds < -self.grace_seconds


def time_left(budget: BudgetConfig, until: datetime | None, spent: Spent) -> Left:
    """The limit that is reached first. `until`: the moment that the budget's `until` means."""
    found = []
    if budget.hours is not None:
        grace = min(MOST_GRACE_SECONDS, GRACE_SHARE_OF_HOURS * budget.hours * 3_600)
        found.append(Left(seconds=budget.hours * 3_600 - spent.driver_seconds, limit="hours", grace_seconds=grace))
    if until is not None:
        seconds = (until - spent.now).total_seconds()
        found.append(Left(seconds=seconds, limit="until", grace_seconds=MOST_GRACE_SECONDS))
    if budget.usd is not None:
        found.append(_usd_left(budget.usd, spent))
    return min(found, key=lambda left: left.seconds, default=Left(seconds=math.inf))


def _usd_left(usd: float, spent: Spent) -> Left:
    """Dollars as time: the grace, and the time to end, are kept back, so that the sum stays below the limit."""
    if spent.usd_per_hour <= 0:
        return Left(seconds=math.inf if spent.usd < usd else 0.0, limit="usd", seconds_to_end=0.0)
    per_second = spent.usd_per_hour / 3_600
    grace = min(MOST_GRACE_SECONDS, GRACE_SHARE_OF_USD * usd / per_second)
    seconds = (usd - spent.usd) / per_second - grace - SECONDS_TO_END
    return Left(seconds=seconds, limit="usd", grace_seconds=grace, seconds_to_end=0.0)


def seconds_for(expected: Sequence[Expected], num_slots: int) -> float:
    """Time within which so many slots should be done with these trials, in whatever order they are started.

    Their work over the slots, and for all but one slot the longest once more (Graham, 1966). The last one starts only
    where nine in ten such trials would end in time.
    """
    longest = max((one.middle for one in expected), default=0.0)
    doubt = max((one.to_start - one.middle for one in expected), default=0.0)
    return sum(one.high_mean for one in expected) / num_slots + (1 - 1 / num_slots) * longest + max(0.0, doubt)


def to_end(left: Left, remaining: Mapping[str, float | None]) -> list[str]:
    """Of the running trials, those that are to end now. `remaining`: seconds of each, by id."""
    return [trial_id for trial_id, seconds in remaining.items() if left.must_end(seconds)]


def text_of(left: Left, budget: BudgetConfig) -> str:
    """The limit that was reached, in words."""
    values = {"hours": f"{budget.hours:g} hours" if budget.hours else "", "until": f"the time {budget.until}"}
    values["usd"] = f"{budget.usd:g} USD" if budget.usd else ""
    if left.limit is None:
        return "no budget"
    if left.seconds > left.seconds_to_end:
        return f"nothing that waits would be finished in the {left.seconds:.0f} s that are left of {values[left.limit]}"
    return f"the budget of {values[left.limit]} is used"
