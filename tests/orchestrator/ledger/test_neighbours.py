"""How many trials shared a device: by a sweep as by definition, on cards, on CPUs, and in the rows of a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ledger import bookkeeper
from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.ledger.events import MICROSECONDS, LedgerLog, Machine, Start
from orchestrator.ledger.ledger import Attempt
from orchestrator.ledger.neighbours import most_neighbours
from orchestrator.scheduling.placement import Slot

PLAIN = Machine(node="c", host="c", accelerator="CPU", cpus=4, gpus=0)
ONE_CARD = Machine(node="h", host="h", accelerator="H100", cpus=8, gpus=1)
TWO_CARDS = Machine(node="a", host="a", accelerator="A40", cpus=8, gpus=2)


def attempt(
    number: int, begin: int, end: int | None, machine: Machine = PLAIN, gpus: float = 0.0, trial: str = ""
) -> Attempt:
    devices = gpus if machine.gpus else 0.25
    made = Start(attempt=number, trial_id=trial or f"t{number}", node=machine.node, millionths=250_000, devices=devices)
    return Attempt(start=made, machine=machine, begin=begin, end=end)


def neighbours(*attempts: Attempt, **hosts: str) -> list[int]:
    found = most_neighbours(attempts, hosts)
    return [found[one.start.attempt] for one in attempts]


def test_the_largest_number_at_any_time_counts() -> None:
    """Two others one after the other are one neighbour, two at once are two; who begins when it ends is none."""
    assert neighbours(attempt(1, 0, 100), attempt(2, 10, 20), attempt(3, 30, 40)) == [1, 1, 1]
    assert neighbours(attempt(1, 0, 100), attempt(2, 10, 35), attempt(3, 30, 40)) == [2, 2, 2]
    assert neighbours(attempt(1, 0, 100), attempt(2, 100, 200)) == [0, 0]
    assert neighbours(attempt(1, 0, None), attempt(2, 100, None)) == [1, 1]
    assert neighbours(attempt(1, 0, 100)) == [0]


def test_two_attempts_at_one_trial_are_no_neighbours() -> None:
    """Nor are two that overlap, as when a worker was thought to be dead."""
    assert neighbours(attempt(1, 0, 100, trial="t"), attempt(2, 50, 150, trial="t")) == [0, 0]


def test_a_card_of_its_own_has_no_neighbours() -> None:
    """Whatever runs on the machine's other cards, and on its CPUs; the trial on the CPUs has both beside it."""
    cards = [attempt(1, 0, 100, TWO_CARDS, 1), attempt(2, 0, 100, TWO_CARDS, 1)]
    assert neighbours(*cards, attempt(3, 0, 100, TWO_CARDS, 0)) == [0, 0, 2]
    assert neighbours(attempt(1, 0, 9, TWO_CARDS, 2), attempt(2, 0, 9, ONE_CARD, 1)) == [0, 0]


def test_shares_of_one_card_are_neighbours() -> None:
    """All that are on it at once."""
    shares = [attempt(number, 10 * number, 100, ONE_CARD, 0.25) for number in range(4)]
    assert neighbours(*shares) == [3, 3, 3, 3]


def test_of_shares_on_several_cards_as_many_as_fit_on_one_count() -> None:
    """Which cards they are on is not known: beside half a card there is room for one half, or for two quarters."""
    halves = [attempt(number, 0, 100, TWO_CARDS, 0.5) for number in range(4)]
    assert neighbours(*halves) == [1, 1, 1, 1]
    mixed = [attempt(0, 0, 9, TWO_CARDS, 0.5), *(attempt(number, 0, 9, TWO_CARDS, 0.25) for number in (1, 2, 3, 4))]
    assert neighbours(*mixed)[0] == 2
    assert neighbours(attempt(1, 0, 9, TWO_CARDS, 0.5), attempt(2, 0, 9, TWO_CARDS, 1)) == [0, 0]


def test_nodes_of_one_machine_share_its_processors() -> None:
    """Two nodes of the cluster on one host are one machine to trials on CPUs; without a host a node is a machine."""
    other = Machine(node="d", host="c", accelerator="CPU", cpus=4, gpus=0)
    pair = attempt(1, 0, 9), attempt(2, 0, 9, other)
    assert neighbours(*pair, c="host", d="host") == [1, 1]
    assert neighbours(*pair, c="host", d="elsewhere") == neighbours(*pair, c="", d="") == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10), st.integers(0, 5)), max_size=30))
def test_the_sweep_counts_as_the_definition_does(given_spans: list[tuple[int, int, int]]) -> None:
    """At every moment of an attempt, the other trials that run then; the largest such number."""
    attempts = [
        attempt(number, begin, begin + length, trial=f"trial{trial}")
        for number, (begin, length, trial) in enumerate(given_spans)
    ]

    def at(moment: int) -> set[str]:
        return {one.start.trial_id for one in attempts if one.begin <= moment < (one.end or 0)}

    wanted = [
        max(len(at(moment) - {one.start.trial_id}) for moment in range(one.begin, one.end or 0)) for one in attempts
    ]
    assert neighbours(*attempts) == wanted


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> int:
        return int(self.seconds * MICROSECONDS)


def run_of(folder: Path, clock: Clock, num_trials: int, num_slots: int = 3) -> tuple[Bookkeeper, dict[str, int]]:
    """Trials one after another in some slots of a machine, each with its number as it is recorded at its end."""
    books = Bookkeeper(LedgerLog(folder / "ledger.jsonl"), {}, clock=clock)
    books.begin(lambda trial: None)
    books.saw([PLAIN])
    recorded, running = {}, list[int]()
    for number in range(num_trials + num_slots):
        clock.seconds += 1
        if number >= num_slots:
            ended = running.pop(0)
            books.stopped(ended, "completed")
            recorded[f"t{ended}"] = books.columns(f"t{ended}")["num_neighbours"]
        if number < num_trials:
            running.append(number)
            books.started(number, f"t{number}", Slot(kind="CPU", cpus=1, gpus=0, node_id="c"))
    return books, recorded


def test_a_row_that_is_recorded_early_is_the_row_that_is_made_later(tmp_path: Path) -> None:
    """What a trial's neighbours did after its end changes nothing; a second driver finds the same numbers."""
    _, recorded = run_of(tmp_path, Clock(), 40)
    assert recorded["t20"] == 2 and len(recorded) == 40
    again = Bookkeeper(LedgerLog(tmp_path / "ledger.jsonl"), {})
    assert {trial: again.columns(trial)["num_neighbours"] for trial in sorted(recorded)} == recorded


def test_all_rows_at_once_take_one_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many attempts, in any order of the rows; a driver at work looks at no attempts that ended before."""
    books, recorded = run_of(tmp_path, Clock(), 300)
    seen: list[int] = []

    def counted(attempts: list[Attempt], hosts: dict[str, str]) -> dict[int, int]:
        seen.append(len(attempts))
        return most_neighbours(attempts, hosts)

    monkeypatch.setattr(bookkeeper, "most_neighbours", counted)
    again = Bookkeeper(LedgerLog(tmp_path / "ledger.jsonl"), {})
    assert {trial: again.columns(trial)["num_neighbours"] for trial in sorted(recorded)} == recorded
    assert seen == [300]
    books.started(1000, "late", Slot(kind="CPU", cpus=1, gpus=0, node_id="c"))
    books.stopped(1000, "completed")
    assert books.columns("late")["num_neighbours"] == 0 and seen == [300, 1]


def test_it_counts_where_a_trial_runs_and_not_where_it_was_meant_to(tmp_path: Path) -> None:
    """Ray may choose another of two equal nodes: the worker says so, and an older line stays readable."""
    clock, other = Clock(), Machine(node="d", host="d", accelerator="CPU", cpus=4, gpus=0)
    books = Bookkeeper(LedgerLog(tmp_path / "ledger.jsonl"), {}, clock=clock)
    books.begin(lambda trial: None)
    books.saw([PLAIN, other])
    for number, node in ((1, "c"), (2, "d")):
        books.started(number, f"t{number}", Slot(kind="CPU", cpus=1, gpus=0, node_id=node))
    books.runs_on(2, "c")
    books.runs_on(2, "c")
    books.runs_on(2, "unknown")
    books.runs_on(9, "c")
    clock.seconds += 5
    books.stopped(1, "completed")
    assert books.columns("t1")["num_neighbours"] == 1
    again = Bookkeeper(LedgerLog(tmp_path / "ledger.jsonl"), {})
    assert again.columns("t1")["num_neighbours"] == 1
    assert (tmp_path / "ledger.jsonl").read_text().count('"move"') == 1
