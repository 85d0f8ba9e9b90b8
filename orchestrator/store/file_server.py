"""The store through the driver: a server beside the driver gives and takes files in chunks, and its client.

For workers that do not see the run folder. Ray carries the calls; nothing here knows that.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.store.run_store import CHUNK_BYTES, LocalStore, RunFolderFault, Superseded, TransferError
from trainer.data.dataset import open_dataset
from trainer.data.manifest import MANIFEST
from trainer.files import remove_stray_temporaries

# How long a client tries to reach a server that does not answer: a network that is cut for a minute loses nothing.
SECONDS_OF_PATIENCE = 180.0
SECONDS_BETWEEN_TRIES = 2.0
NUM_TRIES = 3  # of a file that arrives damaged
MAX_REMEMBERED = 10_000  # uploads that have ended: a part of one that comes later begins no file


class FileServer:
    """Files of the trials of one run, and of its data. Every call may come twice, late, or in another order.

    A trial's files are those of its newest attempt: one that was taken for dead and comes back may write no more.

    Args:
        datasets: by name, the files of each with their bytes, see `dataset_files`.
    """

    def __init__(self, run_folder: Path, data_root: Path, datasets: Mapping[str, Mapping[str, int]]) -> None:
        self.local, self.datasets = LocalStore(run_folder, data_root), datasets
        self._newest, self._lock = dict[str, int](), threading.Lock()
        self._committed: deque[str] = deque(maxlen=MAX_REMEMBERED)

    def claim(self, trial_id: str, attempt: int) -> None:
        """Begin an attempt: from now on earlier ones are refused. Raises Superseded if a later one has begun."""
        with self._lock:
            newest = self._newest.get(trial_id)
            if newest is not None and attempt < newest:
                raise Superseded(f"{trial_id} is worked on by another worker since")
            self._newest[trial_id] = attempt
            if attempt != newest:  # what earlier attempts were sending when they ended
                folder = self.local.path_of(f"trials/{trial_id}")
                remove_stray_temporaries(folder)
                remove_stray_temporaries(folder / "checkpoint")

    def now(self) -> float:
        """The driver's clock, seconds since 1970."""
        return time.time()

    def sizes(self, folder: str) -> dict[str, int]:
        return self.local.sizes(folder)

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        return self.local.read(path, offset, min(num_bytes, CHUNK_BYTES))

    def append(self, path: str, attempt: int, upload: str, offset: int, chunk: bytes) -> None:
        """Add a part to a file that is under way; a part that is there already changes nothing."""
        temporary = self._temporary(path, attempt, upload)
        with self._lock, _run_folder(path):
            if upload in self._committed:
                return
            temporary.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("ab") as file:
                size = file.tell()
                if offset > size:
                    raise TransferError(f"{path}: bytes {size:,} to {offset:,} are missing")
                if offset == size:
                    file.write(chunk)

    def commit(self, path: str, attempt: int, upload: str, checksum: int) -> None:
        """Let the file that was sent take its place, whole.

        Raises:
            TransferError: if what has arrived is not what was sent, by its CRC-32.
        """
        temporary = self._temporary(path, attempt, upload)
        with self._lock, _run_folder(path):
            if upload in self._committed:
                return  # done before, and the answer was lost
            with temporary.open("rb+") as file:
                if crc_of(file) != checksum:
                    raise TransferError(f"{path} has not arrived whole")
                os.fsync(file.fileno())
            temporary.replace(self.local.path_of(path))
            self._committed.append(upload)

    def remove(self, path: str, attempt: int) -> None:
        self._temporary(path, attempt, "")
        with _run_folder(path):
            self.local.remove(path)

    def dataset_files(self, name: str) -> dict[str, int]:
        return dict(self.datasets[name])

    def _temporary(self, path: str, attempt: int, upload: str) -> Path:
        """The file that an upload writes until it is whole; refuses attempts that are not the newest."""
        target = self.local.path_of(path)
        if not path.startswith("trials/"):
            raise ValueError(f"only files of trials can be written, not {path!r}")
        self.claim(path.split("/")[1], attempt)
        return target.with_name(f".{target.name}.{upload}.tmp")


def dataset_files(name: str, root: Path) -> dict[str, int]:
    """Bytes of the files that a dataset needs, by their path below the data folder."""
    dataset = open_dataset(name, root)
    paths = [*dataset.train.paths, *dataset.val.paths, dataset.tokenizer, root / MANIFEST]
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in paths if path.exists()}


def crc_of(file: BinaryIO) -> int:
    """CRC-32 of all that a file holds from here."""
    checksum = 0
    while chunk := file.read(CHUNK_BYTES):
        checksum = zlib.crc32(chunk, checksum)
    return checksum


@contextmanager
def _run_folder(path: str) -> Iterator[None]:
    """An error of the disk as one that is told from a worker's own."""
    try:
        yield
    except FileNotFoundError as error:
        raise TransferError(f"{path}: its upload has not begun") from error
    except OSError as error:
        raise RunFolderFault(f"the run folder cannot be written: {path}: {error.strerror or error}") from error


class NotReached(RuntimeError):
    """A call got no answer in time. It may be repeated."""


Call = Callable[..., Any]  # the server's method by its name, with its arguments; raises NotReached


class ServedStore:
    """A worker's end of a `FileServer`: the files of one attempt at one trial, and data. See `RunStore`.

    Raises:
        TransferError: by every method, if the server does not answer for three minutes.
        RunFolderFault: by every method that writes, if the run folder's disk is at fault.
        Superseded: by every method that writes, if another attempt has begun since.
    """

    def __init__(
        self, call: Call, attempt: int, clock: Callable[[], float] = time.monotonic, sleep: Any = time.sleep
    ) -> None:
        self._remote, self.attempt, self._clock, self._sleep = call, attempt, clock, sleep
        self._is_cut = False

    def claim(self, trial_id: str) -> None:
        """Begin the attempt, see `FileServer.claim`."""
        self._call("claim", trial_id, self.attempt)

    def sizes(self, folder: str) -> dict[str, int]:
        return dict(self._call("sizes", folder))

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        return bytes(self._call("read", path, offset, num_bytes))

    def put(self, path: str, source: BinaryIO) -> None:
        begin = source.tell()
        for number in range(NUM_TRIES):
            source.seek(begin)
            try:
                self._put(path, source)
                return
            except TransferError:  # what arrived is damaged: once more, as another upload
                if number + 1 == NUM_TRIES or self._is_cut:
                    raise

    def _put(self, path: str, source: BinaryIO) -> None:
        upload, checksum, num_bytes = secrets.token_hex(4), 0, 0
        chunk = source.read(CHUNK_BYTES)
        while chunk or not num_bytes:  # of an empty file, too, one part is sent
            self._call("append", path, self.attempt, upload, num_bytes, chunk)
            checksum, num_bytes = zlib.crc32(chunk, checksum), num_bytes + len(chunk)
            if not (chunk := source.read(CHUNK_BYTES)):
                break
        self._call("commit", path, self.attempt, upload, checksum)

    def remove(self, path: str) -> None:
        self._call("remove", path, self.attempt)

    def dataset_files(self, name: str) -> dict[str, int]:
        """Bytes of the files that a dataset needs, by their path below the data folder."""
        return dict(self._call("dataset_files", name))

    def _call(self, method: str, *arguments: Any) -> Any:
        deadline = self._clock() + SECONDS_OF_PATIENCE
        while True:
            try:
                return self._remote(method, *arguments)
            except NotReached as error:
                if self._clock() >= deadline:
                    self._is_cut = True
                    raise TransferError(f"the driver has taken no files for {SECONDS_OF_PATIENCE:.0f} s") from error
                self._sleep(SECONDS_BETWEEN_TRIES)
