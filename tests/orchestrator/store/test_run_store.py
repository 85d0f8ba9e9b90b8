"""One contract for every store: what is put is read again, whole; and what a link does to it."""

from __future__ import annotations

import errno
import functools
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from file_link import Clock, FaultyLink
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_server import BUCKET, S3Server

from orchestrator.store.file_server import SECONDS_OF_PATIENCE, FileServer, ServedStore, dataset_files
from orchestrator.store.remote.object_store import ObjectStore
from orchestrator.store.run_store import (
    CHUNK_BYTES,
    LocalStore,
    RunFolderFault,
    RunStore,
    Superseded,
    TransferError,
    download,
)
from results.object_store import open_bucket

Make = Callable[[Path], RunStore]


def server_of(root: Path) -> FileServer:
    return FileServer(root / "run", root / "data", {})


def served(root: Path, *, lost: float = 0.0, attempt: int = 1) -> ServedStore:
    clock = Clock()
    link = FaultyLink(server_of(root), lost)
    return ServedStore(link, attempt, clock, clock.sleep)


def bucket(root: Path) -> ObjectStore:
    """A folder of its own in the one server of this process."""
    os.environ.update(_server().environment)
    uri = f"s3://{BUCKET}/{root.parent.name}/{root.name}"
    return ObjectStore(open_bucket(uri), uri)


@functools.cache
def _server() -> S3Server:
    return S3Server()  # until the process ends


STORES: dict[str, Make] = {
    "object store": bucket,
    "local": lambda root: LocalStore(root / "run", root / "data"),
    "served": served,
    "served over a link that loses four calls in ten": lambda root: served(root, lost=0.4),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return STORES[request.param](tmp_path)


def put(store: RunStore, path: str, content: bytes) -> None:
    store.put(path, io.BytesIO(content))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_what_is_put_is_read_again(store: RunStore, size: int, tmp_path: Path) -> None:
    """At every size around a chunk's, and a second put replaces the first."""
    content = bytes(index * 7 % 251 for index in range(size))
    put(store, "trials/a/checkpoint/state.pt", b"before, and longer than some")
    put(store, "trials/a/checkpoint/state.pt", content)
    download(store, "trials/a/checkpoint/state.pt", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert store.sizes("trials/a") == {"checkpoint/state.pt": size}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["config.yaml", "log.txt", "checkpoint/state.pt"]), st.binary(max_size=99)))
def test_a_folder_lists_what_it_holds(store: RunStore, files: dict[str, bytes]) -> None:
    """Every visible file with its bytes, none of another trial; what was removed is gone."""
    for name in store.sizes("trials/a"):
        store.remove(f"trials/a/{name}")
    put(store, "trials/ab/log.txt", b"of another trial")
    for name, content in files.items():
        put(store, f"trials/a/{name}", content)
    assert store.sizes("trials/a") == {name: len(content) for name, content in files.items()}
    for name in files:
        store.remove(f"trials/a/{name}")
        store.remove(f"trials/a/{name}")
    assert store.sizes("trials/a") == {}


def test_a_folder_goes_with_its_last_file(tmp_path: Path) -> None:
    """A checkpoint that was removed leaves no empty folder; what lies beside it stays."""
    store = LocalStore(tmp_path, tmp_path)
    put(store, "trials/a/log.txt", b"x")
    put(store, "trials/a/checkpoint/state.pt", b"x")
    store.remove("trials/a/checkpoint/state.pt")
    assert [path.name for path in (tmp_path / "trials" / "a").iterdir()] == ["log.txt"]


def test_a_file_that_is_not_there(store: RunStore, tmp_path: Path) -> None:
    """Reading it is an error, and leaves no file; a folder that is not there is empty."""
    assert store.sizes("trials/none") == {}
    with pytest.raises(FileNotFoundError):
        download(store, "trials/none/log.txt", tmp_path / "copies" / "log.txt")
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize("path", ["trials/../sweep.yaml", "/etc/passwd", "data/../x", ""])
def test_a_path_outside_is_refused(store: RunStore, path: str) -> None:
    """Nothing outside of the run folder is read or written."""
    with pytest.raises(ValueError, match="must lie below"):
        store.read(path, 0, 10)
    with pytest.raises(ValueError, match="must lie below"):
        put(store, path, b"x")


@pytest.mark.parametrize("path", ["sweep.yaml", "trials"])
@pytest.mark.parametrize("name", ["local", "served"])
def test_workers_see_trials_and_data_alone(name: str, path: str, tmp_path: Path) -> None:
    """A worker has no business in the run folder itself."""
    with pytest.raises(ValueError, match="below trials/ or data/"):
        put(STORES[name](tmp_path), path, b"x")


def test_workers_do_not_write_data(tmp_path: Path) -> None:
    """The data folder is read only."""
    with pytest.raises(ValueError, match="only files of trials"):
        put(served(tmp_path), "data/datasets/x/x_train_000000.bin", b"x")


def test_an_attempt_that_was_taken_for_dead_writes_no_more(tmp_path: Path) -> None:
    """Once a later attempt has begun, the earlier one can neither begin again nor finish a file."""
    server, clock = server_of(tmp_path), Clock()
    early, late = (ServedStore(FaultyLink(server), attempt, clock, clock.sleep) for attempt in (1, 2))
    early.claim("a")
    put(early, "trials/a/log.txt", b"early")
    server.append("trials/a/result.json", 1, "u1", 0, b"{}")
    late.claim("a")
    with pytest.raises(Superseded):
        server.commit("trials/a/result.json", 1, "u1", zlib.crc32(b"{}"))
    for act in (lambda: put(early, "trials/a/log.txt", b"x"), lambda: early.remove("trials/a/log.txt")):
        with pytest.raises(Superseded):
            act()
    with pytest.raises(Superseded):
        early.claim("a")
    assert late.sizes("trials/a") == {"log.txt": 5}
    put(early, "trials/b/log.txt", b"another trial")


def test_a_file_that_did_not_arrive_whole_is_not_taken(tmp_path: Path) -> None:
    """What was there before stays: with a part missing, damaged, or never begun."""
    server, path = server_of(tmp_path), "trials/a/log.txt"
    put(LocalStore(tmp_path / "run", tmp_path / "data"), path, b"before")
    server.append(path, 1, "u1", 0, b"abc")
    with pytest.raises(TransferError, match="bytes 3 to 5 are missing"):
        server.append(path, 1, "u1", 5, b"f")
    for upload in ("u1", "u2"):
        with pytest.raises(TransferError):
            server.commit(path, 1, upload, zlib.crc32(b"abcdef"))
    assert server.read(path, 0, 99) == b"before"


def test_parts_that_come_late_change_nothing(tmp_path: Path) -> None:
    """A part that was taken for lost, sent again, and comes after later ones, or after the end."""
    server, path = server_of(tmp_path), "trials/a/log.txt"
    server.append(path, 1, "u1", 0, b"abc")
    server.append(path, 1, "u1", 3, b"def")
    server.append(path, 1, "u1", 0, b"abc")
    for _ in range(2):
        server.commit(path, 1, "u1", zlib.crc32(b"abcdef"))
    server.append(path, 1, "u1", 0, b"abc")
    assert [one.name for one in (tmp_path / "run" / "trials" / "a").iterdir()] == ["log.txt"]
    assert server.read(path, 0, 99) == b"abcdef"


def test_a_part_that_arrives_damaged_is_sent_again(tmp_path: Path) -> None:
    """Found by its checksum; the file is right in the end."""
    server, clock = server_of(tmp_path), Clock()
    link, damaged = FaultyLink(server), [True]

    def call(method: str, *arguments: Any) -> Any:
        if method == "append" and damaged.pop() if damaged else False:
            arguments = (*arguments[:-1], b"x" + arguments[-1][1:])
        return link(method, *arguments)

    put(ServedStore(call, 1, clock, clock.sleep), "trials/a/log.txt", b"abcdef")
    assert server.read("trials/a/log.txt", 0, 99) == b"abcdef" and link.calls.count("commit") == 1


def test_a_disk_of_the_run_folder_that_is_full_is_told_from_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a fault of its own class, at once, and no missing file."""
    server = server_of(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space left")))
    with pytest.raises(RunFolderFault, match="no space left"):
        put(ServedStore(FaultyLink(server), 1), "trials/a/log.txt", b"abc")


def test_what_a_dead_attempt_was_sending_is_removed(tmp_path: Path) -> None:
    """When the next one begins."""
    server = server_of(tmp_path)
    server.append("trials/a/checkpoint/state.pt", 1, "12345678", 0, b"half of")
    server.claim("a", 2)
    assert not [one for one in (tmp_path / "run").rglob("*") if one.is_file()]


def test_a_link_that_is_cut_is_tried_again_for_a_while(tmp_path: Path) -> None:
    """A minute loses nothing; a link that stays cut is an error after three."""
    clock, link = Clock(), FaultyLink(server_of(tmp_path))

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        link.is_cut = clock.now < 60

    store, link.is_cut = ServedStore(link, 1, clock, sleep), True
    put(store, "trials/a/log.txt", b"late")
    assert store.sizes("trials/a") == {"log.txt": 4} and 60 <= clock.now < 70
    store, link.is_cut = ServedStore(link, 1, clock, clock.sleep), True
    before = clock.now
    with pytest.raises(TransferError, match="180 s"):
        put(store, "trials/a/log.txt", b"never")
    assert SECONDS_OF_PATIENCE <= clock.now - before < SECONDS_OF_PATIENCE + 10


def test_the_files_of_a_dataset_are_named(tmp_path: Path, data_root: Path) -> None:
    """Shards, tokenizer and manifest with their bytes, below the data folder."""
    files = dataset_files("tiny", data_root)
    assert FileServer(tmp_path, data_root, {"tiny": files}).dataset_files("tiny") == files
    assert all((data_root / path).stat().st_size == size for path, size in files.items())
    assert {"manifest.json", "datasets/tiny/tiny_val_000000.bin"} < files.keys()
    assert any(path.startswith("tokenizers/") for path in files)
