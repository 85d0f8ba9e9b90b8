"""A worker's copy of a dataset that it does not have: fetched through the store, checked, and cached."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.store.file_server import ServedStore
from orchestrator.store.run_store import TransferError, download
from trainer.data.dataset import open_dataset
from trainer.errors import Busy, DataError
from trainer.files import remove_stray_temporaries
from trainer.locks import locked

# Another worker of the same node may be fetching the same dataset: FineWeb's 20 GB at 10 MB/s.
SECONDS_TO_WAIT_FOR_A_COPY = 3_600.0


def local_data_root(
    name: str, sha256: str, *, data_root: Path, cache: Path, store: ServedStore, note: Callable[[str], None]
) -> Path:
    """A data folder of this machine that holds the dataset with this fingerprint.

    It is `data_root` where that has it, else a folder of the cache, which is filled if need be. Several workers of a
    machine wait for one copy. A copy that was cut goes on with the files that are missing.

    Args:
        note: gets a line when a copy begins and when it has ended.

    Raises:
        DataError: if what came is not the dataset.
        TransferError: if the store does not answer.
    """
    if has_dataset(name, sha256, data_root):
        return data_root
    copy = cache / "data" / sha256[:16]
    if has_dataset(name, sha256, copy):
        return copy
    with _sole_copier(copy):
        if has_dataset(name, sha256, copy):
            return copy
        files = store.dataset_files(name)
        missing = {path: size for path, size in files.items() if not _is_whole(copy / path, size)}
        note(f"{platform.node()} gets the data {name}: {sum(missing.values()) / 1e6:,.1f} MB")
        for path in missing:
            remove_stray_temporaries((copy / path).parent)
            download(store, f"data/{path}", copy / path)
        if not has_dataset(name, sha256, copy):
            for path in files:
                (copy / path).unlink(missing_ok=True)
            raise DataError(f"what {platform.node()} got of {name} is not the data of this sweep (SHA-256)")
        note(f"{platform.node()} has the data {name}")
    return copy


def has_dataset(name: str, sha256: str, root: Path) -> bool:
    """Whether a data folder holds the dataset whole and with this fingerprint."""
    try:
        return open_dataset(name, root).sha256 == sha256
    except (DataError, OSError):
        return False


@contextmanager
def _sole_copier(copy: Path) -> Iterator[None]:
    try:
        with locked(copy / ".copy.lock", wait_seconds=SECONDS_TO_WAIT_FOR_A_COPY):
            yield
    except Busy as error:
        raise TransferError(f"another worker has been copying the data for an hour: {error}") from error


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
