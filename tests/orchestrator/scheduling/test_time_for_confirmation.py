"""Whole sweeps on a virtual clock, of known durations: what their hours end is confirmed, and nothing is idle."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from search_world import load, row_of, with_method

from orchestrator.confirmation.confirmation_log import ConfirmationLog
from orchestrator.confirmation.confirming_search import ConfirmingSearch
from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.ledger.events import NoLog
from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.scheduling.dispatcher import Dispatcher, Start
from orchestrator.scheduling.durations import Expected
from orchestrator.scheduling.placement import CPU, Node, Pool
from orchestrator.search import planner
from orchestrator.search.adaptive import AdaptiveSearch
from orchestrator.search.history import History
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import PlannedSearch, Search
from search_spaces.spec.sections.budget import BudgetConfig

Seconds = Callable[[PlannedTrial], float]
SECONDS_BETWEEN_LOOKS = 30.0


class Known(TimedBudget):
    """Durations are known exactly; what the search gives next is expected to be as the last one."""

    seconds: Seconds

    def expected(self, trial: PlannedTrial, accelerator: str) -> Expected | None:
        return Expected(middle=self.seconds(trial), high=self.seconds(trial))

    def ended(self, row: Any, trial: PlannedTrial) -> None:
        self._last, self._last_trial = self.costs.of(trial), trial

    def may_ask(self, accelerators: Any, kept_seconds: float = 0.0) -> bool:
        return self.left().may_start(None if self._last is None else self.expected(self._last_trial, CPU), kept_seconds)


class Sweep:
    """One sweep of `search_world` on some slots; `best` are the dims whose configs win."""

    def __init__(self, folder: Path, seconds: Seconds, num_slots: int, method: str = "ehvi", **changes: Any) -> None:
        budget = {"hours": 1.0, **({} if method == "grid" else {"trials": 200})}
        values = with_method(method, **{"budget": budget, "confirm": {"configs": 1, "seeds": 3}, **changes})
        self.spec, self.now, self.rows, self.notes = load(folder, values), 0.0, list[dict[str, Any]](), list[str]()
        self.log, self.against = ConfirmationLog(folder / "confirmation.jsonl"), dict[str, str | None]()
        self.search = ConfirmingSearch(self.spec, self._inner(), self.log, self.against, lambda: self.rows)
        self.budget = self.spec.budget
        books = Bookkeeper(NoLog(), {}, clock=lambda: round(self.now * 1e6))
        began = datetime(2026, 1, 1, tzinfo=UTC)
        self.timed = Known(self.budget, lambda _: self.budget, books, lambda: began + timedelta(seconds=self.now))
        self.timed.seconds = self.seconds = seconds
        self.status = SweepStatus(num_trials=0, objective=("ce", "min"), started_seconds=0.0)
        self.examples = list(self.search.trials) or planner.examples(self.spec)
        nodes = [Node(node_id=f"n{number}", kind=CPU, cpus=1, gpus=0) for number in range(num_slots)]
        self.dispatcher = Dispatcher(self, Pool(nodes), self.search.trials, note=self.notes.append)
        self.best: tuple[int, ...] = (16, 32, 48, 64)
        self.held: str | None = None  # the recipe whose first failure holds it back
        self.all_fail = False
        books.begin(lambda _: None)

    def _inner(self) -> Search:
        if self.spec.is_adaptive:
            return AdaptiveSearch(self.spec, History(), record=lambda suggestion: None)
        planned = PlannedSearch(self.spec)
        while planned.ask():
            pass
        return planned

    def run(self, at: float = 1e9, act: Callable[[], None] = lambda: None) -> Sweep:
        """To its end; `act` is done once, after so many seconds."""
        ends: list[tuple[float, int, PlannedTrial]] = []
        numbers = itertools.count()
        while (start := self.dispatcher.next(self.now)) != "over":
            if isinstance(start, Start):
                heapq.heappush(ends, (self.now + self.seconds(start.trial), next(numbers), start.trial))
                continue
            if self.now >= at:
                at = 1e9
                act()
                self.timed.look()
            if ends and ends[0][0] <= self.now + SECONDS_BETWEEN_LOOKS:
                self.now, _, trial = heapq.heappop(ends)
                self._end(trial)
            else:
                self.now += SECONDS_BETWEEN_LOOKS
            assert self.now < 1e6, "it idles for ever"
        return self

    def _end(self, trial: PlannedTrial) -> None:
        stage = "confirm" if trial.trial_id in self.against else "search"
        row = {**row_of(trial), "config_id": trial.config.config_id, "seed": trial.config.seed, "stage": stage}
        row |= {"recipe": trial.config.recipe, "feasible": True, "data_sha256": "x", "eval_tokens": 64}
        row |= {"accelerator": CPU, "ce": row["ce"] + (0 if trial.config.model.dim in self.best else 3)}
        if self.all_fail or trial.config.recipe == self.held:
            row |= {"status": "failed", "ce": None}
        if trial.config.recipe == self.held:
            self.dispatcher.held_recipes.add(self.held)
        self.dispatcher.ended(trial.trial_id)
        self.rows.append(row)
        self.status.finished(row)
        self.search.tell(row)
        self.timed.ended(row, trial)
        self.dispatcher.recorded(trial, row)

    @property
    def num_confirmed(self) -> int:
        return sum(row["stage"] == "confirm" for row in self.rows)


def test_what_is_confirmed_is_judged_by_its_own_time(tmp_path: Path) -> None:
    """The last trial of the search took a quarter of an hour, those to be confirmed take a minute."""
    for num_slots in (1, 2, 4):
        folder = tmp_path / str(num_slots)
        folder.mkdir()
        sweep = Sweep(folder, lambda trial: 900.0 if trial.config.model.dim == 48 else 60.0, num_slots)
        sweep.best = (32,)
        sweep.run()
        assert sweep.num_confirmed >= 3 and sweep.now > 0.9 * 3_600 and sweep.status.stop_kind == "budget"


def test_what_a_recipe_holds_back_is_no_want_of_time(tmp_path: Path) -> None:
    """With ten hours as without: its trials wait for the next call, and nothing is confirmed before they have run."""
    sweep = Sweep(tmp_path, lambda trial: 60.0, 2, "grid", budget={"hours": 10.0})
    sweep.held = "full_adapter"
    sweep.run()
    assert sweep.status.stop_kind is None and not sweep.notes and not sweep.num_confirmed
    assert any(trial.config.recipe == "full_adapter" for trial in sweep.dispatcher.waiting)


def test_hours_that_are_added_while_confirming_are_used(tmp_path: Path) -> None:
    """The search goes on once all is confirmed, and confirms nothing twice."""
    sweep = Sweep(tmp_path, lambda trial: 300.0, 2)

    def extend() -> None:
        assert sweep.search.is_confirming
        sweep.budget = BudgetConfig(trials=200, hours=11.0)

    sweep.run(at=3_000, act=extend)
    ids = [row["trial_id"] for row in sweep.rows]
    assert len(ids) == len(set(ids)) == sweep.spec.num_to_search + sweep.num_confirmed and sweep.num_confirmed in (3, 6)
    assert any("the search goes on" in note for note in sweep.notes) and sweep.status.stop_kind is None


def test_without_a_score_the_whole_time_is_the_search_s(tmp_path: Path) -> None:
    """All trials fail: nothing is kept for what cannot be confirmed."""
    sweep = Sweep(tmp_path, lambda trial: 60.0, 1)
    sweep.all_fail = True
    sweep.run()
    assert not sweep.num_confirmed and len(sweep.rows) >= 55
