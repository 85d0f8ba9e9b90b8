"""What users meet: memory that runs out, a full disk, a network that is cut, a head that is started again.

Each with real containers. No trial is lost, and the sweep says in one line what happened.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from engine import Cluster, docker, has_engine, sweep, wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not has_engine(), reason="NO DOCKER ENGINE ANSWERS: faults of a cluster were not tested"),
]

SHOWN = ["status", "error", "accelerator", "host", "num_resumes", "steps_repeated"]
SECONDS_OF_THE_CUT = 8  # a node without a network is dead after 12 s, see compose.test.yaml
MACHINE_FAULT = 3  # the exit code
# A batch of this size needs 1.5 GB, and the small worker has 1.2.
SMALL_AND_LARGE = {"train.batch_sequences": {"choice": [8, 8_192]}}
FOUR = {"optimizer.learning_rate": {"choice": [0.003, 0.01, 0.02, 0.03]}}
ONE = {"optimizer.learning_rate": {"choice": [0.003]}}


@contextmanager
def worker(cluster: Cluster, name: str) -> Iterator[str]:
    """One more worker, with a fault; its container."""
    cluster.compose("up", "--detach", "--wait", "--no-deps", name)
    try:
        yield cluster.container(name)
    finally:
        cluster.compose("rm", "--stop", "--force", name)


def restarts(container: str) -> int:
    return int(docker("inspect", "--format", "{{.RestartCount}}", container))


def test_memory_that_runs_out_is_a_row_and_costs_no_other_trial(cluster: Cluster, tmp_path: Path) -> None:
    """Beyond its container's limit a trial is `out_of_memory` after three tries; the worker goes on with others."""
    log, on_small = tmp_path / "driver.log", {"accelerator": "T4", "cpus": 1}
    with worker(cluster, "small-worker") as container:
        spec = sweep("memory", seeds=1, steps=100, resources=on_small, space=SMALL_AND_LARGE)
        code = cluster.start_sweep(spec, log=log).wait(timeout=240)
        print(log.read_text())
        assert (code, restarts(container)) == (1, 0), log.read_text()
    rows = cluster.rows("memory", tmp_path)
    rows = rows.loc[rows.status.astype(str).sort_values().index]  # a categorical sorts by what came first
    print(rows[SHOWN].to_string())
    assert list(rows.status) == ["completed", "out_of_memory"]
    assert rows.error.iloc[1].startswith("out of memory: ") and "the worker died 3 times" in rows.error.iloc[1]
    assert "Traceback" not in log.read_text() and "raylet" not in log.read_text()


def test_a_full_disk_costs_its_worker_and_no_trial(cluster: Cluster, tmp_path: Path) -> None:
    """In the middle of a trial: it is named in one line and gets no more trials; all complete elsewhere."""
    log = tmp_path / "driver.log"
    with worker(cluster, "full-worker") as container:
        host = cluster.host("full-worker")
        driver = cluster.start_sweep(sweep("disk", seeds=1, steps=8_000, space=FOUR), log=log)
        wait_until(lambda: cluster.num_files("disk", "checkpoint/state.pt") == 4)  # one on each worker
        docker("exec", container, "sh", "-c", "cat /dev/zero > /cache/fill || true")
        assert driver.wait(timeout=240) == 0, log.read_text()
        print(log.read_text())
    rows = cluster.rows("disk", tmp_path)
    print(rows[SHOWN].to_string())
    assert set(rows.status) == {"completed"} and len(rows) == 4 and host not in set(rows.host)
    assert log.read_text().count("at fault on") == 1 and f"scratch at fault on {host}: " in log.read_text()


def test_a_network_that_is_cut_repeats_no_step(cluster: Cluster, tmp_path: Path) -> None:
    """For less than the limit of the health checks: the trial goes on meanwhile, and its files arrive afterwards."""
    log, container = tmp_path / "driver.log", cluster.container("worker-h100")
    spec = sweep("network", seeds=1, steps=8_000, resources={"accelerator": "H100", "cpus": 1}, space=ONE)
    driver = cluster.start_sweep(spec, log=log)
    wait_until(lambda: cluster.num_files("network", "checkpoint/state.pt"))
    with cluster.cut_off(container):
        time.sleep(SECONDS_OF_THE_CUT)
    assert driver.wait(timeout=240) == 0, log.read_text()
    print(log.read_text())
    rows = cluster.rows("network", tmp_path)
    print(rows[SHOWN].to_string())
    assert list(rows.status) == ["completed"] and list(rows.num_resumes) == [0] and list(rows.steps_repeated) == [0]


def test_a_head_that_is_started_again_ends_the_sweep_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    """Exit code 3; workers and driver join the new head by themselves, and the same command goes on with the rest."""
    log = tmp_path / "driver.log"
    spec = sweep("head", seeds=1, steps=3_000)
    driver = cluster.start_sweep(spec, log=log)
    wait_until(lambda: cluster.num_files("head", "result.json"))
    docker("restart", "--time", "1", cluster.container("head"))
    assert driver.wait(timeout=60) == MACHINE_FAULT, log.read_text()
    lines = [line for line in log.read_text().splitlines() if "error" in line.lower()]
    assert len(lines) == 1 and "was started again" in lines[0] and "the same command goes on" in lines[0], (
        log.read_text()
    )
    done = cluster.num_files("head", "result.json")
    before = cluster.driver("sh", "-c", "cat /runs/head/trials/*/result.json")
    wait_until(lambda: len(cluster.status(check=False)) == 5)  # head, driver, three workers
    again = tmp_path / "again.log"
    assert cluster.start_sweep(spec, log=again).wait(timeout=240) == 0, again.read_text()
    print(log.read_text(), again.read_text(), sep="\n")
    rows = cluster.rows("head", tmp_path)
    print(rows[SHOWN].to_string(), done)
    assert set(rows.status) == {"completed"} and len(rows) == 6
    results = cluster.driver("sh", "-c", "cat /runs/head/trials/*/result.json")
    assert all(line in results for line in before.splitlines())  # what had finished stays as it was
