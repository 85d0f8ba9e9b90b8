"""A cluster started by `frostline cluster`, as a user does: head, worker, a sweep on it, and its end."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from driven_sweep import Sweep, running, wait_for
from own_cluster import Cluster, can_hide_folders, descendants, use_cluster
from sweeps import write_sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        made.wait_for(1)
        yield made
    finally:
        made.end()


def test_a_worker_joins_works_and_leaves(
    cluster: Cluster, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kind, price and version are seen, trials that ask for its kind run there, and it leaves when it is told."""
    worker = cluster.join("--cpus", "1", "--gpus", "1", "--accelerator", "A40", "--usd-per-hour", "0.44")
    head, node = cluster.wait_for(2)
    assert (head["is_head"], head["kind"], head["cpus"]) == (True, None, 0)
    assert (node["kind"], node["gpus"], node["usd_per_hour"]) == ("A40", 1, 0.44) and node["version"]
    resources = {"accelerator": "A40", "cpus": 0.5, "gpus": 0.5}
    base = {"data": "tiny", "device": "cpu", "model": {"vocab_size": 512, "num_layers": 1, "dim": 32, "num_heads": 2}}
    base |= {"train": {"steps": 20, "sequence_tokens": 32, "batch_sequences": 4}, "eval": {"tokens": 512}}
    sweep = Sweep(write_sweep(tmp_path, resources=resources, base=base), tmp_path / "run", data_root)
    use_cluster(cluster, monkeypatch)
    assert sweep.finish("--address", cluster.address) == 0, sweep.log
    assert set(sweep.table.status) == {"completed"} and set(sweep.table.accelerator) == {"A40"}
    assert set(sweep.table.node) == {node["node_id"]}
    alone = Sweep(write_sweep(tmp_path, name="alone", base=base, seeds=1), tmp_path / "alone", data_root)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    monkeypatch.delenv("RAY_AUTH_MODE")
    assert alone.finish() == 0, alone.log
    assert set(alone.table.accelerator) == {"CPU"}, "without --address a sweep leaves the cluster of this machine alone"
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait(timeout=60)
    assert [one["is_head"] for one in cluster.wait_for(1)] == [True]


@pytest.mark.skipif(not can_hide_folders(), reason="this process may not mount: no worker without a shared disk")
def test_workers_need_no_shared_disk(
    cluster: Cluster, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that see neither run folder nor data, one killed in mid-trial: rows as those of a run on this machine
    alone, to the last digit.
    """
    base = {"data": "tiny", "device": "cpu", "model": {"vocab_size": 512, "num_layers": 1, "dim": 32, "num_heads": 2}}
    train = {"steps": 6_000, "sequence_tokens": 32, "batch_sequences": 4, "checkpoint_every_seconds": 0.5}
    base |= {"train": train, "eval": {"tokens": 512}}
    (tmp_path / "far").mkdir()
    shutil.copytree(data_root, tmp_path / "far" / "data")
    spec = write_sweep(tmp_path, base=base, sentinel="off")
    far = Sweep(spec, tmp_path / "far" / "run", tmp_path / "far" / "data")
    near = Sweep(spec, tmp_path / "near", data_root)
    assert near.finish() == 0, near.log
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    workers = []
    for number in (2, 3):  # one after the other: Ray gives a node little time to start
        workers.append(cluster.join("--cpus", "1", mount=f"mount -t tmpfs none {tmp_path / 'far'}"))
        cluster.wait_for(number)
    use_cluster(cluster, monkeypatch)
    driver = far.start("--address", cluster.address, "--no-canary")
    wait_for(lambda: len(list(far.out.glob("trials/*/checkpoint/state.pt"))) == 2, driver)
    for pid in [workers[0].pid, *descendants(workers[0].pid)]:
        os.kill(pid, signal.SIGKILL)
    assert driver.wait(timeout=240) == 0, far.log
    assert "trials' files go through the driver" in far.log and "gets the data tiny" in far.log
    same = ["status", "ce", "artifact_sha256", "steps"]
    rows = [one.table.set_index("trial_id")[same].sort_index() for one in (far, near)]
    assert rows[0].equals(rows[1]) and set(rows[0].status) == {"completed"}
    assert far.table.num_resumes.sum() >= 1
    artifacts = far.out.glob("trials/*/artifact.frost")
    assert {hashlib.sha256(one.read_bytes()).hexdigest() for one in artifacts} == set(rows[0].artifact_sha256)
    assert not list((tmp_path / "cache" / "scratch").glob("*/*/result.json"))


def test_a_worker_that_is_stopped_repeats_no_step(
    cluster: Cluster, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM to the whole worker, as `docker stop`: its trial writes its checkpoint, and goes on on the next one."""
    base = {"data": "tiny", "device": "cpu", "model": {"vocab_size": 512, "num_layers": 1, "dim": 32, "num_heads": 2}}
    train = {"steps": 6_000, "sequence_tokens": 32, "batch_sequences": 4, "checkpoint_every_seconds": 1e6}
    base |= {"train": train, "eval": {"tokens": 512}}
    space = {"recipe": {"choice": ["baseline"]}}
    spec = write_sweep(tmp_path, base=base, space=space, seeds=[1], sentinel="off")
    sweep = Sweep(spec, tmp_path / "run", data_root)
    worker = cluster.join("--cpus", "1")
    cluster.wait_for(2)
    use_cluster(cluster, monkeypatch)
    driver = sweep.start("--address", cluster.address, "--no-canary")
    wait_for(lambda: len(running(sweep)) == 1, driver)
    time.sleep(2)
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait(timeout=60)
    cluster.join("--cpus", "1")
    assert driver.wait(timeout=300) == 0, sweep.log
    row = sweep.table.iloc[0]
    assert (row.status, row.num_resumes, row.steps_repeated) == ("completed", 1, 0), sweep.log
