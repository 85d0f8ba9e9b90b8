"""What all nights of one forecast have in common, and what comes of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from orchestrator.ledger.events import MICRO_USD, Machine
from orchestrator.ledger.ledger import Totals
from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.scheduling.cost_model import Costs
from orchestrator.scheduling.durations import Durations
from orchestrator.simulator.chances import Chances
from orchestrator.simulator.simulated_search import Trials
from search_spaces.spec.sections.budget import BudgetConfig
from search_spaces.spec.sweep_spec import SweepSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What all nights of one forecast have in common.

    Args:
        durations: what is known of how long trials take before the night.
        budget: what of it is left.
        done: by trial id, the share of its steps that a checkpoint has.
        begin: local time at which the driver starts.
    """

    spec: SweepSpec
    trials: Trials
    machines: tuple[Machine, ...]
    durations: Durations
    chances: Chances
    costs: Costs
    budget: BudgetConfig
    begin: datetime
    done: Mapping[str, float] = dataclasses.field(default_factory=dict)


def what_ended(timed: TimedBudget, status: SweepStatus) -> str:
    """A limit of the budget, what stopped it, or `finished`: of a simulated night, and of a real one."""
    reached = timed.reached
    return (reached.limit if reached is not None else None) or status.stop_kind or "finished"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NightResult:
    """What came of one night.

    Args:
        counts: trials by status.
        num_left: trials that were given and have not ended, and, of a planned sweep, those that never started.
        num_vanished: trials of which nothing is known any more: always 0.
        busy: by kind of device, the share of its time that trials held.
        first_result_seconds: infinite where nothing completed.
        totals: in millionths of a dollar.
        end: the limit of the budget that ended it, `fault`, or `finished`.
    """

    seconds: float
    counts: Mapping[str, int]
    num_left: int
    num_vanished: int
    busy: Mapping[str, float]
    first_result_seconds: float
    totals: Totals
    end: str

    @property
    def usd(self) -> float:
        return self.totals.machines / MICRO_USD
