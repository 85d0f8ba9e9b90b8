"""Suggestions computed ahead: none waits for a method, and one that is late or fails costs a random draw."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search_world import load, row_of, with_method

from orchestrator.search.adaptive import differences
from orchestrator.search.ahead import Ahead
from orchestrator.search.background import BackgroundSearch
from orchestrator.search.history import BROKEN, LATE, History, Suggestion
from orchestrator.search.method import Question
from orchestrator.search.suggest import NUM_START
from search_spaces.spec.sweep_spec import SweepSpec


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def spec(tmp_path: Path) -> SweepSpec:
    return load(tmp_path, with_method("tpe", budget={"trials": 40}))


@pytest.fixture
def made() -> Iterator[list[BackgroundSearch]]:
    found: list[BackgroundSearch] = []
    yield found
    for search in found:
        search.close()


def begun(spec: SweepSpec, made: list[BackgroundSearch], **options: Any) -> BackgroundSearch:
    """A search past its start at random."""
    made.append(BackgroundSearch(spec, History(), record=lambda suggestion: None, **options))
    for _ in range(NUM_START):
        [trial] = made[-1].ask()
        made[-1].tell(row_of(trial))
    return made[-1]


def test_a_method_that_is_late_costs_a_random_draw(spec: SweepSpec, made: list[BackgroundSearch]) -> None:
    """Within the patience nothing comes; after it a draw, marked so, and one line for the user."""
    notes: list[str] = []
    clock, release = Clock(), threading.Event()
    search = begun(spec, made, clock=clock, note=notes.append)

    class Slow:
        def propose(self, question: Question) -> list[Any]:
            release.wait()
            return []

    search.suggester.__dict__["method"] = Slow()
    search._ahead._ready.clear()
    search.tell(row_of(search.trials[0], ce=4.0))  # what was ready is stale
    search._ahead._ready.clear()
    assert search.ask() == () and not notes
    clock.seconds = search.patience_seconds + 0.01
    assert len(search.ask()) == 1
    assert search.history.suggestions[-1].method == LATE
    search.ask()
    clock.seconds += 10
    search.ask()
    assert notes == ["search method tpe is slower than the trials: some configs are drawn at random"]
    release.set()


def test_a_method_that_fails_costs_a_random_draw(spec: SweepSpec, made: list[BackgroundSearch]) -> None:
    """The sweep goes on to its budget, with one line that says why."""
    notes: list[str] = []
    search = begun(spec, made, clock=Clock(), note=notes.append)

    class Broken:
        def propose(self, question: Question) -> list[Any]:
            raise ZeroDivisionError("made up")

    search.suggester.__dict__["method"] = Broken()
    search._ahead._ready.clear()
    while search.end is None:
        for trial in search.ask():
            search.tell(row_of(trial))
    assert len(search.trials) == 40
    assert search.history.suggestions[-2].method == BROKEN
    assert notes == [
        "search method tpe failed (ZeroDivisionError('made up')): configs are drawn at random instead"
    ]  # fmt: skip


def test_what_is_ready_is_renewed_when_results_come(spec: SweepSpec, made: list[BackgroundSearch]) -> None:
    """The suggestion that is given was computed with the last result, once there was time to."""
    search = begun(spec, made, clock=Clock())
    while not (trials := search.ask()):
        time.sleep(0.01)
    search.tell(row_of(trials[0]))
    deadline = time.monotonic() + 20
    while True:
        with search._ahead._changed:
            ready = search._ahead._ready.get(None, [])
            told = getattr(ready[0], "told", ()) if ready else ()
        if told and told[-1].trial_id == trials[0].trial_id:
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert search.ask()


def test_what_is_taken_is_part_of_the_history_at_once(spec: SweepSpec, made: list[BackgroundSearch]) -> None:
    """Between the taking and the next call the thread cannot begin a suggestion that follows another one."""
    search = begun(spec, made, clock=Clock())
    while (answer := search._ahead.take([None])) is None:
        time.sleep(0.01)
    assert search._ahead._history is not None and search._ahead._history.suggestions[-1] is answer


class Held:
    """A suggester whose suggestions name the kinds that they follow; one of them is held until it is let go."""

    def __init__(self, held: tuple[str, ...]) -> None:
        self.held, self.is_held, self.let_go = held, threading.Event(), threading.Event()

    def suggest(self, history: History, instead: str | None = None, kinds: Any = None) -> Suggestion:
        path = (*(one.method for one in history.suggestions), *kinds)
        if path == self.held:
            self.is_held.set()
            assert self.let_go.wait(20)
        return Suggestion(number=len(history.suggestions), method=kinds[0], arms=(), kinds=path)


def test_what_follows_another_suggestion_than_was_given_is_dropped() -> None:
    """While the second for an H100 is computed, an A40 gets its first: no answer of the history before it is kept."""
    suggester = Held(("H100", "H100"))
    ahead = Ahead(suggester, 2, ["A40", "H100"])  # type: ignore[arg-type]
    ahead.renew(History())
    assert suggester.is_held.wait(20)
    given = ahead.take(["A40"])
    assert isinstance(given, Suggestion) and given.kinds == ("A40",)
    suggester.let_go.set()
    paths = []
    for kind in ("H100", "A40", "H100"):
        while (answer := ahead.take([kind])) is None:
            time.sleep(0.005)
        assert isinstance(answer, Suggestion)
        paths.append(answer.kinds)
    ahead.close()
    assert paths == [("A40", "H100"), ("A40", "H100", "A40"), ("A40", "H100", "A40", "H100")]


def test_any_order_of_results_can_be_replayed(spec: SweepSpec, made: list[BackgroundSearch]) -> None:
    """Whatever was ready when: the record says what each suggestion knew, so a replay agrees."""
    search, running, chance = begun(spec, made), [], random.Random(2)
    while search.end is None or running:
        while len(running) < 4 and (trials := search.ask()):
            running += trials
        if running and (len(running) == 4 or search.end is not None):
            search.tell(row_of(running.pop(chance.randrange(len(running)))))
            time.sleep(chance.choice((0, 0.02, 0.2)))
    assert [text for _, text in differences(spec, search.history)] == [""] * 40
