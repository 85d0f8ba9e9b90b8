"""Whole sweeps driven by the command line, as a user does, and what tests do to them meanwhile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd


class Sweep:
    """One sweep file and its run folder, driven as a user does."""

    def __init__(self, spec: Path, out: Path, data_root: Path) -> None:
        self.spec, self.out, self.data_root = spec, out, data_root
        self.log_file = out.parent / "driver.log"
        options = [str(spec), "--out", str(out), "--data-root", str(data_root)]
        self.command = [sys.executable, "-m", "orchestrator.cli", "run", *options]

    def start(self, *options: str) -> subprocess.Popen[str]:
        with self.log_file.open("a") as log:
            # a group of its own, so that a signal sent to it is not sent to the tests
            return subprocess.Popen(
                [*self.command, *options], stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )

    def finish(self, *options: str) -> int:
        return self.start(*options).wait(timeout=240)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.out / "tables" / "trials")

    def results(self) -> dict[str, str]:
        return {path.parent.name: path.read_text() for path in self.out.glob("trials/*/result.json")}

    def steps_done(self) -> int:
        """Steps of all trials so far, by their progress files."""
        files = list(self.out.glob("trials/*/progress.json"))
        return sum(json.loads(path.read_text())["step"] for path in files)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the driver ended with {process.returncode} before it was to be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(sweep: Sweep) -> dict[str, int]:
    """Trials that are training, with the process of each."""
    found = {}
    for path in sweep.out.glob("trials/*/progress.json"):
        pid = re.findall(r"process (\d+) of", (path.parent / "log.txt").read_text())
        if pid and json.loads(path.read_text())["step"] > 0 and not (path.parent / "result.json").exists():
            found[path.parent.name] = int(pid[-1])
    return found


def assert_all_end(pids: set[int], seconds: float) -> None:
    """Each of these processes ends within some seconds; one that only waits to be reaped has ended."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_text() for pid in left]
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
