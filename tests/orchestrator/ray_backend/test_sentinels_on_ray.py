"""Sentinels on a real cluster of three nodes, of which one is half as fast as the others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from driven_sweep import Sweep
from own_cluster import Cluster, command, use_cluster
from sweeps import write_sweep

import results
from orchestrator.ledger.events import LedgerLog
from orchestrator.ledger.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
ROOT = Path(__file__).parents[3]

# Every step takes so long on a node that what else the machine does counts for little.
SLEEPING_STEPS = """
import os, time
from trainer.data import batches
read = batches.batch
def batch(*arguments, **options):
    time.sleep(float(os.environ["SECONDS_OF_A_STEP"]))
    return read(*arguments, **options)
batches.batch = batch
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SLEEPING_STEPS)
    made = Cluster(tmp_path)
    try:
        made.wait_for(1)
        for number, seconds in enumerate(("0.2", "0.2", "0.4"), start=2):
            path = f"{tmp_path / 'site'}{os.pathsep}{ROOT}"
            made.join("--cpus", "1", environment={"PYTHONPATH": path, "SECONDS_OF_A_STEP": seconds})
            made.wait_for(number)
        yield made
    finally:
        made.end()


def test_a_node_of_half_speed_is_found_and_explained(
    cluster: Cluster, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with what to do, it goes on getting trials, these are in no comparison until it is explained, and
    what the sentinels cost is on the ledger.
    """
    use_cluster(cluster, monkeypatch)
    # trials that take longer than a worker's start: else those that are there already get all
    options = {"sentinel": {"every_hours": 2, "steps": 20}, "prices": {"CPU": 3.6}, "seeds": 3, "train": {"steps": 100}}
    sweep = Sweep(write_sweep(tmp_path, **options), tmp_path / "run", data_root)
    assert sweep.finish("--address", cluster.address) == 0, sweep.log
    assert "safe to leave: " in sweep.log and "on 3 nodes (3 CPU)" in sweep.log
    measured = results.load(sweep.out).sentinels
    assert measured.node.nunique() == 3 and set(measured.status) == {"completed"} and measured.ce.nunique() == 1
    by_node = measured.groupby("node", observed=True).step_seconds.median().sort_values()
    slow = str(by_node.index[-1])
    assert by_node.iloc[-1] > 1.6 * by_node.iloc[0]
    assert (
        f"warning: {measured.host[0]} (CPU, {slow[:8]})" in sweep.log and f"frostline explain {sweep.out}" in sweep.log
    )
    trials = sweep.table
    assert len(trials) == 6 and set(trials.node[trials.suspect.notna()]) == {slow}
    assert trials.suspect[trials.node == slow].notna().all()

    ledger = Ledger(LedgerLog(sweep.out / "ledger.jsonl").read())
    totals = ledger.totals(ledger.now)
    assert totals.machines == totals.trials + totals.lost + totals.idle
    attempts = results.load(sweep.out).attempts
    assert attempts.trial_id.str.startswith("sentinel-").sum() >= 4 and "sentinel 0." in sweep.log
    assert not trials.trial_id.str.startswith("sentinel-").any()

    front = subprocess.run(command("pareto", str(sweep.out)), capture_output=True, text=True, check=True).stdout
    assert "completed on a suspect node" in front and "slower than the median of 3 nodes" in front
    subprocess.run(command("explain", str(sweep.out), slow[:8], "made to sleep"), check=True, capture_output=True)
    assert sweep.table.suspect.isna().all()
    front = subprocess.run(command("pareto", str(sweep.out)), capture_output=True, text=True, check=True).stdout
    assert "suspect" not in front
    assert set(results.load(sweep.out).sentinels.explanation.dropna()) == {"made to sleep"}
