"""`frostline doctor` on a real cluster: healthy, and with five faults made on purpose."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driven_sweep import Sweep
from own_cluster import Cluster, can_hide_folders, command, descendants, use_cluster
from sweeps import write_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not can_hide_folders(), reason="this process may not mount: no faults can be made"),
]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    made = Cluster(tmp_path)
    try:
        made.wait_for(1)
        yield made
    finally:
        made.end()


@pytest.fixture
def far(tmp_path: Path, data_root: Path) -> Path:
    """A folder with data and runs that only the driver sees."""
    shutil.copytree(data_root, tmp_path / "far" / "data")
    return tmp_path / "far"


def doctor(cluster: Cluster, far: Path, *options: str) -> subprocess.CompletedProcess[str]:
    where = ["--address", cluster.address, "--token-file", str(cluster.token)]
    files = ["--data-root", str(far / "data"), "--out", str(far / "runs")]
    return subprocess.run(command("doctor", *where, *files, *options), capture_output=True, text=True, check=False)


def nodes_of(cluster: Cluster, far: Path) -> list[dict[str, Any]]:
    done = doctor(cluster, far, "--json")
    assert done.returncode in (0, 1), done.stderr
    return list(json.loads(done.stdout)["nodes"])


def faults_of(node: dict[str, Any]) -> str:
    return "\n".join(node["faults"])


def pretended_version(tmp_path: Path) -> dict[str, str]:
    """An environment in which frostline says to be of another version."""
    metadata = tmp_path / "other" / "frostline-9.9.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: frostline\nVersion: 9.9.9\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path / "other"), os.environ.get("PYTHONPATH", "")])}


def test_a_healthy_cluster(cluster: Cluster, far: Path) -> None:
    """A head, a worker that shares all and one that shares nothing: no faults, and the way of each is said."""
    cluster.join("--cpus", "1")
    cluster.wait_for(2)
    cluster.join("--cpus", "1", mount=f"mount -t tmpfs none {far}")
    cluster.wait_for(3)
    done = doctor(cluster, far)
    assert done.returncode == 0 and "healthy: 4 nodes, no faults" in done.stdout, done.stdout + done.stderr
    driver, head, *workers = nodes_of(cluster, far)
    assert (driver["name"], head["is_head"], head["kind"]) == ("driver", True, None)
    found = {one["facts"]["store"]["is_shared"]: one["facts"] for one in workers}
    assert found[True]["data"][0]["state"] == "yes" and found[False]["data"][0]["state"] == "will be copied"
    assert all(one["facts"]["link"]["bytes_per_second"] > 0 for one in workers)
    assert sorted(path.name for path in far.iterdir()) == ["data"], "nothing of the probes is left"
    cluster.token.write_text("0" * 64)
    refused = doctor(cluster, far)
    assert refused.returncode == 2 and "refuses the token" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1, refused.stderr


def test_five_faults_made_on_purpose(
    cluster: Cluster, far: Path, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version, small /dev/shm, damaged data, a full disk, a frozen node: each is named, and no sweep starts."""
    monkeypatch.chdir(tmp_path)  # a checkout's own metadata would go before what the worker has
    damaged = shutil.copytree(data_root, tmp_path / "damaged")
    shard = next((damaged / "datasets" / "tiny").glob("*train*.bin"))
    shard.write_bytes(shard.read_bytes()[:-100])
    (tmp_path / "full").mkdir()
    mounts = (
        "mount -t tmpfs -o size=64m none /dev/shm",
        f"mount --bind {damaged} {far / 'data'} && mount -t tmpfs -o size=8m none {tmp_path / 'full'}",
    )
    cluster.join("--cpus", "1", mount=mounts[0], environment=pretended_version(tmp_path))
    cluster.wait_for(2)
    hidden = f"{mounts[1]} && mkdir -p {far / 'runs'} && mount -t tmpfs none {far / 'runs'}"
    cluster.join("--cpus", "1", mount=hidden, environment={"FROSTLINE_CACHE": str(tmp_path / "full")})
    cluster.wait_for(3)
    healthy = cluster.join("--cpus", "1")
    cluster.wait_for(4)

    nodes = nodes_of(cluster, far)
    sick = [faults_of(node) for node in nodes if node["faults"]]
    assert len(nodes) == 5 and len(sick) == 2, nodes
    version, data = sorted(sick, key=lambda text: "damaged" in text)
    assert "has frostline 9.9.9 (the driver has " in version
    assert "/dev/shm has 64 MB, and Ray's object store takes 128" in version and version.count("\n") == 1
    assert "the data tiny are damaged" in data and "is truncated" in data
    assert f"the cache {tmp_path / 'full'} has 8 MB free" in data and data.count("\n") == 1

    use_cluster(cluster, monkeypatch)
    base = {"data": "tiny", "device": "cpu", "model": {"vocab_size": 512, "num_layers": 1, "dim": 32, "num_heads": 2}}
    sweep = Sweep(write_sweep(tmp_path, base=base), far / "runs" / "night", far / "data")
    assert sweep.finish("--address", cluster.address) == 2
    assert "the cluster is not ready:" in sweep.log
    assert all(text in sweep.log for text in ("9.9.9", "/dev/shm has 64 MB", "is truncated", "has 8 MB free"))
    assert not list(sweep.out.glob("trials/*/result.json")) and not list(sweep.out.glob(".probe*"))

    frozen = [healthy.pid, *descendants(healthy.pid)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        nodes = nodes_of(cluster, far)
        done = [node for node in nodes if not node["reached"]]
        assert len(nodes) == 5 and len(done) == 1 and "does not answer within 60 s" in faults_of(done[0])
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
