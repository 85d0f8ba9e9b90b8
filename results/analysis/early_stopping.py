"""What early stopping saved in a run, and how often it was wrong: by the trials that ran on to check it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from scipy.stats import binomtest

from results.analysis.replicate_groups import Row


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoppingSummary:
    """Trials that were stopped, and those that were to be stopped and ran to their end all the same.

    `num_wrong`: of the latter, those that ended better than the best case they were to be stopped for.
    """

    num_stopped: int
    num_ran_on: int
    num_wrong: int
    steps_saved_share: float  # of the steps that all trained trials had before them

    def wrong_interval(self) -> tuple[float, float]:
        """95 % interval of the share of wrong stops (Clopper and Pearson, 1934)."""
        interval = binomtest(self.num_wrong, self.num_ran_on).proportion_ci()
        return float(interval.low), float(interval.high)

    def text(self) -> str:
        """One line."""
        line = f"{self.num_stopped} trials stopped early, {self.steps_saved_share:.0%} of all steps saved"
        if not self.num_ran_on:
            return f"{line}; none ran on to check the rule"
        low, high = self.wrong_interval()
        return (
            f"{line}; of {self.num_ran_on} that were to be stopped and ran on, {self.num_wrong} ended better than "
            f"their best case ({low:.0%} to {high:.0%})"
        )


def stopping_summary(rows: Sequence[Row], score: str = "ce") -> StoppingSummary | None:
    """None where early stopping decided nothing.

    Args:
        rows: of the table of trials.
        score: the column that was forecast: ce or bpb.
    """
    judged = [row for row in rows if row.get("stop_step") is not None]
    if not judged:
        return None
    stopped = [row for row in judged if row["status"] == "stopped_early"]
    ran_on = [row for row in judged if row["status"] == "completed" and row.get("stop_best_case") is not None]
    planned = sum(row.get("steps_planned") or 0 for row in rows)
    saved = sum(row["steps_planned"] - row["steps"] for row in stopped if row.get("steps_planned"))
    return StoppingSummary(
        num_stopped=len(stopped),
        num_ran_on=len(ran_on),
        num_wrong=sum(row[score] < row["stop_best_case"] for row in ran_on),
        steps_saved_share=saved / planned if planned else 0.0,
    )
