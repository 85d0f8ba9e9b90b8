"""The connection to Ray for one sweep, interrupt handlers, and the session's facts."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from orchestrator.errors import UsageError
from orchestrator.ray_backend.nodes.node_health import require_right_token
from orchestrator.scheduling.placement import Pool
from orchestrator.store.run_folder import RunFolder
from trainer.result import utc_now
from trainer.versions import version_of

SECONDS_TO_CONNECT = 5.0
OBJECT_STORE_BYTES = 100 * 2**20  # trials pass nothing through it
PACKAGES = ("frostline", "torch", "ray", "numpy", "pyarrow", "sentencepiece")


@contextlib.contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Connect to the cluster at `address`, or start Ray on this machine; disconnect or stop it at the end.

    A Ray that this process has already joined (a notebook, a test) is used as it is.

    Raises:
        UsageError: if no cluster answers at `address`.
    """
    if ray.is_initialized():
        yield
        return
    _require_answer(address)
    # what Ray says of workers that died, in lines of a thousand characters, over the display: that says it itself
    ray._private.worker.print_to_stdstream = _say_nothing
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            # not one that happens to run on this machine: its nodes and its token are not this sweep's
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ray.exceptions.RayError, RuntimeError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address or 'this machine'}: {str(error).strip().splitlines()[0]}\n"
            "  Is its head running, and is its token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH (ray get-auth-token)?"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _say_nothing(data: dict[str, Any], ignore_prefix: bool) -> None:
    """In place of Ray's own function, which prints."""


def _require_answer(address: str | None) -> None:
    """Open a connection to HOST:PORT first: Ray itself takes minutes to notice that nothing answers, or refuses."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise UsageError(
            f"nothing answers at {address} ({error}): is the head of the cluster running, and the port right?"
        ) from error
    if not (address or "").startswith("ray://"):
        require_right_token(f"{host}:{port}")


@contextlib.contextmanager
def clean_tune_folder(folder: RunFolder) -> Iterator[None]:
    """Remove Ray Tune's own folder before and after, and stop requests that nobody took after."""
    shutil.rmtree(folder.tune_folder, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(folder.tune_folder, ignore_errors=True)
        folder.requests.clear()


@contextlib.contextmanager
def timed_session(folder: RunFolder) -> Iterator[None]:
    """Note how long the session took, and what of it was the driver's own work."""
    wall, cpu = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        folder.close_session({"wall_seconds": time.monotonic() - wall, "driver_cpu_seconds": time.process_time() - cpu})


def session_facts(pool: Pool, address: str | None) -> dict[str, Any]:
    """What this driver runs on, for `environment.json`: versions, commit, nodes."""
    return {
        "started_at": utc_now(),
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "commit": _commit(),
        "address": address,
        "driver": platform.node(),
        "nodes": [dataclasses.asdict(node) for node in pool.nodes if not node.spare],
    }


def _commit() -> str | None:
    """The commit this code was checked out at, with `-dirty` if it was changed since; None if installed otherwise."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
