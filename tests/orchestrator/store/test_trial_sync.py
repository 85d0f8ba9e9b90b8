"""A scratch folder and the run's folder of the trial: equal at the end, in an order that is safe at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pytest
from file_link import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.store.run_store import LocalStore, TransferError
from orchestrator.store.trial_folder import TrialFolder
from orchestrator.store.trial_sync import PASSING, SHARE_OF_CHECKPOINTS, TrialSync

NAMES = ["config.yaml", "log.txt", "progress.json", "checkpoint/state.pt", "artifact.frost", "curve.parquet"]
NAMES += ["result.json", "state.json", "result.failed.json"]
FILES = st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=20))


class Recorded(LocalStore):
    """Notes what is put; may fail at the n-th put, or take its time."""

    def __init__(self, root: Path, clock: Clock | None = None, seconds_per_put: float = 0.0) -> None:
        super().__init__(root / "run", root / "data")
        self.puts, self.fails_at, self.clock, self.seconds = list[str](), -1, clock, seconds_per_put

    def put(self, path: str, source: BinaryIO) -> None:
        if len(self.puts) == self.fails_at:
            raise TransferError("cut")
        if self.clock is not None:
            self.clock.sleep(self.seconds)
        super().put(path, source)
        self.puts.append(path.rpartition("/")[2])


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def held(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def sync_of(tmp_path: Path, store: Recorded, **more: Any) -> TrialSync:
    return TrialSync(store, TrialFolder(tmp_path / "scratch" / "a"), **more)


@settings(max_examples=60)
@given(before=FILES, after=FILES)
def test_at_the_end_all_that_is_left_is_there(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    """Whatever an earlier attempt had left, and whatever this one leaves; an artifact is not fetched. With an outcome,
    checkpoint and state go as the trial has removed them; without one nothing does, whatever became of the scratch.
    """
    root = tmp_path_factory.mktemp("sync")
    store = Recorded(root)
    write(root / "run" / "trials" / "a", before)
    sync = sync_of(root, store)
    sync.fetch()
    there = sync.files.root
    assert held(there) == {name: content for name, content in before.items() if name != "artifact.frost"}
    for path in list(there.rglob("*")):
        if path.is_file():
            path.unlink()
    write(there, after)
    sync.send_changes()
    sync.finish()
    has_outcome = bool({"result.json", "state.json"} & after.keys())
    gone = {name for name in before if has_outcome and name in PASSING and name not in after}
    expected = {**{name: content for name, content in before.items() if name not in gone}, **after}
    assert held(root / "run" / "trials" / "a") == expected


def test_the_outcome_is_sent_last(tmp_path: Path) -> None:
    """A link that is cut at any moment leaves no result without its artifact."""
    names = {"artifact.frost": b"model", "curve.parquet": b"curve", "log.txt": b"log", "result.json": b"{}"}
    for fails_at in range(len(names)):
        root = tmp_path / str(fails_at)
        store, there = Recorded(root), root / "run" / "trials" / "a"
        sync = sync_of(root, store)
        write(sync.files.root, names)
        store.fails_at = fails_at
        with pytest.raises(TransferError):
            sync.finish()
        assert not (there / "result.json").exists()
        store.fails_at = -1
        sync.finish()
        assert store.puts[-1] == "result.json" and held(there) == names


def test_an_unchanged_file_is_not_sent_again(tmp_path: Path) -> None:
    """Nor one that was fetched."""
    store = Recorded(tmp_path)
    write(tmp_path / "run" / "trials" / "a", {"config.yaml": b"c", "checkpoint/state.pt": b"s"})
    sync = sync_of(tmp_path, store)
    sync.fetch()
    write(sync.files.root, {"progress.json": b"{}"})
    for _ in range(3):
        sync.send_changes()
    sync.finish()
    assert store.puts == ["progress.json"]


def test_checkpoints_take_a_share_of_the_time(tmp_path: Path) -> None:
    """With a slow link, and one checkpoint a second: sending takes at most a tenth, and the last one is sent."""
    clock = Clock()
    store = Recorded(tmp_path, clock, seconds_per_put=5.0)
    sync = sync_of(tmp_path, store, clock=clock)
    seconds = 0.0
    for number in range(600):
        write(sync.files.root, {"checkpoint/state.pt": b"%d" % number})
        before = clock.now
        sync.send_changes()
        seconds += clock.now - before
        clock.sleep(1.0)
    assert 0.07 * clock.now < seconds <= SHARE_OF_CHECKPOINTS * clock.now + 5.0  # the first one waits for none
    sync.finish()
    assert held(tmp_path / "run" / "trials" / "a") == {"checkpoint/state.pt": b"599"}


def test_a_store_that_does_not_answer_ends_no_trial(tmp_path: Path) -> None:
    """On the way it is no error, and what was not sent is sent later."""
    store = Recorded(tmp_path)
    sync = sync_of(tmp_path, store)
    write(sync.files.root, {"progress.json": b"{}"})
    store.fails_at = 0
    sync.send_changes()
    assert store.puts == []
    store.fails_at = -1
    sync.send_changes()
    assert store.puts == ["progress.json"]
