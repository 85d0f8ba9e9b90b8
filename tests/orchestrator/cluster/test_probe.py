"""The probe of a node: what it finds of files, of the way to the driver, and of the driver's data."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from file_link import Clock, FaultyLink

from orchestrator.cluster import data_probe
from orchestrator.cluster.data_probe import data_facts, drivers_data
from orchestrator.cluster.link_probe import bandwidth, clock_facts, link_facts, served
from orchestrator.cluster.machine import cache_disk, gpu_driver, memory, shm_bytes, torch_facts
from orchestrator.cluster.node_facts import DataState, Question
from orchestrator.cluster.probe import probe, probe_folder
from orchestrator.store.dataset_copy import copy_folder
from orchestrator.store.file_server import FileServer
from orchestrator.store.workplace import CACHE_VARIABLE


@pytest.fixture
def data(tmp_path: Path, data_root: Path) -> Path:
    """A data folder of one's own, to spoil."""
    return shutil.copytree(data_root, tmp_path / "data")


def ask(folder: Path, session: str, data_root: Path, **more: Any) -> Question:
    return Question(folder=folder, session=session, data_root=data_root, **more)


def test_a_worker_that_sees_the_run_folder_writes_there(tmp_path: Path, data_root: Path) -> None:
    """It shares it, holds the data, and has measured its way to the driver all the same."""
    wanted, _ = drivers_data(["tiny"], data_root)
    with probe_folder(tmp_path / "runs") as made:
        assert made.path is not None
        link = FaultyLink(FileServer(made.path, data_root, {}))
        facts = probe(ask(made.path, made.session, data_root, data=wanted), link)
    assert facts.store and facts.store.is_shared and not facts.store.error
    assert facts.link and facts.link.bytes_per_second and facts.link.clock
    assert abs(facts.link.clock.skew_seconds) <= facts.link.clock.round_trip_seconds
    assert [one.state for one in facts.data] == [DataState.WHOLE]
    assert facts.torch and facts.torch.device and not facts.torch.error
    assert not (tmp_path / "runs").exists(), "nothing of the probe is left"


def test_a_worker_that_does_not_see_it_writes_through_the_driver(
    tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data will be copied; what it has written it has also removed."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    wanted, _ = drivers_data(["tiny"], data_root)
    with probe_folder(tmp_path) as made:
        assert made.path is not None
        link = FaultyLink(FileServer(made.path, data_root, {}))
        facts = probe(ask(tmp_path / "none", made.session, tmp_path / "none", data=wanted), link)
        assert not [path for path in made.path.rglob("*") if path.is_file() and path.name != ".session"]
    assert facts.store and not facts.store.is_shared and not facts.store.error
    assert [(one.state, one.bytes_to_copy > 0) for one in facts.data] == [(DataState.ABSENT, True)]


def test_a_driver_that_does_not_answer_is_said_at_once(tmp_path: Path, data_root: Path) -> None:
    """A link that is cut gives a reason, and no measurement."""
    link = FaultyLink(FileServer(tmp_path, data_root, {}))
    link.is_cut = True
    facts = probe(ask(tmp_path / "none", "session", data_root), link)
    assert facts.link and "lost" in facts.link.error and facts.link.bytes_per_second is None
    link.is_cut = False
    (tmp_path / "trials").write_text("a file in the way")
    assert "run folder cannot be written" in link_facts(link, has_folder=True).error


def test_a_node_without_trials_is_asked_for_little(tmp_path: Path, data_root: Path) -> None:
    """A head tries no device, no files of the run and no data, but its way to the driver."""
    wanted, _ = drivers_data(["tiny"], data_root)
    link = FaultyLink(FileServer(tmp_path, data_root, {}))
    facts = probe(ask(tmp_path, "session", data_root, data=wanted, runs_trials=False), link)
    assert (facts.torch, facts.store, facts.data) == (None, None, ()) and facts.link and facts.link.clock


@pytest.mark.parametrize("skew", [-7.0, 0.0, 90.0])
def test_the_clock_is_read_at_half_of_the_quickest_round_trip(skew: float) -> None:
    """A skew is found whatever the way takes, also if single calls take long."""
    clock, delays = Clock(), iter([3.0, 0.5, 0.1, 0.2, 4.0])

    def call(method: str) -> float:
        delay = next(delays)
        clock.sleep(delay / 2)
        theirs = clock() - skew
        clock.sleep(delay / 2)
        return theirs

    found = clock_facts(call, clock)
    assert found.skew_seconds == pytest.approx(skew) and found.round_trip_seconds == pytest.approx(0.1)


@pytest.mark.parametrize(("rate", "num_sent"), [(50e6, 4), (20e3, 1)])
def test_bandwidth_counts_both_ways_and_a_slow_link_is_sent_little(tmp_path: Path, rate: float, num_sent: int) -> None:
    """By a link of a known rate; after a part that took long there is no larger one."""
    clock, link = Clock(), FaultyLink(FileServer(tmp_path, tmp_path, {}))

    def call(method: str, *arguments: Any) -> Any:
        answer = link(method, *arguments)
        sizes = [len(one) for one in (*arguments, answer) if isinstance(one, bytes)]
        clock.sleep(sum(sizes) / rate)
        return answer

    assert bandwidth(served(call), clock) == pytest.approx(rate)
    assert link.calls.count("commit") == num_sent


def truncate(root: Path) -> None:
    shard = next((root / "datasets" / "tiny").glob("*train*.bin"))
    shard.write_bytes(shard.read_bytes()[:-100])


def change_one_byte(root: Path) -> None:
    shard = next((root / "datasets" / "tiny").glob("*train*.bin"))
    content = bytearray(shard.read_bytes())
    content[-2] ^= 1
    shard.write_bytes(content)


def replace_all(root: Path) -> None:
    change_one_byte(root)
    (root / "manifest.json").unlink()


CHANGES: dict[str, tuple[Callable[[Path], object], DataState]] = {
    "nothing": (lambda root: None, DataState.WHOLE),
    "truncated": (truncate, DataState.DAMAGED),
    "one byte": (change_one_byte, DataState.DAMAGED),
    "others of the same name": (replace_all, DataState.OTHER),
    "removed": (shutil.rmtree, DataState.ABSENT),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_node_has_of_the_data(change: str, data: Path, data_root: Path, tmp_path: Path) -> None:
    """Whole, damaged, another or absent; a damaged one says what is wrong."""
    spoil, state = CHANGES[change]
    wanted, _ = drivers_data(["tiny"], data_root)
    spoil(data)
    found = data_facts("tiny", wanted["tiny"], data, tmp_path / "cache")
    assert found.state is state and bool(found.problem) == (state is DataState.DAMAGED)


def test_a_copy_in_the_cache_is_not_copied_again(data_root: Path, tmp_path: Path) -> None:
    """A node without the data that has a copy of the driver's needs nothing."""
    wanted, _ = drivers_data(["tiny"], data_root)
    shutil.copytree(data_root, copy_folder(tmp_path, wanted["tiny"].sha256))
    found = data_facts("tiny", wanted["tiny"], tmp_path / "none", tmp_path)
    assert found.state is DataState.CACHED and found.bytes_to_copy == 0


def test_large_data_that_nobody_has_read_are_told_by_their_sizes(
    data: Path, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check before the start reads no hundred gigabytes."""
    monkeypatch.setattr(data_probe, "MAX_BYTES_TO_READ", 1_000)
    wanted, _ = drivers_data(["tiny"], data_root)
    assert data_facts("tiny", wanted["tiny"], data, tmp_path).state is DataState.WHOLE, "read before"
    (data / "datasets" / "tiny" / ".checked.json").unlink()
    assert data_facts("tiny", wanted["tiny"], data, tmp_path).state is DataState.UNREAD
    truncate(data)
    assert data_facts("tiny", wanted["tiny"], data, tmp_path).state is DataState.OTHER


def test_the_drivers_own_data_are_opened_with_every_check(data: Path) -> None:
    """Those that are whole are wanted of the nodes; of the others it is said what is wrong."""
    change_one_byte(data)
    wanted, facts = drivers_data(["tiny", "tinny"], data)
    assert wanted == {} and [one.state for one in facts] == [DataState.DAMAGED, DataState.MISSING]
    assert "SHA-256" in facts[0].problem and "did you mean tiny?" in facts[1].problem


def test_a_containers_limit_counts_as_its_memory(tmp_path: Path) -> None:
    """What the kernel holds as a cache of files is free."""
    (tmp_path / "meminfo").write_text("MemAvailable:   20000000 kB\n")
    for name, text in {"max": "1000000", "current": "700000", "stat": "anon 1\ninactive_file 200000\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    found = memory(tmp_path / "meminfo", tmp_path)
    assert (found.total_bytes, found.free_bytes) == (1_000_000, 500_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(tmp_path / "meminfo", tmp_path).total_bytes > 1_000_000


def test_what_a_machine_does_not_have_is_none(tmp_path: Path) -> None:
    """No shared memory, no GPU driver, a cache that is yet to be made, or cannot be."""
    assert shm_bytes(tmp_path / "none") is None and gpu_driver(tmp_path / "none") == ""
    made, file = cache_disk(tmp_path / "a" / "b"), tmp_path / "file"
    assert made.free_bytes > 0 and not made.error and not (tmp_path / "a").exists()
    file.write_text("")
    assert "cannot be written" in cache_disk(file / "cache").error


@pytest.mark.parametrize(
    "line", ["NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu", "Kernel Module for x86_64  580.1"]
)
def test_the_version_of_the_gpu_driver_is_read(tmp_path: Path, line: str) -> None:
    """Of the closed modules and of the open ones."""
    (tmp_path / "version").write_text(f"NVRM version: {line}\n")
    assert gpu_driver(tmp_path / "version") in ("570.86.15", "580.1")


def test_gpus_that_are_in_use_are_not_counted() -> None:
    """They are hidden from the probe, which must not call them missing."""
    assert torch_facts(None).num_cuda is None
