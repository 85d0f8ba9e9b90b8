"""The canary on a real Ray: what would spoil a night is found before it, and costs and traces are as they should be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driven_sweep import Sweep
from own_cluster import Cluster, can_hide_folders, use_cluster
from s3_server import BUCKET, S3Server, s3_server
from sweeps import write_sweep

import results
from orchestrator.ledger.events import LedgerLog
from orchestrator.ledger.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
NIGHT = {"budget": {"hours": 8}}


@pytest.fixture
def make_sweep(tmp_path: Path, data_root: Path) -> Callable[..., Sweep]:
    return lambda **changes: Sweep(write_sweep(tmp_path, **changes), tmp_path / "run", data_root)


def test_a_night_begins_when_the_canary_has_passed(make_sweep: Callable[..., Sweep]) -> None:
    """One line says that it is safe; its cost is on the ledger, its rows in no table of trials, its files are gone; the
    same command does not run it again, and `--no-canary` and short sweeps never do.
    """
    sweep = make_sweep(**NIGHT, prices={"CPU": 3.6})
    assert sweep.finish() == 0, sweep.log
    [line] = re.findall("safe to leave: .*", sweep.log)
    assert "2 trials of 20 steps" in line and "1 node (1 CPU)" in line and "3.6 USD/hour" in line
    assert sweep.log.index(line) < sweep.log.index("4 completed")
    assert len(sweep.table) == 4 and not sweep.table.trial_id.str.startswith("canary").any()
    attempts = results.load(sweep.out).attempts
    assert list(attempts.outcome[attempts.trial_id.str.startswith("canary-")]) == ["completed"] * 2
    ledger = Ledger(LedgerLog(sweep.out / "ledger.jsonl").read())
    totals = ledger.totals(ledger.now)
    assert totals.machines == totals.trials + totals.lost + totals.idle and totals.lost == 0
    assert re.search(r"spent \d.\d\d USD: canary 0.0", sweep.log)
    assert not (sweep.out / "canary").exists() and json.loads((sweep.out / "canary.json").read_text())["line"] == line
    more = Sweep(write_sweep(sweep.out.parent, **NIGHT, prices={"CPU": 3.6}, notes="more"), sweep.out, sweep.data_root)
    for path in sweep.out.glob("trials/*-s2-*/result.json"):
        path.unlink()
    assert more.finish() == 0, more.log
    assert more.log.count("safe to leave") == 1 and len(more.table) == 4


@pytest.mark.parametrize(("options", "changes"), [(["--no-canary"], NIGHT), ([], {})])
def test_where_it_does_not_run(
    make_sweep: Callable[..., Sweep], options: list[str], changes: dict[str, object]
) -> None:
    """`--no-canary`, and a sweep of one machine without a budget of time."""
    sweep = make_sweep(**changes, seeds=[1])
    assert sweep.finish(*options) == 0, sweep.log
    assert "canary:" not in sweep.log and "safe to leave" not in sweep.log and not (sweep.out / "canary.json").exists()


def test_a_recipe_that_runs_out_of_memory_ends_the_call(make_sweep: Callable[..., Sweep]) -> None:
    """The largest config asks at once for 120 GB: exit code 1, no trial begins, and the line names it."""
    huge = {"choice": [{"batch_sequences": 4}, {"batch_sequences": 65_536, "sequence_tokens": 448}]}
    sweep = make_sweep(**NIGHT, seeds=[1], space={"train": huge}, model={"dim": 1_024})
    assert sweep.finish() == 1, sweep.log
    [fault] = re.findall("^fault: .*", sweep.log, re.MULTILINE)
    assert "largest config" in fault and "out of memory" in fault and "micro_batches" in fault
    assert "not safe to leave" in sweep.log and "0 trials finished" in sweep.log
    assert not list(sweep.out.glob("trials/*")) and list(sweep.out.glob("canary/trials/*/log.txt"))


def test_a_canary_that_does_not_end_in_time_is_a_fault(make_sweep: Callable[..., Sweep]) -> None:
    """With half a second instead of nine minutes: exit code 3; what had begun and what had not is named."""
    sweep = make_sweep(**NIGHT)
    impatient = "from orchestrator.canary import outcome; outcome.SECONDS_FOR_ALL = 0.5"
    sweep.command[1:3] = ["-c", f"{impatient}; from orchestrator.cli.main import main; main()"]
    assert sweep.finish() == 3, sweep.log
    assert len(re.findall("fault: .*(?:has not ended|was not begun) within the 0 s", sweep.log)) == 2
    assert not list(sweep.out.glob("trials/*"))
    ledger = Ledger(LedgerLog(sweep.out / "ledger.jsonl").read())
    assert not ledger.open_attempts and {one.outcome for one in ledger.attempts.values()} == {"lost"}


@pytest.mark.skipif(not can_hide_folders(), reason="this process may not mount: no worker without a shared disk")
def test_a_node_that_cannot_get_the_data_is_found(
    tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the data, whose cache cannot be written: exit code 3 before the first trial, with its name."""
    cluster = Cluster(tmp_path)
    try:
        cluster.wait_for(1)
        hidden = f"mount -t tmpfs none {data_root}"
        cluster.join("--cpus", "1", mount=hidden, environment={"FROSTLINE_CACHE": "/dev/null/cache"})
        cluster.wait_for(2)
        use_cluster(cluster, monkeypatch)
        sweep = Sweep(write_sweep(tmp_path), tmp_path / "run", data_root)
        assert sweep.finish("--address", cluster.address) == 3, sweep.log
        assert re.search("fault: .*CPU.*/dev/null/cache.*FROSTLINE_CACHE", sweep.log)
        assert not list(sweep.out.glob("trials/*"))
    finally:
        cluster.end()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_store_that_takes_nothing_is_named(
    server: S3Server, make_sweep: Callable[..., Sweep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_dead: bool
) -> None:
    """A key that may take the lock and write no results: exit code 3, and no trial begins. A good store has them all,
    and keeps nothing of the canary but its record.
    """
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    sweep = make_sweep(**NIGHT, seeds=[1])
    sweep.command[sweep.command.index("--out") + 1] = f"s3://{BUCKET}/night{is_dead}"
    if is_dead:
        server.applies = lambda environ: environ["REQUEST_METHOD"] == "PUT" and "/canary/" in environ["PATH_INFO"]
        server.answer = ("403 Forbidden", "")
    code = sweep.finish()
    names = server.names(f"night{is_dead}")
    assert code == (3 if is_dead else 0), sweep.log
    assert any(name.startswith("trials/") for name in names) is not is_dead
    if is_dead:
        assert re.search(f"fault: s3://{BUCKET}/nightTrue: .*cannot be written", sweep.log)
    else:
        assert f"s3://{BUCKET}/nightFalse has taken their files" in sweep.log
        assert "canary.json" in names and not any(name.startswith("canary/") for name in names)
