"""A small process beside an embedded Ray: when the driver is killed, it ends what the driver has left running.

Ray's own agents outlive a driver that was killed by up to a minute, and would hold memory and ports of the next one.
`python -m orchestrator.ray_backend.reaper` is that process. It watches its parent by a pipe, which the kernel closes
however the parent ends. Linux only, as it reads `/proc`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 1.0
ALL_IS_WELL = b"\n"

Process = tuple[int, int]  # id and start time, as ids are used again


@contextmanager
def reaper() -> Iterator[None]:
    """End every process that this one starts from now on, should it be killed."""
    if not Path("/proc/self/stat").exists():
        yield
        return
    command = [sys.executable, "-m", "orchestrator.ray_backend.reaper"]
    # a session of its own, so that Ctrl-C does not reach it
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    try:
        yield
        with suppress(OSError):
            process.stdin.write(ALL_IS_WELL)
    finally:  # after an error or an interrupt it ends what Ray may have left
        with suppress(OSError):
            process.stdin.close()
        process.wait(timeout=30)


def watch(parent: int) -> None:
    """Note the descendants of `parent` until its pipe closes; end them, unless it said that all is well."""
    seen: set[Process] = set()
    while True:
        seen |= descendants(parent)
        ready, _, _ = select.select([sys.stdin], [], [], SECONDS_BETWEEN_LOOKS)
        if ready:
            break
    if os.read(sys.stdin.fileno(), 1) == ALL_IS_WELL:
        return
    me = os.getpid()
    for pid, start in seen:
        if pid != me and start_time(pid) == start:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def descendants(root: int) -> set[Process]:
    """Every process that `root` or one of its descendants has started and that runs now."""
    children: dict[int, list[Process]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (found := _stat(int(entry.name))) is not None:
            parent, start = found
            children.setdefault(parent, []).append((int(entry.name), start))
    seen: set[Process] = set()
    todo = [root]
    while todo:
        new = [process for process in children.get(todo.pop(), []) if process not in seen]
        seen.update(new)
        todo += [pid for pid, _ in new]
    return seen


def start_time(pid: int) -> int | None:
    """When a process was started, in ticks since boot; None if there is no such process."""
    found = _stat(pid)
    return None if found is None else found[1]


def _stat(pid: int) -> tuple[int, int] | None:
    """Parent and start time; None if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # what is before may hold spaces: the process's name
    return int(fields[1]), int(fields[19])


if __name__ == "__main__":
    watch(os.getppid())
