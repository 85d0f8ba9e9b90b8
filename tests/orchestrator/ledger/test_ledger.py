"""What machines cost is what trials, losses and idle time cost, to the millionth of a dollar, whatever happens."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_nights import A40, FREE, H100, HOUR, event, random_night, start, stop

from orchestrator.errors import UsageError
from orchestrator.ledger.events import LedgerLog, Stop
from orchestrator.ledger.ledger import Ledger


def test_a_night_in_closed_form() -> None:
    """Two hours of an H100 machine: an hour on half of it, half an hour of which the last third was lost."""
    ledger = Ledger(
        [
            event("begin", 0),
            event("join", 0, H100),
            start(1, H100, 0.5, 0),
            stop(1, HOUR),
            start(2, H100, 1.0, HOUR, "u"),
            stop(2, HOUR + HOUR // 2, "lost", HOUR + HOUR // 3),
            event("leave", 2 * HOUR, node="h"),
        ]
    )
    totals = ledger.totals(2 * HOUR)
    assert totals.machines == ledger.spent(3 * HOUR) == 5_980_000
    assert totals.lost == 2_990_000 // 6
    assert totals.trials == 2_990_000 // 2 + 2_990_000 // 2 - totals.lost
    assert totals.idle == 5_980_000 - 2_990_000
    assert ledger.of_trial("t", HOUR) == (3_600.0, 1_495_000)  # one of two GPUs for an hour
    assert ledger.of_trial("nobody", HOUR) == (0, None)


def test_a_machine_counts_though_no_driver_lives() -> None:
    """Where the next driver sees it again; where it does not, until it was last seen, and the rest is a bound."""
    events = [event("begin", 0), event("join", 0, H100), event("join", 0, A40), event("alive", HOUR)]
    ledger = Ledger(
        [*events, event("begin", 3 * HOUR), event("join", 3 * HOUR, H100), event("leave", 3 * HOUR, node="a")]
    )
    assert ledger.leases["h"].micro_usd(3 * HOUR) == 3 * 2_990_000
    assert ledger.leases["a"].micro_usd(3 * HOUR) == 440_001
    assert ledger.unseen_micro_usd() == 2 * 440_001
    assert ledger.driver_seconds(4 * HOUR) == 2 * 3_600  # one hour each


def test_what_ran_when_the_driver_died_was_lost_then() -> None:
    """What of it was lost is said by the next driver, from the checkpoint."""
    events = [
        event("begin", 0),
        event("join", 0, A40),
        start(1, A40, 1, 0),
        event("alive", HOUR),
        event("begin", 9 * HOUR),
    ]
    ledger = Ledger(events)
    [attempt] = ledger.unknown_losses
    assert (attempt.end, attempt.outcome) == (HOUR, "lost")
    ledger.add(event("join", 9 * HOUR, A40))
    ledger.add(stop(1, 9 * HOUR, "lost", HOUR // 2))
    assert attempt.end == HOUR and ledger.totals(9 * HOUR).lost == 440_001 // 2 and not ledger.unknown_losses


def test_a_price_that_nobody_knows_is_not_guessed() -> None:
    """Its trials have device-seconds and no price, and the machine is named."""
    ledger = Ledger([event("begin", 0), event("join", 0, FREE), start(1, FREE, 0.25, 0), stop(1, HOUR)])
    assert ledger.of_trial("t", HOUR) == (900.0, None) and ledger.without_price() == [FREE]
    assert ledger.totals(HOUR).machines == 0


def test_another_price_holds_from_then_on() -> None:
    """What was spent before stays."""
    dearer = dataclasses.replace(A40, micro_usd_per_hour=1_000_000)
    ledger = Ledger([event("begin", 0), event("join", 0, A40), event("begin", HOUR), event("join", HOUR, dearer)])
    assert ledger.spent(2 * HOUR) == 440_001 + 1_000_000


@given(st.integers(0, 2**32), st.integers(5, 120))
def test_nothing_is_unaccounted(seed: int, num_events: int) -> None:
    """Random nights of joins, losses, kills of the driver, reuse and shares: the sum is exact, nothing is negative, and
    a log that is read again gives the same account.
    """
    events = list(random_night(random.Random(seed), num_events))
    ledger, now = Ledger(events), max(one.at for one in events)
    for node in (None, *ledger.leases):
        totals = ledger.totals(now, node)
        assert totals.machines == totals.trials + totals.lost + totals.idle
        assert min(totals.machines, totals.trials, totals.lost, totals.idle) >= 0
    of_nodes = [ledger.totals(now, node) for node in ledger.leases]
    assert sum(one.idle for one in of_nodes) == ledger.totals(now).idle
    per_trial = [ledger.of_trial(trial, now)[1] for trial in ledger.by_trial]
    total = ledger.totals(now)
    assert None in per_trial or sum(one or 0 for one in per_trial) == total.trials + total.lost


def test_an_attempt_is_paid_where_it_ran() -> None:
    """Ray chooses among equal nodes: known at its end, also where the node that was meant has left meanwhile."""
    other = dataclasses.replace(H100, node="o", micro_usd_per_hour=1_000_000)
    events = [event("begin", 0), event("join", 0, H100), event("join", 0, other), start(1, H100, 1, 0)]
    ledger = Ledger([*events, event("leave", HOUR, node="h")])
    ledger.add(event("stop", 5 * HOUR, Stop(attempt=1, outcome="completed", node="o")))
    assert ledger.of_trial("t", 5 * HOUR) == (5 * 3_600.0 * 2, 5_000_000)
    assert ledger.totals(5 * HOUR, "h").idle == 2_990_000 and ledger.totals(5 * HOUR, "o").idle == 0


def test_an_attempt_on_a_machine_that_left_ends_with_it() -> None:
    """It was meant for another one: what is known only later costs no more than the machine was there."""
    other = dataclasses.replace(H100, node="o")
    events = [event("begin", 0), event("join", 0, H100), event("join", 0, other), start(1, H100, 1, 0)]
    ledger = Ledger([*events, event("leave", HOUR, node="o")])
    ledger.add(event("stop", 2 * HOUR, Stop(attempt=1, outcome="lost", lost_from=HOUR // 2, node="o")))
    totals = ledger.totals(2 * HOUR, "o")
    assert (totals.idle, totals.lost, totals.trials) == (0, 1_495_000, 1_495_000)


def test_what_is_written_twice_counts_once() -> None:
    """A disk that failed after a line was written."""
    events = [event("begin", 0), event("join", 0, A40), start(1, A40, 1, 0), start(1, A40, 1, 0), stop(1, HOUR)]
    ledger = Ledger([*events, stop(1, HOUR), stop(99, HOUR)])
    assert ledger.of_trial("t", 5 * HOUR) == (3_600.0, 440_001)


def test_the_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A line that a killed driver has cut counts as not written, and the next one is whole."""
    log = LedgerLog(tmp_path / "ledger.jsonl")
    events = [event("begin", 0, session="s"), event("join", 0, H100), start(1, H100, 0.5, 5), stop(1, 9)]
    for one in events[:2]:
        log.append(one)
    with log.path.open("ab") as file:
        file.write(b'{"event": "sta')
    for one in events[2:]:
        log.append(one)
    assert list(log.read()) == events


@pytest.mark.parametrize(
    "line", ['{"event": "jion", "at": 1}', '{"event": "join"}', '{"event": "join", "at": "now"}', "{}"]
)
def test_a_damaged_log_is_said(tmp_path: Path, line: str) -> None:
    """With the number of the line."""
    log = LedgerLog(tmp_path / "ledger.jsonl")
    log.append(event("begin", 0))
    with log.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=r"ledger\.jsonl, line 2, is damaged"):
        list(log.read())
