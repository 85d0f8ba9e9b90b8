"""What holds of every search, planned or adaptive: one contract."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_world import MIXED, load, row_of, with_method

from orchestrator.search.adaptive import AdaptiveSearch
from orchestrator.search.background import BackgroundSearch
from orchestrator.search.history import History
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import PlannedSearch, Search
from search_spaces.configs.device_kinds import can_run_on
from search_spaces.spec.sweep_spec import SweepSpec

METHODS = ("grid", "random", "tpe", "ehvi", "background")
# What a suggestion knows that was computed ahead depends on the moment: see test_background.py for what holds of those.
timeless = pytest.mark.parametrize("new_search", METHODS[:-1], indirect=True)


def make(spec: SweepSpec, kind: str) -> Search:
    if not spec.is_adaptive:
        return PlannedSearch(spec)
    if kind == "background":
        # patient: a slow machine must not change what is suggested
        return BackgroundSearch(spec, History(), record=lambda suggestion: None, clock=lambda: 0.0)
    return AdaptiveSearch(spec, History(), record=lambda suggestion: None)


@pytest.fixture(params=METHODS)
def new_search(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Search]]:
    """A function that makes a search of one method; `changes` are keys of the sweep file."""
    made: list[Search] = []

    def new(**changes: Any) -> Search:
        method = "ehvi" if request.param == "background" else request.param
        made.append(make(load(tmp_path, with_method(method, **changes)), request.param))
        return made[-1]

    yield new
    for search in made:
        search.close()


def ask(search: Search, kinds: Collection[str] | None = None) -> list[PlannedTrial]:
    """The next trials, waiting for a search that computes in the background."""
    while not (trials := search.ask(kinds)) and search.end is None:
        time.sleep(0.002)
    return list(trials)


def run(search: Search, row: Callable[[PlannedTrial], dict[str, Any]] = row_of) -> list[str]:
    """Every trial of a search whose trials end one after another."""
    found = []
    while trials := ask(search):
        found += [trial.trial_id for trial in trials]
        for trial in trials:
            search.tell(row(trial))
    return found


def test_every_trial_comes_once_and_the_budget_is_the_end(new_search: Callable[..., Search]) -> None:
    """As many different trials as the budget says, then nothing, and the reason."""
    search = new_search(seeds=[1, 2], budget={"trials": 26})
    found = run(search)
    assert len(found) == len(set(found)) == 26
    assert [trial.trial_id for trial in search.trials] == found
    assert search.end and not search.ask()


def test_what_is_asked_for_some_kinds_of_device_can_run_there(new_search: Callable[..., Search]) -> None:
    """Methods that choose answer with what fits; a plan gives all its trials in their order. None comes twice."""
    search = new_search(**MIXED, budget={"trials": 24})
    is_planned, found = isinstance(search, PlannedSearch), []
    while search.end is None:
        kind = ("H100", "A40", "A40")[len(found) % 3]
        for trial in ask(search, [kind]):
            assert is_planned or can_run_on(trial.accelerator, kind)
            found.append(trial.trial_id)
            search.tell(row_of(trial))
    assert len(found) == len(set(found)) == 24 and not search.used_up


@timeless
def test_equal_histories_give_equal_trials(new_search: Callable[..., Search]) -> None:
    """Two searches that are told the same in the same order suggest the same, whatever the state of `random`."""
    one = run(new_search(budget={"trials": 14}))
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert run(new_search(budget={"trials": 14})) == one


def test_several_trials_may_run_at_once(new_search: Callable[..., Search]) -> None:
    """With four out at any time, none comes twice and all come."""
    search, running, found = new_search(budget={"trials": 18}), [], []
    while search.end is None or running:
        while len(running) < 4 and (trials := ask(search)):
            running += trials
            found += [trial.trial_id for trial in trials]
        search.tell(row_of(running.pop(0)))
    assert len(found) == len(set(found)) == 18


@timeless
def test_a_stranger_and_a_repetition_change_nothing(new_search: Callable[..., Search]) -> None:
    """Rows of trials that are not of this search are ignored, and so is what was told before."""
    quiet, loud = new_search(budget={"trials": 14}), new_search(budget={"trials": 14})

    def tell_twice(trial: PlannedTrial) -> dict[str, Any]:
        loud.tell(row_of(trial))
        loud.tell({**row_of(trial), "trial_id": "nobody"})
        return row_of(trial)

    assert run(quiet) == run(loud, tell_twice)


@pytest.mark.parametrize("bad", [{"ce": math.nan}, {"ce": None}, {"ce": math.inf}, {"status": "diverged", "ce": None}])
def test_results_without_a_score_do_not_stop_it(new_search: Callable[..., Search], bad: dict[str, Any]) -> None:
    """NaN, infinity and trials that diverged are no scores: the search goes on, also where there is nothing else."""
    assert len(set(run(new_search(budget={"trials": 15}), lambda trial: row_of(trial, **bad)))) == 15


@pytest.mark.parametrize("status", ["failed", "out_of_memory", "stopped_early", "infeasible", "deadline"])
def test_every_other_end_is_no_score_either(new_search: Callable[..., Search], status: str) -> None:
    """A third of the trials end otherwise; the search goes on with the rest."""
    count = iter(range(1_000))

    def row(trial: PlannedTrial) -> dict[str, Any]:
        return row_of(trial, status=status, ce=None) if next(count) % 3 == 0 else row_of(trial)

    assert len(set(run(new_search(budget={"trials": 15}), row))) == 15


def test_a_limit_that_nothing_keeps_does_not_stop_it(new_search: Callable[..., Search]) -> None:
    """A constraint on what only training shows leaves every config infeasible, and the search goes on."""
    constraints = ["ce <= 0.5", "tokens_per_s >= 1_000_000", "total_bytes >= 1_000_000_000"]
    assert len(set(run(new_search(budget={"trials": 15}, constraints=constraints)))) == 15


@pytest.mark.parametrize("objectives", [{"ce": "min"}, {"bpb": "min", "total_bytes": "min"}])
def test_one_objective_or_others(new_search: Callable[..., Search], objectives: dict[str, str]) -> None:
    """The objectives need not be ce and the bytes of the artifact."""
    assert len(set(run(new_search(budget={"trials": 14}, objectives=objectives)))) == 14
