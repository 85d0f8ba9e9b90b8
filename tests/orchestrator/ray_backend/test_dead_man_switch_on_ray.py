"""Machines that end themselves on a real cluster, by a command that writes a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from driven_sweep import Sweep, running, wait_for
from own_cluster import Cluster, can_hide_folders, descendants, use_cluster
from sweeps import write_sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LOST_MINUTES = "0.6"
# Ray starts no head on a machine where it sees a worker of that head: this one sees no processes but its own.
ALONE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        made.wait_for(1)
        use_cluster(made, monkeypatch)
        yield made
    finally:
        made.end()


@pytest.fixture
def make_sweep(tmp_path: Path, data_root: Path) -> Callable[..., Sweep]:
    return lambda **changes: Sweep(write_sweep(tmp_path, seeds=1, **changes), tmp_path / "run", data_root)


def stops_into(file: Path) -> list[str]:
    line = f"sh -c 'echo $FROSTLINE_STOP_REASON >> {file}'"
    return ["--cpus", "1", "--stop-command", line, "--lost-minutes", LOST_MINUTES, "--usd-per-hour", "0.44"]


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To a node with all its processes, as to a machine. Some end by themselves once their parent is gone."""
    for pid in [process.pid, *descendants(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def log_of(cluster: Cluster, number: int) -> str:
    return (cluster.folder / f"join{number}.log").read_text()


def test_it_ends_itself_when_the_sweep_is_over(
    cluster: Cluster, make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    """Status and driver say so before; the command runs once, after Ray has ended, and a second sweep is waited for."""
    worker = cluster.join(*stops_into(tmp_path / "why"))
    _, node = cluster.wait_for(2)
    assert node["stops_itself"] == {"command": "sh", "lost_minutes": 0.6, "max_hours": None}
    sweep = make_sweep()
    assert sweep.finish("--address", cluster.address, "--no-canary") == 0, sweep.log
    assert "end by themselves (0.44 USD/hour until then)" in sweep.log and "each runs sh when the sweep" in sweep.log
    assert (
        make_sweep(name="next").finish("--address", cluster.address, "--no-canary", "--out", str(tmp_path / "next"))
        == 0
    ), sweep.log
    assert worker.poll() is None
    assert worker.wait(timeout=180) == 0, log_of(cluster, 1)
    assert (tmp_path / "why").read_text() == "sweep_over\n", log_of(cluster, 1)
    assert "the sweep is over, and no other began within 36 s: this machine ends itself by: sh -c" in log_of(cluster, 1)
    cluster.wait_for(1)


@pytest.mark.skipif(not can_hide_folders(), reason="this process may not make namespaces: no head beside its workers")
def test_a_short_break_does_not_end_it_and_a_lost_head_does(cluster: Cluster, tmp_path: Path) -> None:
    """Frozen for a while; killed and started again, which it joins by itself; killed for good."""
    head, worker = cluster.nodes[0], cluster.join(*stops_into(tmp_path / "why"))
    [before] = [node["node_id"] for node in cluster.wait_for(2) if not node["is_head"]]
    send(head, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(timeout=20)
    send(head, signal.SIGCONT)
    cluster.wait_for(2)
    send(head, signal.SIGKILL)
    head.wait()
    cluster.nodes[0] = cluster.start_head(before=ALONE)
    [after] = [node["node_id"] for node in cluster.wait_for(2) if not node["is_head"]]
    assert after != before and worker.poll() is None, log_of(cluster, 1)
    assert not (tmp_path / "why").exists() and "joining again" in log_of(cluster, 1)
    send(cluster.nodes[0], signal.SIGKILL)
    assert worker.wait(timeout=180) == 0, log_of(cluster, 1)
    assert (tmp_path / "why").read_text() == "head_lost\n"


def test_it_leaves_after_its_longest_life_and_its_trial_waits_for_another_node(
    cluster: Cluster, make_sweep: Callable[..., Sweep]
) -> None:
    """Without a command Ray ends there. The trial that ran has left its checkpoint and state; no death is counted."""
    cluster.join("--cpus", "1")
    stays = {node["node_id"] for node in cluster.wait_for(2)}
    leaves = cluster.join("--cpus", "1", "--max-hours", "0.025")
    [leaving] = {node["node_id"] for node in cluster.wait_for(3)} - stays
    sweep = make_sweep(train={"steps": 200_000, "checkpoint_every_seconds": 1e6})
    driver = sweep.start("--address", cluster.address, "--no-canary")
    wait_for(lambda: len(running(sweep)) == 2, driver)
    [folder] = [one.parent for one in sweep.out.glob("trials/*/placement.json") if leaving in one.read_text()]
    assert leaves.wait(timeout=240) == 0, log_of(cluster, 2)
    assert "0.025 h are over: this node has left the cluster; the machine stays" in log_of(cluster, 2)
    wait_for((folder / "state.json").exists, driver)
    state = json.loads((folder / "state.json").read_text())
    assert (state["status"], state["steps"] > 0) == ("interrupted", True)
    assert (folder / "checkpoint" / "state.pt").exists() and "worker died" not in sweep.log
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=120) == 130, sweep.log


def test_a_killed_driver_is_missed_and_a_user_who_ends_a_node_runs_nothing(
    cluster: Cluster, make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    """Two workers with the same command, one of them told to end."""
    killed = cluster.join(*stops_into(tmp_path / "killed"))
    cluster.wait_for(2)  # one after the other: Ray gives a node little time to start
    told = cluster.join(*stops_into(tmp_path / "told"))
    cluster.wait_for(3)
    sweep = make_sweep(train={"steps": 200_000, "checkpoint_every_seconds": 1})
    driver = sweep.start("--address", cluster.address, "--no-canary")
    wait_for(lambda: len(running(sweep)) == 2, driver)
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(timeout=20)  # the workers have heard the driver more than once
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    told.terminate()
    assert told.wait(timeout=60) != 0
    assert killed.wait(timeout=180) == 0, log_of(cluster, 1)
    assert (tmp_path / "killed").read_text() == "driver_lost\n" and not (tmp_path / "told").exists()
