"""Bytes per second through the driver, and what many workers that checkpoint at once cost the driver.

    python benchmarks/file_server.py                       # 217 MB, the checkpoint of a 12L 384d model under AdamW
    python benchmarks/file_server.py --megabytes 20 --workers 4 --seconds 20

A Ray of its own on this machine. One worker sends a file and reads it again; the peer is an actor of Ray that gets the
same parts in the same calls and drops them: what Ray's calls alone take. Then all workers send checkpoints as trials
do, each at most a tenth of its time, and the processor time of file server and driver is read from /proc.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from orchestrator.ray_backend.environment import prepare_ray_environment
from orchestrator.ray_backend.file_server import server_call, start_file_server
from orchestrator.store.file_server import ServedStore
from orchestrator.store.run_store import CHUNK_BYTES, download
from orchestrator.store.trial_sync import SHARE_OF_CHECKPOINTS

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Dropping:
    """The peer: takes parts and drops them, gives parts of zeros."""

    def append(self, chunk: bytes) -> int:
        return len(chunk)

    def read(self, num_bytes: int) -> bytes:
        return bytes(num_bytes)

    def pid(self) -> int:
        return os.getpid()


def send(handle: Any, trial_id: str, num_bytes: int) -> float:
    """Seconds that sending a checkpoint takes."""
    store = ServedStore(server_call(handle), 1)
    content = os.urandom(num_bytes)
    began = time.perf_counter()
    store.put(f"trials/{trial_id}/checkpoint/state.pt", io.BytesIO(content))
    return time.perf_counter() - began


def fetch(handle: Any, trial_id: str) -> float:
    """Seconds that fetching it takes."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        download(ServedStore(server_call(handle), 1), f"trials/{trial_id}/checkpoint/state.pt", Path(folder) / "state")
    return time.perf_counter() - began


def send_to_peer(handle: Any, num_bytes: int) -> float:
    content = os.urandom(num_bytes)
    began = time.perf_counter()
    for offset in range(0, num_bytes, CHUNK_BYTES):
        ray.get(handle.append.remote(content[offset : offset + CHUNK_BYTES]))
    return time.perf_counter() - began


def fetch_from_peer(handle: Any, num_bytes: int) -> float:
    began = time.perf_counter()
    for _ in range(0, num_bytes, CHUNK_BYTES):
        ray.get(handle.read.remote(CHUNK_BYTES))
    return time.perf_counter() - began


def checkpointing(handle: Any, trial_id: str, num_bytes: int, seconds: float) -> int:
    """Bytes sent by a trial that checkpoints all the time, as often as it may."""
    deadline, sent = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        took = send(handle, trial_id, num_bytes)
        sent += num_bytes
        time.sleep(took * (1 / SHARE_OF_CHECKPOINTS - 1))
    return sent


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def server_pid() -> int:
    """The process of the file server: a worker of Ray is named for the actor in it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if b"FileServer" in path.read_bytes():
            return int(path.parent.name)
    raise RuntimeError("the file server's process is not found")


def remote(function: Callable[..., float], *arguments: Any) -> float:
    """What a function returns that runs in a worker."""
    result: float = ray.get(ray.remote(num_cpus=1)(function).remote(*arguments))
    return result


def one_worker(handle: Any, num_bytes: int) -> None:
    peer = ray.remote(num_cpus=0)(Dropping).remote()
    for number in range(3):
        sent, fetched = remote(send, handle, "one", num_bytes), remote(fetch, handle, "one")
        peer_sent, peer_fetched = remote(send_to_peer, peer, num_bytes), remote(fetch_from_peer, peer, num_bytes)
        print(
            f"{number + 1}: sent {num_bytes / sent / 1e6:6.0f} MB/s ({peer_sent / sent:.2f} of Ray's calls alone), "
            f"fetched {num_bytes / fetched / 1e6:6.0f} MB/s ({peer_fetched / fetched:.2f})"
        )


def many_workers(handle: Any, num_workers: int, num_bytes: int, seconds: float) -> None:
    task, server, driver = ray.remote(num_cpus=1)(checkpointing), server_pid(), os.getpid()
    before, began = (cpu_seconds(server), cpu_seconds(driver)), time.monotonic()
    sent = sum(ray.get([task.remote(handle, f"trial{i}", num_bytes, seconds) for i in range(num_workers)]))
    took = time.monotonic() - began
    after = cpu_seconds(server), cpu_seconds(driver)
    of_server, of_driver = [(late - early) / took for late, early in zip(after, before, strict=True)]
    print(
        f"{num_workers} workers that checkpoint {num_bytes / 1e6:.0f} MB for {took:.0f} s: {sent / took / 1e6:.0f} "
        f"MB/s in all; of one core the file server took {of_server:.0%}, the driver {of_driver:.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=217)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    num_bytes = int(options.megabytes * 1e6)
    prepare_ray_environment(is_embedded=True)
    ray.init(address="local", num_cpus=options.workers, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        handle = start_file_server(Path(folder), Path(folder), ())
        one_worker(handle, num_bytes)
        many_workers(handle, options.workers, num_bytes, options.seconds)
    ray.shutdown()


if __name__ == "__main__":
    main()
