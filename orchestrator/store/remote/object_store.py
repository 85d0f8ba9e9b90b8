"""The run folder in an object store: files below a URI, read and written whole or in parts. See `RunStore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore as Bucket

from orchestrator.store.run_store import TransferError, is_hidden, path_below
from results.object_store import in_one_line, list_files

# Of a large file: sent in parts, and put together by the store at once. The smallest part that S3 takes: each must be
# sent within a minute, which a link of 180 kB/s does.
PART_BYTES = 5 * 2**20
PARTS_AT_ONCE = 2
BEYOND_THE_END = "416 Range Not Satisfiable"


class ObjectStore:
    """Files below a URI. The store itself replaces a file whole or not at all.

    Only the driver has the keys to it, and so all of the run folder is below it, not trials alone.

    Raises:
        TransferError: by every method, if the store does not answer for twenty seconds, or refuses.
    """

    def __init__(self, bucket: Bucket, uri: str) -> None:
        self.bucket, self.uri = bucket, uri

    def sizes(self, folder: str) -> dict[str, int]:
        prefix = path_below(folder).as_posix() if folder else ""
        with self._errors(f"{folder or 'it'} cannot be listed"):
            found = list_files(self.bucket, prefix)
        names = {path.removeprefix(prefix).removeprefix("/"): size for path, size in found.items()}
        return {name: size for name, size in names.items() if not is_hidden(name)}

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        name = path_below(path).as_posix()
        try:
            with self._errors(f"{path} cannot be read"):
                return bytes(obstore.get_range(self.bucket, name, start=offset, length=num_bytes))
        except TransferError as error:
            if BEYOND_THE_END in str(error.__cause__):
                return b""
            raise

    def put(self, path: str, source: BinaryIO) -> None:
        name = path_below(path).as_posix()
        with self._errors(f"{path} cannot be written"):
            # a file that grows while it is sent, as a log does: what it holds now
            content = source.read(PART_BYTES)
            if len(content) < PART_BYTES:
                obstore.put(self.bucket, name, content)
                return
            source.seek(-len(content), 1)
            obstore.put(self.bucket, name, source, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def remove(self, path: str) -> None:
        with self._errors(f"{path} cannot be removed"):
            try:
                obstore.delete(self.bucket, path_below(path).as_posix())
            except FileNotFoundError:
                return

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """What the package raises as an error of one line. That there is no such file is no fault of the store."""
        try:
            yield
        except FileNotFoundError as error:
            if in_one_line(error) == "there is no such bucket":
                raise TransferError(f"{self.uri}: {what}: there is no such bucket") from error
            raise FileNotFoundError(f"{self.uri}: {what}: there is no such file") from error
        except (BaseError, PermissionError) as error:
            raise TransferError(f"{self.uri}: {what}: {in_one_line(error)}") from error
