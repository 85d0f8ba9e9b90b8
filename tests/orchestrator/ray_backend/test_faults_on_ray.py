"""Sweeps on a real Ray while machines fail: disks, data, Ray itself. No trial is failed, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from driven_sweep import Sweep, assert_all_end, running, wait_for
from sweeps import write_sweep

from orchestrator.ray_backend.reaper import descendants

pytestmark = pytest.mark.slow


@pytest.fixture
def make_sweep(tmp_path: Path, data_root: Path) -> Callable[..., Sweep]:
    return lambda **changes: Sweep(write_sweep(tmp_path, **changes), tmp_path / "run", data_root)


def test_one_trial_is_stopped_and_goes_on_only_when_asked(make_sweep: Callable[..., Sweep]) -> None:
    """`frostline stop RUN TRIAL`: its state, curve and checkpoint stay, the rest goes on; later no step is repeated."""
    sweep = make_sweep(train={"steps": 4_000, "checkpoint_every_seconds": 1e6}, seeds=[1])
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    stopped, other = running(sweep)
    command = [sys.executable, "-m", "orchestrator.cli", "stop", str(sweep.out), stopped, "--reason", "too slow"]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "") and stopped in answer.stdout
    assert driver.wait(timeout=120) == 0
    rows = sweep.table.set_index("trial_id")
    assert rows.status.to_dict() == {stopped: "stopped_early", other: "completed"}
    assert rows.error[stopped] == "too slow" and 0 < rows.steps[stopped] < 4_000 and pd.isna(rows.ce[stopped])
    folder = sweep.out / "trials" / stopped
    assert (folder / "checkpoint" / "state.pt").exists() and (folder / "curve.parquet").exists()
    assert sweep.finish() == 0 and "nothing to do" in sweep.log.splitlines()[-1]
    assert sweep.finish("--continue-stopped") == 0
    row = sweep.table.set_index("trial_id").loc[stopped]
    assert (row.status, row.steps, row.steps_repeated, row.num_resumes) == ("completed", 4_000, 0, 1)
    assert not (folder / "state.json").exists()
    assert subprocess.run(command, capture_output=True, text=True).returncode == 2


def test_a_worker_that_gets_sigterm_repeats_no_step(make_sweep: Callable[..., Sweep]) -> None:
    """As containers are stopped: its trial writes its checkpoint first, and goes on from there; no death is counted."""
    sweep = make_sweep(train={"steps": 2_000, "checkpoint_every_seconds": 1e6}, seeds=[1])
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    trial_id, pid = next(iter(running(sweep).items()))
    os.kill(pid, signal.SIGTERM)
    assert driver.wait(timeout=120) == 0
    row = sweep.table.set_index("trial_id").loc[trial_id]
    assert (row.status, row.num_resumes, row.steps_repeated) == ("completed", 1, 0)
    assert "after a worker died" not in sweep.log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_fails_no_trial(make_sweep: Callable[..., Sweep], small_disk: Path) -> None:
    """One line, exit code 3, no traceback, no row; with room again the same command completes everything."""
    sweep = make_sweep(
        train={"steps": 300, "checkpoint_every_seconds": 0.5}, model={"dim": 128, "num_layers": 2}, seeds=[1]
    )
    sweep = Sweep(sweep.spec, small_disk / "run", sweep.data_root)
    sweep.log_file = small_disk.parent / "driver.log"
    assert sweep.finish() == 3, sweep.log
    assert "No space left on device" in sweep.log and "Traceback" not in sweep.log
    assert not any('"failed"' in text for text in sweep.results().values())
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    assert sweep.finish() == 0, sweep.log
    assert set(sweep.table.status) == {"completed"} and len(sweep.table) == 2


def test_a_disk_that_becomes_read_only_fails_no_trial(make_sweep: Callable[..., Sweep], small_disk: Path) -> None:
    """As a full one: nothing finished is lost and nothing is failed."""
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    sweep = make_sweep(train={"steps": 1_200}, seeds=[1])
    sweep = Sweep(sweep.spec, small_disk / "run", sweep.data_root)
    sweep.log_file = small_disk.parent / "driver.log"
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    # a second mount of the same disk above it: the first cannot become read-only while files are open
    subprocess.run(["mount", "--bind", str(small_disk), str(small_disk)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(small_disk)], check=True)
    assert driver.wait(timeout=120) == 3, sweep.log
    assert "Read-only file system" in sweep.log and "Traceback" not in sweep.log
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    assert sweep.finish() == 0, sweep.log
    assert set(sweep.table.status) == {"completed"} and len(sweep.table) == 2


def test_a_run_folder_that_vanishes_ends_the_sweep(make_sweep: Callable[..., Sweep]) -> None:
    """It is said within seconds, with exit code 3."""
    sweep = make_sweep(train={"steps": 5_000}, seeds=[1])
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    sweep.out.rename(sweep.out.with_name("elsewhere"))
    assert driver.wait(timeout=60) == 3, sweep.log
    assert "the run folder has vanished" in sweep.log and "Traceback" not in sweep.log


def test_data_that_are_damaged_in_mid_run_fail_no_trial(
    make_sweep: Callable[..., Sweep], data_root: Path, tmp_path: Path
) -> None:
    """The sweep stops and names the file; once it is mended, the same command completes everything."""
    root = tmp_path / "data"
    shutil.copytree(data_root, root)
    sweep = make_sweep(train={"steps": 800, "checkpoint_every_seconds": 0.2}, seeds=[1, 2])
    sweep = Sweep(sweep.spec, sweep.out, root)
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    path = next(root.glob("tokenizers/*.model"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert driver.wait(timeout=120) == 3, sweep.log
    assert path.name in sweep.log and "Traceback" not in sweep.log
    assert not any('"failed"' in text for text in sweep.results().values())
    path.write_bytes(whole)
    assert sweep.finish() == 0, sweep.log
    assert set(sweep.table.status) == {"completed"} and len(sweep.table) == 4


def test_a_shard_that_is_cut_under_its_readers_fails_no_trial(
    make_sweep: Callable[..., Sweep], data_root: Path, tmp_path: Path
) -> None:
    """Workers die of SIGBUS; the driver looks at the data and says what it is."""
    root = tmp_path / "data"
    shutil.copytree(data_root, root)
    sweep = make_sweep(train={"steps": 2_000}, seeds=[1])
    sweep = Sweep(sweep.spec, sweep.out, root)
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    path = next(root.glob("datasets/tiny/*train*.bin"))
    whole = path.read_bytes()
    os.truncate(path, 2_000)
    assert driver.wait(timeout=120) == 3, sweep.log
    assert path.name in sweep.log and "Traceback" not in sweep.log and sweep.results() == {}
    path.write_bytes(whole)
    assert sweep.finish() == 0, sweep.log


def test_a_frozen_worker_is_ended_and_its_trial_goes_on(make_sweep: Callable[..., Sweep]) -> None:
    """SIGSTOP, as by a disk that does not answer: the driver ends the process and sends its trial out again."""
    sweep = make_sweep(train={"steps": 600}, seeds=[1])
    patch = "import sys, orchestrator.ray_backend.searcher as s; s.SECONDS_OF_SILENCE = 10.0"
    sweep.command[1:3] = ["-c", f"{patch}; from orchestrator.cli.main import main; main()"]
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    trial_id, pid = next(iter(running(sweep).items()))
    os.kill(pid, signal.SIGSTOP)
    assert driver.wait(timeout=120) == 0, sweep.log
    assert f"{trial_id} hung: no sign of life for 1" in sweep.log
    row = sweep.table.set_index("trial_id").loc[trial_id]
    assert (row.status, row.num_resumes) == ("completed", 1)


def test_a_killed_gcs_ends_the_sweep_in_seconds(make_sweep: Callable[..., Sweep]) -> None:
    """Exit code 3 and one line within 15 s, no process left; the same command goes on."""
    sweep = make_sweep(train={"steps": 1_200}, seeds=[1])
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    processes = {pid for pid, _ in descendants(driver.pid)}
    [gcs] = [pid for pid in processes if Path(f"/proc/{pid}/comm").read_text().strip() == "gcs_server"]
    os.kill(gcs, signal.SIGKILL)
    assert driver.wait(timeout=15) == 3
    assert "has not answered for" in sweep.log and "Traceback" not in sweep.log and "Failed to connect" not in sweep.log
    assert_all_end(processes, seconds=5)
    assert sweep.finish() == 0, sweep.log


def test_a_killed_driver_leaves_no_process(make_sweep: Callable[..., Sweep]) -> None:
    """While it runs it listens on loopback alone; within 10 s of SIGKILL nothing of its Ray is left, and the next start
    sweeps up stray temporary files.
    """
    sweep = make_sweep(train={"steps": 1_200}, seeds=[1])
    driver = sweep.start()
    wait_for(lambda: len(running(sweep)) == 2, driver)
    processes = {pid for pid, _ in descendants(driver.pid)}
    assert len(processes) > 5 and listens_on_loopback_alone({driver.pid, *processes})
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert_all_end(processes, seconds=10)
    stray = [
        sweep.out / ".sweep.yaml.abcdefgh.tmp",
        *(path / ".state.pt.abcdefgh.tmp" for path in sweep.out.glob("trials/*/checkpoint")),
    ]
    for path in stray:
        path.touch()
    assert sweep.finish() == 0, sweep.log
    assert not any(path.exists() for path in stray)


def listens_on_loopback_alone(processes: set[int]) -> bool:
    """Whether some of these processes listen, and none on an address that the network reaches."""
    inodes = set()
    for link in [link for pid in processes for link in Path(f"/proc/{pid}/fd").glob("*")]:
        with suppress(FileNotFoundError):  # closed meanwhile
            inodes.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    text = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listening = [line.split() for line in text.splitlines() if " 0A " in line]
    addresses = {fields[1].partition(":")[0] for fields in listening if fields[9] in inodes}
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    return bool(addresses) and addresses <= loopback
