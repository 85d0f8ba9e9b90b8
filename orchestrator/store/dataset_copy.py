"""A worker's copy of a dataset that it does not have: from the hub, an object store or the driver; checked, cached."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.store.file_server import ServedStore
from orchestrator.store.run_store import RunStore, TransferError, download
from results.errors import ResultsError
from results.object_store import is_uri, open_bucket
from trainer.data.dataset import open_dataset
from trainer.errors import Busy, DataError
from trainer.files import remove_stray_temporaries
from trainer.locks import locked

HUB = "hub"
# Another worker of the same node may be fetching the same dataset: FineWeb's 20 GB at 10 MB/s.
SECONDS_TO_WAIT_FOR_A_COPY = 3_600.0
SECONDS_BETWEEN_NOTES = 30.0


class CopyEnded(Exception):
    """The worker was told to end while it copied. What has arrived stays, and the next copy goes on from there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A dataset that a trial needs, and where it may be.

    Args:
        sha256: its fingerprint.
        data_root: the driver's data folder, which this machine may have, too.
        cache: this machine's.
        data_from: where to get it: `hub`, or the URI of a data folder in an object store; None: from the driver.
    """

    name: str
    sha256: str
    data_root: Path
    cache: Path
    data_from: str | None = None

    @property
    def copy(self) -> Path:
        return copy_folder(self.cache, self.sha256)

    def is_in(self, root: Path) -> bool:
        return has_dataset(self.name, self.sha256, root)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watch:
    """Who hears of a copy. Args: `note` gets a line now and then; `is_over` says whether the worker is to end."""

    note: Callable[[str], None]
    is_over: Callable[[], bool] = lambda: False


def local_data_root(wanted: Wanted, store: ServedStore, watch: Watch) -> Path:
    """A data folder of this machine that holds a dataset with this fingerprint.

    It is the driver's where this machine sees that, else a folder of the cache, which is filled if need be. Several
    workers of a machine wait for one copy. A copy that was cut goes on with the files that are missing. Where
    `data_from` has not got it, the driver has.

    Raises:
        DataError: if what came is not the dataset.
        TransferError: if the store does not answer.
        CopyEnded: if the worker is told to end.
    """
    for root in (wanted.data_root, wanted.copy):
        if wanted.is_in(root):
            return root
    with _sole_copier(wanted.copy, watch):
        if not wanted.is_in(wanted.copy):
            _fill(wanted, store, watch)
    return wanted.copy


def copy_folder(cache: Path, sha256: str) -> Path:
    """The data folder below a cache that holds the copy of a dataset with this fingerprint."""
    return cache / "data" / sha256[:16]


def has_dataset(name: str, sha256: str, root: Path) -> bool:
    """Whether a data folder holds the dataset whole and with this fingerprint."""
    try:
        return open_dataset(name, root).sha256 == sha256
    except (DataError, OSError):
        return False


def _fill(wanted: Wanted, store: ServedStore, watch: Watch) -> None:
    files, host = store.dataset_files(wanted.name), platform.node()
    if wanted.data_from is not None:
        try:
            _get_from(wanted, wanted.data_from, files, watch)
        except (TransferError, DataError, ResultsError, FileNotFoundError) as error:
            watch.note(f"{host} gets {wanted.name} from the driver, as {wanted.data_from} failed: {error}")
    if not wanted.is_in(wanted.copy):
        _copy_files(wanted, files, store, "data/", watch)
    if not wanted.is_in(wanted.copy):
        for path in files:
            (wanted.copy / path).unlink(missing_ok=True)
        raise DataError(f"what {host} got of {wanted.name} is not the data of this sweep (SHA-256)")
    watch.note(f"{host} has the data {wanted.name}")


def _get_from(wanted: Wanted, place: str, files: dict[str, int], watch: Watch) -> None:
    """Fetch the dataset from where the user says that it is; refuse what is not the same."""
    if place == HUB:
        from trainer.corpus.download import FetchRequest, fetch

        num_shards = sum("_train_" in path for path in files)
        watch.note(f"{platform.node()} gets the data {wanted.name} from the hub: {num_shards} training shards")
        variant = wanted.name.rpartition("_")[2]
        fetch(FetchRequest(variant=variant, num_train_shards=num_shards), wanted.copy)
    else:
        from orchestrator.store.remote.object_store import ObjectStore

        _copy_files(wanted, files, ObjectStore(open_bucket(place), place), "", watch)
    if not wanted.is_in(wanted.copy):
        for path in files:
            (wanted.copy / path).unlink(missing_ok=True)
        raise DataError("what is there has another SHA-256")


def _copy_files(wanted: Wanted, files: dict[str, int], store: RunStore, prefix: str, watch: Watch) -> None:
    """Copy what is missing, file by file."""
    missing = {path: size for path, size in files.items() if not _is_whole(wanted.copy / path, size)}
    total, done, said = sum(missing.values()), 0, time.monotonic()
    watch.note(f"{platform.node()} gets the data {wanted.name}: {total / 1e6:,.1f} MB")

    def advance(num_bytes: int) -> None:
        nonlocal done, said
        done += num_bytes
        if watch.is_over():
            raise CopyEnded
        if time.monotonic() - said > SECONDS_BETWEEN_NOTES:
            said = time.monotonic()
            watch.note(f"{platform.node()} has {done / total:.0%} of the data {wanted.name}")

    for path in missing:
        remove_stray_temporaries((wanted.copy / path).parent)
        download(store, f"{prefix}{path}", wanted.copy / path, advance)


@contextmanager
def _sole_copier(copy: Path, watch: Watch) -> Iterator[None]:
    deadline = time.monotonic() + SECONDS_TO_WAIT_FOR_A_COPY
    while True:
        try:
            with locked(copy / ".copy.lock", wait_seconds=1.0):
                yield
                return
        except Busy as error:
            if watch.is_over():
                raise CopyEnded from None
            if time.monotonic() > deadline:
                raise TransferError(f"another worker has been copying the data for an hour: {error}") from error


def is_data_source(text: str) -> bool:
    """Whether workers can be told to get data from there."""
    return text == HUB or is_uri(text)


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
