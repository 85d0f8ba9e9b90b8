"""Readers of documents: plain text, JSON lines (also compressed), Parquet, Python's standard library."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import heapq
import json
import os
import sysconfig
import zlib
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from trainer.data.shards import Split
from trainer.errors import DataError

if TYPE_CHECKING:
    import zstandard

PLAIN_SUFFIXES = (".txt", ".rst", ".py")
SUFFIXES = (*PLAIN_SUFFIXES, ".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
STDLIB_WITHOUT = {"site-packages", "dist-packages", "__pycache__"}

# A longer text file becomes several documents, so that memory does not grow with it.
MAX_DOCUMENT_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One input file. `name` is its path below what the user named, so that moving everything changes nothing."""

    path: Path
    name: str
    split: Split | None = None  # None: by the hash of each document
    skip_undecodable: bool = False


def find_sources(paths: Sequence[Path], split: Split | None = None) -> list[Source]:
    """The files to read: each path itself, or all supported files below a folder, sorted; none twice.

    Raises:
        DataError: if a path is absent, of an unknown kind, or a folder without any supported file.
    """
    sources: dict[Path, Source] = {}
    for path in paths:
        if path.is_dir():
            names = sorted(name for name in _names_below(path) if name.endswith(SUFFIXES))
            if not names:
                raise DataError(f"{path}: holds no file of a supported kind ({', '.join(SUFFIXES)})")
            found = [Source(path=path / name, name=name, split=split) for name in names]
        elif not path.exists():
            raise DataError(f"{path}: there is no such file or folder")
        elif not path.name.endswith(SUFFIXES):
            raise DataError(f"{path}: is of no supported kind ({', '.join(SUFFIXES)})")
        else:
            found = [Source(path=path, name=path.name, split=split)]
        for source in found:
            sources.setdefault(source.path.resolve(), source)
    return list(sources.values())


def _names_below(folder: Path, without: Set[str] = frozenset()) -> Iterator[str]:
    """Files below a folder, by relative path, hidden ones and whole folders named in `without` left out."""
    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in without]
        for name in files:
            if not name.startswith("."):
                yield (Path(at) / name).relative_to(folder).as_posix()


def stdlib_sources() -> list[Source]:
    """Source and documentation of the running Python's standard library, sorted, without what is not UTF-8."""
    root = Path(sysconfig.get_path("stdlib"))
    names = sorted(name for name in _names_below(root, without=STDLIB_WITHOUT) if name.endswith(PLAIN_SUFFIXES))
    if not names:
        raise DataError(f"{root}: this Python comes without the source of its standard library; give --text instead")
    return [Source(path=root / name, name=name, skip_undecodable=True) for name in names]


def read_documents(source: Source, text_column: str) -> Iterator[str]:
    """The documents of one file in order, without those that are blank.

    Raises:
        DataError: naming file and line where the file cannot be read as what its name says.
    """
    name = source.path.name
    try:
        if name.endswith(".parquet"):
            documents = _parquet(source.path, text_column)
        elif ".jsonl" in name:
            documents = _json_lines(source.path, text_column)
        else:
            documents = _plain(source.path, source.skip_undecodable)
        for document in documents:
            if document and not document.isspace():
                yield document
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read ({error.strerror or error})") from error


def _plain(path: Path, skip_undecodable: bool) -> Iterator[str]:
    """A text file as one document, or cut at line ends into several where it is long."""
    offset, kept = 0, b""
    with path.open("rb") as file:
        while content := kept + file.read(MAX_DOCUMENT_BYTES - len(kept)):
            last = len(content) < MAX_DOCUMENT_BYTES
            cut = len(content) if last else _cut(content)
            try:
                yield content[:cut].decode("utf-8").removeprefix("\ufeff" if offset == 0 else "")
            except UnicodeDecodeError as error:
                if skip_undecodable:
                    return
                raise DataError(
                    f"{path}: is not UTF-8: byte 0x{content[error.start]:02x} at offset {offset + error.start}; "
                    "convert it, or leave it out"
                ) from error
            offset, kept = offset + cut, content[cut:]


def _cut(content: bytes) -> int:
    """Where to cut: after the last line end, else after the last space, else after the last whole character."""
    for separator in (b"\n", b" "):
        if (found := content.rfind(separator)) > 0:
            return found + 1
    start = len(content) - 1
    while start > len(content) - 4 and content[start] & 0xC0 == 0x80:
        start -= 1
    length = 1 + sum(content[start] >= lead for lead in (0xC0, 0xE0, 0xF0))
    return start if start + length > len(content) else len(content)


def _json_lines(path: Path, text_column: str) -> Iterator[str]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield _json_text(line, f"{path}:{number}", text_column)


def _json_text(line: bytes, where: str, text_column: str) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:  # of the JSON, or of its encoding
        raise DataError(f"{where}: is no JSON ({error}); mend the line, or remove it") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: must be an object with the key {text_column!r}, but is {str(record)[:60]}")
    text = record.get(text_column)
    if not isinstance(text, str):
        keys = ", ".join(map(repr, record))
        what = f"is {text!r:.60}" if text_column in record else f"is absent (there are: {keys[:200]})"
        raise DataError(f"{where}: the value of {text_column!r} must be text, but {what}; see --text-column")
    # JSON can hold halves of surrogate pairs, which no UTF-8 can: they become the replacement character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, uncompressed."""
    import zstandard

    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as unzipped:
                yield from unzipped
        elif path.suffix == ".zst":
            with path.open("rb") as file:
                yield from _split_lines(_zst_chunks(file, zstandard.ZstdDecompressor()))
        else:
            with path.open("rb") as file:
                yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise DataError(f"{path}: the compressed file is damaged or truncated ({error}); get it again") from error


def _zst_chunks(file: BinaryIO, decompressor: zstandard.ZstdDecompressor) -> Iterator[bytes]:
    """What all frames of a file hold. zstandard's own reader takes a truncated file for a complete one."""
    frame = None
    while content := file.read(1 << 20):
        while content:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(content)
            content, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame is not None:
        raise EOFError("it ends within a frame")


def _split_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    kept: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        kept.append(first)
        for line in others:
            yield b"".join(kept)
            kept = [line]
    yield b"".join(kept)


def _parquet(path: Path, text_column: str) -> Iterator[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            if text_column not in schema.names:
                columns = ", ".join(schema.names)
                raise DataError(f"{path}: has no column {text_column!r} (there are: {columns}); see --text-column")
            kind = schema.field(text_column).type
            if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
                raise DataError(f"{path}: the column {text_column!r} must hold text, but holds {kind}")
            for rows in file.iter_batches(batch_size=1024, columns=[text_column]):
                for text in rows.column(0).to_pylist():
                    yield text or ""
    except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no Parquet file, or a damaged one ({error}); get it again") from error


def text_digest(text: str) -> tuple[bytes, int]:
    """SHA-256 of a document, and its length in UTF-8 bytes."""
    content = text.encode()
    return hashlib.sha256(content).digest(), len(content)


def split_by_hash(digest: bytes, val_fraction: float) -> Split:
    """Where a document belongs, by its content alone: equal documents never fall into both splits."""
    return "val" if int.from_bytes(digest[:8], "big") < val_fraction * 2**64 else "train"


class Sample:
    """A random sample of a stream of documents, bounded in bytes; it depends on their contents and order alone.

    It keeps the documents of smallest hash (a bottom-k sample), so no document is favoured by where it stands.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._num_seen = 0
        self._heap: list[tuple[int, int, int, str]] = []  # (minus hash, place, bytes, text): largest hash on top

    def add(self, text: str, digest: bytes, num_bytes: int) -> None:
        heapq.heappush(self._heap, (-int.from_bytes(digest[8:16], "big"), self._num_seen, num_bytes, text))
        self._num_seen += 1
        self._num_bytes += num_bytes
        while self._num_bytes > self._max_bytes and len(self._heap) > 1:
            self._num_bytes -= heapq.heappop(self._heap)[2]

    def documents(self) -> list[str]:
        """The sample, in the order of the stream."""
        return [text for _, _, _, text in sorted(self._heap, key=lambda item: item[1])]
