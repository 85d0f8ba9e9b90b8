"""The files of a run as a worker reads and writes them, wherever they lie.

Paths are relative to the run folder, with slashes; `data/…` is the data folder, which nobody writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from trainer.files import replacing

CHUNK_BYTES = 2 * 2**20


class TransferError(RuntimeError):
    """Files could not be sent or fetched: the store does not answer, or refuses."""


class RunFolderFault(RuntimeError):
    """The run folder itself cannot be written: its disk is full, lost or broken."""


class Superseded(RuntimeError):
    """Another attempt at the trial has begun since: this one may write no more."""


class RunStore(Protocol):
    """Reads and writes files of a run. One implementation for each place where a run folder can lie."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below `folder`, by its path relative to it. Hidden files are not listed."""
        ...

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        """At most so many bytes from `offset`; none at the end. Raises FileNotFoundError if there is no such file."""
        ...

    def put(self, path: str, source: BinaryIO) -> None:
        """Replace a file by what `source` holds, whole or not at all."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; none is no error."""
        ...


class LocalStore:
    """A run folder, and a data folder, that this process sees."""

    def __init__(self, run_folder: Path, data_root: Path) -> None:
        self.run_folder, self.data_root = run_folder, data_root

    def sizes(self, folder: str) -> dict[str, int]:
        root = self.path_of(folder)
        files = [path for path in root.rglob("*") if path.is_file()]
        names = {path.relative_to(root).as_posix(): path for path in files}
        return {name: path.stat().st_size for name, path in names.items() if not is_hidden(name)}

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        with self.path_of(path).open("rb") as file:
            file.seek(offset)
            return file.read(num_bytes)

    def put(self, path: str, source: BinaryIO) -> None:
        with replacing(self.path_of(path)) as temporary, temporary.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                file.write(chunk)

    def remove(self, path: str) -> None:
        file = self.path_of(path)
        file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds other files, or is not there
            file.parent.rmdir()

    def path_of(self, path: str) -> Path:
        """Where a file lies. Raises ValueError for a path that leaves the folders of trials and data."""
        parts = path_below(path).parts
        if len(parts) < 2 or parts[0] not in ("trials", "data"):
            raise ValueError(f"a path must lie below trials/ or data/, but is {path!r}")
        return self.run_folder.joinpath(*parts) if parts[0] == "trials" else self.data_root.joinpath(*parts[1:])


def path_below(path: str) -> PurePosixPath:
    """A relative path. Raises ValueError for one that leaves the run folder."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or os.path.isabs(path):
        raise ValueError(f"a path must lie below the run folder, but is {path!r}")
    return PurePosixPath(path)


def download(store: RunStore, path: str, to: Path, advance: Callable[[int], None] = lambda _: None) -> None:
    """Fetch a file of the store, whole or not at all.

    Args:
        advance: gets the bytes of every part that has come; what it raises ends the download.

    Raises:
        FileNotFoundError: if there is none.
        TransferError: if the store does not answer.
    """
    with replacing(to) as temporary, temporary.open("wb") as file:
        while chunk := store.read(path, file.tell(), CHUNK_BYTES):
            file.write(chunk)
            advance(len(chunk))


def is_hidden(name: str) -> bool:
    """Whether a file or one of its folders has a name that begins with a dot: nobody else is to see it."""
    return any(part.startswith(".") for part in name.split("/"))
