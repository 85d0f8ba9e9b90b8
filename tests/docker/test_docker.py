"""The image and a cluster of containers, as users run them: no shared disk, no card, real trials, and their faults.

`make docker-test` runs it. It needs a Docker engine, but no container registry.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from engine import IMAGE, ROOT, Cluster, docker, has_engine, sweep, wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not has_engine(), reason="NO DOCKER ENGINE ANSWERS: the image and the cluster were not tested"),
]
BIN = Path(sys.executable).parent
MOST_GB = 1.9

SWEEP = sweep("docker", seeds=2, steps=2_000)


def run_in_image(*command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    arguments = ["docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp:exec,mode=1777", *options, IMAGE, *command]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_files_are_sound() -> None:
    """By hadolint and by Compose's own schema; every variant of the compose files can be read."""
    subprocess.run([BIN / "hadolint", ROOT / "docker" / "Dockerfile"], check=True)
    files = sorted((ROOT / "docker").glob("compose*.yaml"))
    subprocess.run([BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files], check=True)
    assert len(files) == 3


def test_the_image_is_small_and_says_what_it_is(size_gb: float) -> None:
    """Below 1.9 GB, no root, labels with version and commit."""
    assert size_gb < MOST_GB
    config = json.loads(docker("image", "inspect", IMAGE))[0]["Config"]
    assert config["User"] == "10001:10001"
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] and len(labels["org.opencontainers.image.revision"]) >= 40


def test_no_secret_is_left_in_the_image(size_gb: float) -> None:
    """Neither certificates nor pip's settings of the build, in no layer's files, in no variable, in no command."""
    environment = " ".join(json.loads(docker("image", "inspect", IMAGE))[0]["Config"]["Env"])
    assert not any(word in environment for word in ("PIP_", "CERT", "TOKEN", "SECRET"))
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE)
    assert "BEGIN CERTIFICATE" not in history and "@" not in history.replace("$@", "")
    names = "-path '/run/secrets/*' -o -name pip.conf -o -name .netrc -o -path '/home/*token*' -o -path '/root/*.pem'"
    found = run_in_image("-c", f"find / -xdev -type f \\( {names} \\)", options=("--user", "0", "--entrypoint", "sh"))
    assert found.stdout.strip() == "", found.stdout


def test_a_compiled_trial_runs_in_a_container(cluster: Cluster) -> None:
    """torch.compile finds its compiler and headers."""
    config = {**SWEEP["base"], "recipe": "baseline", "train": {"steps": 3, "sequence_tokens": 64, "batch_sequences": 4}}
    config["train"]["compile"] = True  # type: ignore[index]
    (cluster.folder / "sweeps" / "compiled.yaml").write_text(yaml.safe_dump(config))
    arguments = ["/sweeps/compiled.yaml", "--out", "/runs/compiled", "--data-root", "/data"]
    cluster.driver("frostline", "train", *arguments)
    result = json.loads(cluster.driver("cat", "/runs/compiled/result.json"))
    assert (result["status"], result["compiled"]) == ("completed", True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-e", "RAY_AUTH_TOKEN_PATH=/none"), "there is no token file /none"),
        (("-e", "RAY_AUTH_TOKEN_PATH=/etc/shadow"), "cannot be read by user 10001"),
        (("--shm-size", "64m"), "/dev/shm has 64 MB, and Ray's object store takes 128"),
        (("--tmpfs", "/cache:size=10m", "--shm-size", "256m"), "/cache has 10 MB free"),
        (("-e", "FROSTLINE_ACCELERATOR=cu130", "--shm-size", "256m"), "there is none in the container"),
    ],
)
def test_what_cannot_work_is_said_at_once(size_gb: float, options: tuple[str, ...], said: str) -> None:
    """One line that names the value and what to do."""
    done = run_in_image("frostline", "cluster", "join", "head", options=options)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_sweep_survives_what_happens_to_containers(cluster: Cluster, tmp_path: Path) -> None:
    """One worker killed, one frozen, one stopped, one that joins late: every trial completes, with the numbers of a run
    on this machine alone, to the last digit.
    """
    log = tmp_path / "driver.log"
    assert {node["kind"] for node in cluster.status()} == {None, "H100", "A40"}
    driver = cluster.start_sweep(SWEEP, log=log)

    def num_files(name: str) -> int:
        return cluster.num_files("docker", name)

    def ended_more_than(number: int) -> bool:
        assert driver.poll() is None, log.read_text()
        return num_files("result.json") > number

    wait_until(lambda: num_files("checkpoint/state.pt") >= 2)
    docker("kill", cluster.container("worker-a40-1"))
    cluster.compose("--profile", "late", "up", "--detach", "--no-recreate", "--no-deps", "late-worker")
    wait_until(lambda: ended_more_than(2))
    docker("pause", cluster.container("worker-h100"))
    frozen = cluster.host("worker-h100")
    wait_until(lambda: frozen not in {node["host"] for node in cluster.status()})
    docker("unpause", cluster.container("worker-h100"))
    docker("start", cluster.container("worker-a40-1"))
    before = num_files("result.json")
    wait_until(lambda: ended_more_than(before))
    docker("stop", "--time", "30", cluster.container("worker-a40-2"))
    assert driver.wait(timeout=300) == 0, log.read_text()
    print(log.read_text())
    cluster.fetch("/data", tmp_path / "data")
    far = cluster.rows("docker", tmp_path)
    print(far[["accelerator", "host", "num_resumes", "steps_repeated"]])
    assert set(far.status) == {"completed"} and len(far) == 12 and far.num_resumes.sum() >= 2

    command = [BIN / "frostline", "run", cluster.folder / "sweeps" / "docker.yaml", "--out", tmp_path / "near"]
    subprocess.run([*command, "--data-root", tmp_path / "data"], check=True, capture_output=True)
    near = pd.read_parquet(tmp_path / "near" / "tables" / "trials").set_index("trial_id").sort_index()
    same = ["ce", "artifact_sha256", "steps"]
    pd.testing.assert_frame_equal(far[same], near[same], check_exact=True)
