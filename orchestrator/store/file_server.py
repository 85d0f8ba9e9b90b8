"""The store through the driver: a server beside the driver gives and takes files in chunks, and its client.

For workers that do not see the run folder. Ray carries the calls; nothing here knows that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.store.run_store import CHUNK_BYTES, LocalStore, Superseded, TransferError
from trainer.data.dataset import open_dataset

# How long a client tries to reach a server that does not answer: a network that is cut for a minute loses nothing.
SECONDS_OF_PATIENCE = 180.0
SECONDS_BETWEEN_TRIES = 2.0


class FileServer:
    """Files of the trials of one run, and of its data. Every call may be repeated: an answer may have been lost.

    A trial's files are those of its newest attempt: one that was taken for dead and comes back may write no more.
    """

    def __init__(self, run_folder: Path, data_root: Path) -> None:
        self.local, self._newest, self._lock = LocalStore(run_folder, data_root), dict[str, int](), threading.Lock()

    def claim(self, trial_id: str, attempt: int) -> None:
        """Begin an attempt: from now on earlier ones are refused. Raises Superseded if a later one has begun."""
        with self._lock:
            if attempt < self._newest.get(trial_id, attempt):
                raise Superseded(f"{trial_id} is worked on by another worker since")
            self._newest[trial_id] = attempt

    def sizes(self, folder: str) -> dict[str, int]:
        return self.local.sizes(folder)

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        return self.local.read(path, offset, min(num_bytes, CHUNK_BYTES))

    def append(self, path: str, attempt: int, offset: int, chunk: bytes) -> None:
        """Write a part of a file that is under way; the first one begins it anew."""
        temporary = self._temporary(path, attempt)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(chunk)

    def commit(self, path: str, attempt: int, num_bytes: int) -> None:
        """Let the file that was sent take its place, whole.

        Raises:
            TransferError: if not all of it has arrived.
        """
        temporary, target = self._temporary(path, attempt), self.local.path_of(path)
        if not temporary.exists() and target.exists() and target.stat().st_size == num_bytes:
            return  # done before, and the answer was lost
        with temporary.open("rb+") as file:
            if (found := os.fstat(file.fileno()).st_size) != num_bytes:
                raise TransferError(f"{path}: {found:,} of {num_bytes:,} bytes have arrived")
            os.fsync(file.fileno())
        temporary.replace(target)

    def remove(self, path: str, attempt: int) -> None:
        self._temporary(path, attempt)
        self.local.remove(path)

    def dataset_files(self, name: str) -> dict[str, int]:
        """Bytes of the files that a dataset needs, by their path below the data folder."""
        root = self.local.data_root
        dataset = open_dataset(name, root)
        paths = [*dataset.train.paths, *dataset.val.paths, dataset.tokenizer, root / "manifest.json"]
        return {path.relative_to(root).as_posix(): path.stat().st_size for path in paths if path.exists()}

    def _temporary(self, path: str, attempt: int) -> Path:
        """The file that an attempt writes until it is whole; refuses attempts that are not the newest."""
        target = self.local.path_of(path)
        if not path.startswith("trials/"):
            raise ValueError(f"only files of trials can be written, not {path!r}")
        self.claim(path.split("/")[1], attempt)
        return target.with_name(f".{target.name}.{attempt & 0xFFFFFFFF:08x}.tmp")


class NotReached(RuntimeError):
    """A call got no answer in time. It may be repeated."""


Call = Callable[..., Any]  # the server's method by its name, with its arguments; raises NotReached


class ServedStore:
    """A worker's end of a `FileServer`: the files of one attempt at one trial, and data. See `RunStore`.

    Raises:
        TransferError: by every method, if the server does not answer for three minutes.
        Superseded: by every method that writes, if another attempt has begun since.
    """

    def __init__(
        self, call: Call, attempt: int, clock: Callable[[], float] = time.monotonic, sleep: Any = time.sleep
    ) -> None:
        self._remote, self.attempt, self._clock, self._sleep = call, attempt, clock, sleep

    def claim(self, trial_id: str) -> None:
        """Begin the attempt, see `FileServer.claim`."""
        self._call("claim", trial_id, self.attempt)

    def sizes(self, folder: str) -> dict[str, int]:
        return dict(self._call("sizes", folder))

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        return bytes(self._call("read", path, offset, num_bytes))

    def put(self, path: str, source: BinaryIO) -> None:
        chunk = source.read(CHUNK_BYTES)
        self._call("append", path, self.attempt, 0, chunk)  # also of an empty file
        num_bytes = len(chunk)
        while chunk := source.read(CHUNK_BYTES):
            self._call("append", path, self.attempt, num_bytes, chunk)
            num_bytes += len(chunk)
        self._call("commit", path, self.attempt, num_bytes)

    def remove(self, path: str) -> None:
        self._call("remove", path, self.attempt)

    def dataset_files(self, name: str) -> dict[str, int]:
        """See `FileServer.dataset_files`."""
        return dict(self._call("dataset_files", name))

    def _call(self, method: str, *arguments: Any) -> Any:
        deadline = self._clock() + SECONDS_OF_PATIENCE
        while True:
            try:
                return self._remote(method, *arguments)
            except NotReached as error:
                if self._clock() >= deadline:
                    raise TransferError(f"the driver has taken no files for {SECONDS_OF_PATIENCE:.0f} s") from error
                self._sleep(SECONDS_BETWEEN_TRIES)
