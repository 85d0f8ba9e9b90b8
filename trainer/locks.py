"""File locks between processes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from trainer.errors import Busy


def sole_owner(folder: Path, *, wait_seconds: float = 0.0) -> AbstractContextManager[None]:
    """Lock `folder` for this process, see `locked`."""
    return locked(folder / ".lock", wait_seconds=wait_seconds)


@contextmanager
def locked(path: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Lock the file `path`; the kernel releases it however the process ends.

    Raises:
        Busy: if another process still has the lock after `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise Busy(f"{path.parent} is in use by {file.read().strip() or 'another process'}") from None
                time.sleep(0.05)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}")
        file.flush()
        yield
