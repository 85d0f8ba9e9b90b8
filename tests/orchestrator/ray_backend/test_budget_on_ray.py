"""Sweeps on a real Ray that run out of time, are killed, and get more: nothing is lost, every dollar is accounted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from driven_sweep import Sweep, running, wait_for
from sweeps import write_sweep

import results
from orchestrator.ledger.events import MICRO_USD, LedgerLog
from orchestrator.ledger.ledger import Ledger
from results.report.markdown_report import write_report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ON_FINISH = {"command": ["sh", "-c", 'echo "$FROSTLINE_END"']}


@pytest.fixture
def make_sweep(tmp_path: Path, data_root: Path) -> Callable[..., Sweep]:
    return lambda **changes: Sweep(write_sweep(tmp_path, **changes), tmp_path / "run", data_root)


def assert_accounted(run: Path) -> None:
    """Machines = trials + lost + idle, to the millionth of a dollar, in the account and in the tables."""
    ledger = Ledger(LedgerLog(run / "ledger.jsonl").read())
    totals = ledger.totals(ledger.now)
    assert totals.machines == totals.trials + totals.lost + totals.idle and min(totals.trials, totals.idle) >= 0
    tables = results.load(run)
    nodes = (tables.nodes[["usd", "usd_trials", "usd_lost", "usd_idle"]] * MICRO_USD).round().astype(int)
    assert (nodes.usd == nodes.usd_trials + nodes.usd_lost + nodes.usd_idle).all()
    assert int(nodes.usd.sum()) == totals.machines
    used = (tables.attempts.usd * MICRO_USD).round().astype(int)
    assert int(used.sum()) == totals.trials + totals.lost
    of_trials = (tables.trials.usd.dropna() * MICRO_USD).round().astype(int)
    assert int(of_trials.sum()) == totals.trials + totals.lost  # every trial has ended


def test_a_sweep_that_runs_out_of_time_goes_on_with_more(make_sweep: Callable[..., Sweep]) -> None:
    """`hours` ends it in time, running trials as `deadline`; extended, these go on first and repeat no step."""
    long = {"steps": 200_000, "checkpoint_every_seconds": 1}
    sweep = make_sweep(budget={"hours": 20 / 3_600}, prices={"CPU": 3.6}, on_finish=ON_FINISH, train=long, seeds=[1])
    began = time.monotonic()
    assert sweep.finish() == 0, sweep.log
    assert time.monotonic() - began < 60 and "the budget of 0.00555556 hours is used" in sweep.log
    assert list(sweep.table.status) == ["deadline"] * 2 and (sweep.table.steps > 0).all()
    assert (sweep.out / "on_finish.log").read_text() == "deadline\n"
    assert sweep.finish() == 0 and "nothing starts: " in sweep.log
    assert (sweep.out / "on_finish.log").read_text() == "deadline\n", "once for each end"
    before = sweep.table.set_index("trial_id").steps
    extend = [sys.executable, "-m", "orchestrator.cli", "extend", str(sweep.out), "--hours", str(20 / 3_600)]
    subprocess.run(extend, check=True, capture_output=True)
    assert sweep.finish() == 0, sweep.log
    after = sweep.table.set_index("trial_id")
    assert set(after.status) == {"deadline"} and (after.steps > before[after.index]).all()
    assert (after.steps_repeated == 0).all() and (after.num_attempts == 2).all()
    assert_accounted(sweep.out)
    lines = [json.loads(line) for line in (sweep.out / "forecasts.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["forecast", "truth"] * 2 and "forecast: " in sweep.log
    assert all(line["truth"]["end"] == "hours" and 5 < line["truth"]["seconds"] < 30 for line in lines[1::2])
    assert "## Forecast and truth" in write_report(sweep.out).read_text()


def test_a_search_that_its_hours_end_is_confirmed(make_sweep: Callable[..., Sweep]) -> None:
    """The search ends before the hours do; what was the best by then is trained with fresh seeds; nothing is cut."""
    space = {"recipe": {"choice": ["baseline", "selective"]}, "optimizer.learning_rate": {"log_range": [1e-4, 1e-2]}}
    budget = {"trials": 500, "hours": 60 / 3_600}
    sweep = make_sweep(
        budget=budget,
        prices={"CPU": 3.6},
        space=space,
        search={"method": "ehvi"},
        confirm={"configs": 1, "seeds": 3},
        train={"steps": 100},
    )
    began = time.monotonic()
    assert sweep.finish("--no-canary") == 0, sweep.log
    assert time.monotonic() - began < 110 and "are kept for confirmation" in sweep.log
    table = sweep.table
    fresh = table[table.stage == "confirm"]
    assert set(table.status) == {"completed"} and len(fresh) in (3, 6) and fresh.ce_test.notna().all(), table.status
    assert set(fresh.seed) == {101, 102, 103} and len(table) - len(fresh) >= 2
    searched = table[table.stage == "search"]  # before, and in what is left of the time when all is confirmed
    is_before, is_after = searched.finished_at <= fresh.started_at.min(), searched.started_at >= fresh.finished_at.max()
    assert (is_before | is_after).all() and is_before.any() and "hours is used" in sweep.log, sweep.log
    assert_accounted(sweep.out)


def test_dollars_end_a_sweep_below_their_limit(make_sweep: Callable[..., Sweep]) -> None:
    """A machine of 36 USD an hour with 0.30 USD: half a minute. What was spent stays below, and is on the ledger."""
    long = {"steps": 200_000, "checkpoint_every_seconds": 1}
    sweep = make_sweep(budget={"usd": 0.30}, prices={"CPU": 36}, on_finish=ON_FINISH, train=long, seeds=[1])
    assert sweep.finish() == 0, sweep.log
    assert "the budget of 0.3 USD is used" in sweep.log and (sweep.out / "on_finish.log").read_text() == "budget\n"
    spent = results.load(sweep.out).nodes.usd.sum()
    assert 0.15 < spent <= 0.30
    assert_accounted(sweep.out)


def test_a_machine_without_a_price_is_refused(make_sweep: Callable[..., Sweep]) -> None:
    """A budget of dollars counts nothing there; nothing starts, and no command runs."""
    sweep = make_sweep(budget={"usd": 5}, on_finish=ON_FINISH)
    assert sweep.finish() == 2
    assert "nobody says what" in sweep.log and "prices: {H100: 2.99, CPU: 0}" in sweep.log
    assert not (sweep.out / "on_finish.log").exists() and not (sweep.out / "ledger.jsonl").exists()


def test_kills_and_reuse_leave_nothing_unaccounted(make_sweep: Callable[..., Sweep]) -> None:
    """A worker killed, then the driver, then the same command: no trial is lost, and the sums are exact."""
    train = {"steps": 3_000, "checkpoint_every_seconds": 0.5}
    sweep = make_sweep(prices={"CPU": 3.6}, train=train, seeds=[1, 2], on_finish=ON_FINISH)
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2 and sweep.steps_done() > 200, driver)
    os.kill(next(iter(running(sweep).values())), signal.SIGKILL)
    wait_for(lambda: len(sweep.results()) >= 1, driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    assert sweep.finish() == 0, sweep.log
    assert list(sweep.table.status) == ["completed"] * 4
    assert_accounted(sweep.out)
    attempts = results.load(sweep.out).attempts
    assert (attempts.outcome == "lost").sum() >= 1 and attempts.finished_at.notna().all()
    assert "spent " in sweep.log and "repeated after losses" in sweep.log
    status = json.loads((sweep.out / "status.json").read_text())
    assert status["state"] == "finished" and status["trials"]["done"] == 4
