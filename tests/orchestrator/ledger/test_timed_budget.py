"""What may start and what is to end while a driver works: by the account, the clock, and what was added meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sweeps import tiny_sweep

from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.ledger.events import MICROSECONDS, LedgerLog, Machine
from orchestrator.ledger.extensions import Extensions
from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.progress.running_trial import Running
from orchestrator.scheduling.cost_model import training_cost
from orchestrator.scheduling.placement import Slot
from orchestrator.search import planner
from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sections.budget import BudgetConfig

MACHINE = Machine(node="n", host="n", accelerator="CPU", cpus=2, gpus=0, micro_usd_per_hour=3_600_000)


class World:
    """A driver at work on one machine of 3.60 USD an hour, and a clock that tests move."""

    def __init__(self, folder: Path, **budget: Any) -> None:
        self.seconds = 0.0
        self.start = datetime(2026, 11, 27, 22, 0).astimezone()
        self.books = Bookkeeper(LedgerLog(folder / "ledger.jsonl"), {}, clock=lambda: int(self.seconds * MICROSECONDS))
        self.extensions = Extensions(folder / "extensions.jsonl")
        self.timed = TimedBudget(BudgetConfig(**budget), self.extensions.extended, self.books, self.now)
        self.books.begin(lambda trial: None)
        self.books.saw([MACHINE])
        self.books.started(1, "t", Slot(kind="CPU", cpus=1, gpus=0, node_id="n"))

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


@pytest.fixture
def trial(tmp_path: Path) -> PlannedTrial:
    return planner.examples(tiny_sweep(tmp_path))[0]


def learned(world: World, trial: PlannedTrial, seconds: float) -> None:
    row = {"status": "completed", "accelerator": "CPU", "train_seconds": seconds, "total_seconds": seconds}
    for _ in range(8):
        world.timed.ended(row, trial)


def test_without_a_timed_budget_all_may_start(tmp_path: Path, trial: PlannedTrial) -> None:
    """And nothing is ever over."""
    world = World(tmp_path, trials=5)
    learned(world, trial, 1e9)
    assert world.timed.is_in_time(trial, "CPU") and world.timed.may_ask(["CPU"])
    assert not world.timed.is_over and world.timed.to_end([Running(trial_id="t", accelerator="CPU")], {}) == []


def test_what_a_checkpoint_has_need_not_be_done_again(tmp_path: Path, trial: PlannedTrial) -> None:
    """A trial of 100 s with 40 s left does not start; one that has done three quarters of it does."""
    world = World(tmp_path, hours=100 / 3_600)
    learned(world, trial, 100.0)
    world.seconds = 50
    assert not world.timed.is_in_time(trial, "CPU") and not world.timed.may_ask(["CPU"])
    world.timed.done = {trial.trial_id: 0.75}
    assert world.timed.is_in_time(trial, "CPU")


def test_until_a_trial_has_ended_all_may_try(tmp_path: Path) -> None:
    """Trials that are expected to be longer than the budget: the next call goes on with what they did.

    Once one has ended, such a trial does not start on a kind of which only that is known, either.
    """
    long, short = (planner.examples(tiny_sweep(tmp_path, train={"steps": steps}))[0] for steps in (10_000_000, 12))
    world = World(tmp_path, hours=100 / 3_600)
    assert world.timed.is_in_time(long, "CPU")
    learned(world, short, 1.0)
    assert world.timed.is_in_time(short, "CPU") and not world.timed.is_in_time(long, "CPU")
    assert not world.timed.is_in_time(long, "H100") and world.timed.is_in_time(long, "abacus")


def test_more_budget_counts_at_once(tmp_path: Path, trial: PlannedTrial) -> None:
    """Another process extends it; a file that is damaged meanwhile counts as it was."""
    world = World(tmp_path, hours=60 / 3_600)
    world.seconds = 61
    assert world.timed.is_over
    world.extensions.add(world.timed.of_file, hours=1)
    world.timed.look()
    assert not world.timed.is_over
    world.extensions.path.write_text("half a li")
    assert not world.timed.is_over and world.timed.budget.hours == pytest.approx(1 + 60 / 3_600)


def test_dollars_stay_dollars_after_the_end(tmp_path: Path) -> None:
    """When all machines have left, the limit that was reached is still known, and so is the next call's."""
    world = World(tmp_path, hours=8, usd=0.36)
    world.seconds = 350
    assert world.timed.is_over and world.timed.reach().startswith("the budget of 0.36 USD is used")
    world.books.end()
    assert world.timed.reached is not None and world.timed.reached.limit == "usd"
    again = TimedBudget(BudgetConfig(hours=8, usd=0.36), world.extensions.extended, world.books, world.now)
    assert again.is_over and again.left().limit == "usd"


def test_running_trials_end_at_the_deadline(tmp_path: Path, trial: PlannedTrial) -> None:
    """By the pace that they have: one that is nearly done is let finish, within the grace of 2 % of the hours."""
    world = World(tmp_path, hours=1)
    world.seconds = 3_595
    cost = training_cost(trial.config)
    near, far = (
        Running(trial_id=name, accelerator="CPU", step=step, total_steps=10) for name, step in (("a", 9), ("b", 1))
    )
    for one in (near, far):
        one.tokens_per_s = cost.tokens / 100  # the whole takes 100 s
    ended = world.timed.to_end([near, far], {"a": cost, "b": cost})
    assert [trial_id for trial_id, _ in ended] == ["b"] and "the budget of 1 hours is used" in ended[0][1]
