"""Tells the trials of a node to end at their checkpoints. Linux only, as it reads `/proc`."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from orchestrator.ray_backend.reaper import descendants, start_time

# What Ray names the processes that run Ray Tune's trials; a test on a real cluster notices a change.
PREFIX, PART = b"ray::", b"Trainable"


def tell_trials_to_end(ray_pid: int) -> int:
    """SIGTERM to each process of a trial below that of Ray's node; how many there were.

    Ray itself lets them run on while a node is drained, and then kills them.
    """
    num_trials = 0
    for pid, started in descendants(ray_pid) if Path("/proc/self/stat").exists() else ():
        with suppress(OSError):
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
            if title.startswith(PREFIX) and PART in title and start_time(pid) == started:
                os.kill(pid, signal.SIGTERM)
                num_trials += 1
    return num_trials
