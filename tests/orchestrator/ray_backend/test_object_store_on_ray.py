"""Whole sweeps whose run folder lies in an object store: a real S3 server, real Ray, drivers that die or sleep."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from s3_server import BUCKET, S3Server, s3_server
from sweeps import write_sweep

import results

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
URI = f"s3://{BUCKET}/runs/night"
SAME = ["ce", "artifact_sha256", "steps"]


@dataclasses.dataclass
class Machine:
    """A driver's machine: a folder to work in, and a cache of its own."""

    folder: Path
    spec: Path
    data_root: Path

    steps: int = 1_500  # so that a driver is still at work when it is disturbed

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.log_file = self.folder / "driver.log"
        self.drivers: list[subprocess.Popen[str]] = []

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def start(self, out: str = URI) -> subprocess.Popen[str]:
        """A driver, in a process group of its own."""
        options = [str(self.spec), f"base.train.steps={self.steps}", "--out", out, "--data-root", str(self.data_root)]
        environment = {**os.environ, "FROSTLINE_CACHE": str(self.folder / "cache")}
        with self.log_file.open("a") as log:
            driver = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli", "run", *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        self.drivers.append(driver)
        return driver

    def end(self) -> None:
        for driver in self.drivers:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGCONT)
                os.killpg(driver.pid, signal.SIGKILL)
                driver.wait()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_server() as started:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        for name in started.names("runs/night"):
            started.client().delete_object(Bucket=BUCKET, Key=f"runs/night/{name}")
        yield started


@pytest.fixture
def machine(tmp_path: Path, data_root: Path, server: S3Server) -> Iterator[Callable[[str], Machine]]:
    spec = write_sweep(tmp_path, seeds=[1, 2, 3, 4], train={"checkpoint_every_seconds": 0.3})
    made: list[Machine] = []

    def make(name: str) -> Machine:
        made.append(Machine(tmp_path / name, spec, data_root))
        return made[-1]

    yield make
    for one in made:
        one.end()


def num_ended(server: S3Server) -> int:
    return sum(name.endswith("/result.json") for name in server.names("runs/night"))


def wait_until(condition: Callable[[], bool], driver: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.3)


def table(folders: str | Path) -> pd.DataFrame:
    return results.load(folders).trials.set_index("trial_id").sort_index()


def test_a_killed_driver_is_followed_from_another_machine(
    server: S3Server, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    """`kill -9`; the same command elsewhere goes on with what is in the store. A third driver at once is refused.

    Every row is that of a run in a local folder, to the last digit; results that were there have not changed.
    """
    first, second, third = (machine(name) for name in ("first", "second", "third"))
    driver = first.start()
    wait_until(lambda: num_ended(server) >= 2, driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(1)  # the dead driver's last request
    before = {name: content for name, content in server.files("runs/night").items() if name.endswith("/result.json")}
    driver = second.start()
    wait_until(lambda: "connecting" in second.log, driver)
    refused = third.start()
    assert refused.wait(timeout=100) == 2 and "in use by process" in third.log and "one driver at a time" in third.log
    assert driver.wait(timeout=300) == 0, second.log
    found = table(URI)
    assert set(found.status) == {"completed"} and len(found) == 8
    after = server.files("runs/night")
    assert before.items() <= after.items() and sum(name.endswith("artifact.frost") for name in after) == 8
    local = machine("local")
    assert local.start(str(tmp_path / "run")).wait(timeout=300) == 0
    pd.testing.assert_frame_equal(found[SAME], table(tmp_path / "run")[SAME], check_exact=True)

    command = [sys.executable, "-m", "orchestrator.cli"]
    front = subprocess.run([*command, "pareto", URI], capture_output=True, text=True, check=True)
    assert "all 8 trials are counted" in front.stdout
    subprocess.run([*command, "report", URI], capture_output=True, check=True, cwd=tmp_path)
    assert (tmp_path / "night-report" / "report" / "report.md").exists()


def test_a_driver_that_wakes_up_ends_and_writes_nothing(server: S3Server, machine: Callable[[str], Machine]) -> None:
    """One that was frozen for over a minute, in which another went on: its sweep ends with one line, exit code 3."""
    first, second = machine("first"), machine("second")
    old = first.start()
    wait_until(lambda: num_ended(server) >= 1, old)
    os.killpg(old.pid, signal.SIGSTOP)
    new = second.start()
    assert new.wait(timeout=300) == 0, second.log
    done = server.files("runs/night")
    os.killpg(old.pid, signal.SIGCONT)
    assert old.wait(timeout=120) == 3, first.log
    assert "another driver works on s3://" in first.log and "Traceback" not in first.log
    assert server.files("runs/night") == done
    assert set(table(URI).status) == {"completed"}


def test_a_store_that_is_away_for_a_while_costs_nothing(server: S3Server, machine: Callable[[str], Machine]) -> None:
    """The sweep goes on, says so once, and sends everything when the store is back."""
    only = machine("only")
    only.steps = 4_000
    driver = only.start()
    wait_until(lambda: num_ended(server) >= 1, driver)
    server.answer = ("503 Slow Down", "")
    wait_until(lambda: "the sweep goes on" in only.log, driver)
    time.sleep(5)
    server.answer = None
    assert driver.wait(timeout=300) == 0, only.log
    assert only.log.count("the sweep goes on") == 1
    assert num_ended(server) == 8 and len(table(URI)) == 8
