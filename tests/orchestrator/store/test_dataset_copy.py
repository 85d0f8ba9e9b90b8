"""A worker gets the data that it lacks: from where it is told, else from the driver; whole, checked, once a machine."""

from __future__ import annotations

import dataclasses
import io
import shutil
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_link import FaultyLink
from fineweb_repo import NAME, fineweb_files
from hub_server import serving
from s3_server import BUCKET, S3Server, error_body, s3_server

from orchestrator.store import dataset_copy
from orchestrator.store.dataset_copy import HUB, CopyEnded, Wanted, Watch, is_data_source, local_data_root
from orchestrator.store.file_server import FileServer, ServedStore, dataset_files
from orchestrator.store.remote.object_store import ObjectStore
from results import object_store
from results.object_store import open_bucket
from trainer.corpus import download
from trainer.corpus.download import REPOS, FetchRequest, fetch
from trainer.data.dataset import open_dataset
from trainer.errors import DataError

FIRST = "datasets/tiny/tiny_train_000000.bin"


class Worker:
    """A machine without the data, whose driver has them."""

    def __init__(self, tmp_path: Path, root: Path, name: str = "tiny", data_from: str | None = None) -> None:
        server = FileServer(tmp_path / "run", root, {name: dataset_files(name, root)})
        self.link, self.notes = FaultyLink(server), list[str]()
        self.wanted = Wanted(
            name=name,
            sha256=open_dataset(name, root).sha256,
            data_root=tmp_path / "no",
            cache=tmp_path / "cache",
            data_from=data_from,
        )

    def get(self, is_over: Callable[[], bool] = lambda: False) -> Path:
        return local_data_root(self.wanted, ServedStore(self.link, 1), Watch(note=self.notes.append, is_over=is_over))

    @property
    def num_reads(self) -> int:
        """Parts that came from the driver."""
        return self.link.calls.count("read")


@pytest.fixture
def worker(tmp_path: Path, data_root: Path) -> Callable[..., Worker]:
    return lambda **options: Worker(tmp_path, data_root, **options)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setattr(object_store, "SECONDS_OF_RETRIES", 0)
    with s3_server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.fixture
def bucket(server: S3Server, data_root: Path) -> str:
    """A data folder in an object store."""
    uri = f"s3://{BUCKET}/data"
    for path in dataset_files("tiny", data_root):
        ObjectStore(open_bucket(uri), uri).put(path, io.BytesIO((data_root / path).read_bytes()))
    return uri


def test_a_copy_that_was_cut_goes_on(worker: Callable[..., Worker], data_root: Path) -> None:
    """Only the files that are missing are fetched; what is damaged by then is refused and gone."""
    one = worker()
    copy = one.wanted.copy
    (copy / FIRST).parent.mkdir(parents=True)
    shutil.copy(data_root / FIRST, copy / FIRST)
    inode = (copy / FIRST).stat().st_ino
    assert one.get() == copy and (copy / FIRST).stat().st_ino == inode and len(one.notes) == 2
    assert "MB" in one.notes[0] and one.get() == copy and len(one.notes) == 2
    shutil.rmtree(copy)
    (copy / FIRST).parent.mkdir(parents=True)
    (copy / FIRST).write_bytes(bytes((data_root / FIRST).stat().st_size))
    with pytest.raises(DataError, match="not the data of this sweep"):
        one.get()
    assert not (copy / FIRST).exists()
    assert one.get() == copy


def test_the_workers_own_data_come_first(worker: Callable[..., Worker], data_root: Path) -> None:
    """A machine that has the data under the driver's path copies nothing."""
    one = worker()
    one.wanted = dataclasses.replace(one.wanted, data_root=data_root)
    assert one.get() == data_root and one.link.calls == []


def test_data_come_from_an_object_store(worker: Callable[..., Worker], bucket: str) -> None:
    """The driver is asked for their names alone."""
    one = worker(data_from=bucket)
    assert one.wanted.is_in(one.get()) and one.num_reads == 0


@pytest.mark.parametrize("fault", ["no bucket", "no files", "other files", "refused", "broken"])
def test_the_driver_has_what_the_store_has_not(
    worker: Callable[..., Worker], server: S3Server, bucket: str, data_root: Path, fault: str
) -> None:
    """One line says why; the data are those of the sweep all the same."""
    one = worker(data_from={"no bucket": "s3://other-bucket/data", "no files": f"{bucket}/none"}.get(fault, bucket))
    if fault == "other files":
        content = bytes((data_root / FIRST).stat().st_size)
        ObjectStore(open_bucket(bucket), bucket).put(FIRST, io.BytesIO(content))
    elif fault in ("refused", "broken"):
        status = "403 Forbidden" if fault == "refused" else "500 Internal Server Error"
        server.answer = (status, error_body("AccessDenied" if fault == "refused" else "InternalError"))
    assert one.wanted.is_in(one.get()) and one.num_reads > 0
    (line,) = [note for note in one.notes if "from the driver, as" in note]
    assert len(line.splitlines()) == 1


def test_data_come_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many training shards as the driver has; the driver is asked for their names alone."""
    (tmp_path / "repo").mkdir()
    with serving(REPOS["sp1024"], fineweb_files(tmp_path / "repo")) as hub:
        monkeypatch.setattr(download, "constants", types.SimpleNamespace(ENDPOINT=hub.url))
        fetch(FetchRequest(variant="sp1024", num_train_shards=2), tmp_path / "data")
        one = Worker(tmp_path, tmp_path / "data", NAME, data_from=HUB)
        assert one.wanted.is_in(one.get()) and one.num_reads == 0
    assert "2 training shards" in one.notes[0]


def test_a_worker_that_is_told_to_end_copies_no_further(worker: Callable[..., Worker]) -> None:
    """After the part that is under way; the next copy goes on with the files that came."""
    one = worker()
    with pytest.raises(CopyEnded):
        one.get(is_over=lambda: one.num_reads >= 3)
    num_reads = one.num_reads
    assert num_reads <= 4 and not one.wanted.is_in(one.wanted.copy)
    assert one.wanted.is_in(one.get())


def test_several_workers_of_a_machine_copy_once(worker: Callable[..., Worker]) -> None:
    """The others wait for the copy; one that is told to end while it waits ends."""
    many = [worker() for _ in range(4)]
    threads = [threading.Thread(target=one.get) for one in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.num_reads > 0 for one in many) == 1
    assert all(one.wanted.is_in(one.wanted.copy) for one in many)


def test_progress_is_said_now_and_then(worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """In per cent, never backwards, beside the first and the last line."""
    monkeypatch.setattr(dataset_copy, "SECONDS_BETWEEN_NOTES", 0.0)
    one = worker()
    one.get()
    shares = [int(note.split(" has ")[1].split(" %")[0].split("%")[0]) for note in one.notes[1:-1]]
    assert shares and shares == sorted(shares) and shares[-1] == 100


@pytest.mark.parametrize(("place", "is_one"), [("hub", True), ("s3://bucket/data", True), ("data", False), ("", False)])
def test_where_data_can_come_from(place: str, is_one: bool) -> None:
    """A local folder of the driver is none: workers do not see it."""
    assert is_data_source(place) == is_one
