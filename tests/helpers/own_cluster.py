"""A cluster of one's own on this machine, started by `frostline cluster` as a user does."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.address import own_address

# Of several test runs on one machine, most have ports of their own, and so has each cluster of a run: what is left of
# the last one may still hold some. All are below those that the kernel gives out.
BLOCKS = itertools.count(os.getpid())


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator.cli", *arguments]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Cluster:
    """A head on this machine, and workers that join it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.nodes = folder, free_port(), list[subprocess.Popen[bytes]]()
        self.first_port = 21_000 + 2_000 * (next(BLOCKS) % 5)
        self.token = folder / "token"
        self.token.write_text(subprocess.run(command("cluster", "token"), capture_output=True, text=True).stdout)
        self.nodes.append(self.start_head())

    def start_head(self, *, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """The head, or another one in its place."""
        arguments = ("--port", str(self.port), "--first-port", str(self.first_port), "--drain-seconds", "5")
        return self._start("head", *arguments, before=before)

    @property
    def address(self) -> str:
        return f"{own_address()}:{self.port}"

    def join(
        self, *options: str, mount: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker; `mount` are shell commands that change what it sees of the file system."""
        ports = str(self.first_port + 300 * len(self.nodes))
        before = ("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "-") if mount else ()
        arguments = ("join", self.address, "--first-port", ports, "--drain-seconds", "5", *options)
        self.nodes.append(self._start(*arguments, before=before, environment=environment))
        return self.nodes[-1]

    def _start(
        self, verb: str, *options: str, before: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        arguments = [*before, *command("cluster", verb, *options, "--token-file", str(self.token))]
        settings = {**os.environ, **(environment or {})}
        with (self.folder / f"{verb}{len(self.nodes)}.log").open("wb") as log:
            return subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True, env=settings)

    def status(self) -> list[dict[str, Any]]:
        arguments = command("cluster", "status", self.address, "--token-file", str(self.token), "--json")
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        return [] if done.returncode else list(json.loads(done.stdout))

    def wait_for(self, number: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 120
        while len(found := self.status()) != number:
            assert time.monotonic() < deadline, [path.read_text() for path in self.folder.glob("*.log")]
            time.sleep(0.5)
        return found

    def end(self) -> None:
        for node in reversed(self.nodes):
            if node.poll() is None:
                node.send_signal(signal.SIGTERM)
                node.wait(timeout=60)


def use_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let drivers find the token, and forget what these tests have set for a Ray of their own."""
    for name in ("RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(cluster.token))


def descendants(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    children = [int(one) for one in done.stdout.split()]
    return children + [one for child in children for one in descendants(child)]


def can_hide_folders() -> bool:
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
