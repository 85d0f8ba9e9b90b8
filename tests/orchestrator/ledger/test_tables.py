"""The tables of attempts and nodes hold the whole account: a report that adds them up comes to the same sums."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_nights import random_night
from trial_builder import make_trial

from orchestrator.ledger.events import MICROSECONDS
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.tables import write_tables
from orchestrator.store.run_folder import RunFolder
from results.analysis.night.spending import IDLE, LOST, Spending, spending
from results.tables.load import load
from results.tables.schema import trials_table


def spent(ledger: Ledger, now: int) -> Spending | None:
    """What a report says of a run with this account and two trials."""
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        (folder.tables / "trials").mkdir(parents=True)
        rows = [make_trial(trial_id=f"t{i}", status=status) for i, status in enumerate(("completed", "failed"))]
        pq.write_table(trials_table(rows), folder.tables / "trials" / "trials-000000.parquet")
        write_tables(folder, "demo", ledger, now)
        return spending(load(folder.root))


def seconds_of_machines(ledger: Ledger, now: int) -> float:
    return sum(lease.microseconds(now) for lease in ledger.leases.values()) / MICROSECONDS


@given(st.integers(0, 2**32), st.integers(5, 80))
def test_a_report_adds_up_to_the_ledger(seed: int, num_events: int) -> None:
    """Random nights, through the Parquet files: machines, losses and idle time, to the micro-dollar and in seconds."""
    events = random_night(random.Random(seed), num_events)
    ledger, now = Ledger(events), max(one.at for one in events)
    found, totals = spent(ledger, now), ledger.totals(now)
    if found is None:  # nothing has run
        assert not ledger.attempts
        return
    assert found.total.micro_usd == totals.machines
    assert (found.uses[LOST].micro_usd if LOST in found.uses else 0) == totals.lost
    assert found.uses[IDLE].micro_usd == totals.idle
    assert sum(cost.micro_usd or 0 for cost in found.phases.values()) == totals.trials
    assert found.total.seconds == pytest.approx(seconds_of_machines(ledger, now), abs=0.1)


def test_a_machine_without_a_price_is_no_dollar() -> None:
    """Its time is in the sum, and its price is not guessed."""
    events = random_night(random.Random(3), 60)
    free = [
        dataclasses.replace(one, values={**one.values, "micro_usd_per_hour": None}) if one.kind == "join" else one
        for one in events
    ]
    ledger, now = Ledger(free), max(one.at for one in free)
    found = spent(ledger, now)
    assert found is not None and found.total.usd is None and found.num_unpriced == len(ledger.leases)
    assert found.total.seconds == pytest.approx(seconds_of_machines(ledger, now), abs=0.1)
