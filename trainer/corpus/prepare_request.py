"""The request for a preparation, and whether a later one asks for the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.corpus.readers import Source, find_sources, stdlib_sources
from trainer.corpus.train_tokenizer import check_vocab_size
from trainer.data.progress_meter import meter
from trainer.data.shards import file_sha256
from trainer.errors import DataError

STDLIB = "stdlib"
FORMAT = 1  # of the dataset that a request leads to; a change of any rule of the preparation raises it

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareRequest:
    """A dataset to make. Without `text`, the name `stdlib` means Python's own standard library."""

    name: str
    text: tuple[Path, ...] = ()
    vocab_size: int = 1024
    text_column: str = "text"  # of JSON lines and Parquet
    val_fraction: float = 0.01  # of the documents, by hash; not used with `val_files`
    val_files: tuple[Path, ...] = ()
    shard_tokens: int = 100_000_000

    def check(self) -> None:
        """Raises DataError if any value is out of range."""
        if not _NAME.fullmatch(self.name):
            raise DataError(f"a dataset's name is made of letters, digits, `_`, `-` and `.`, but got {self.name!r}")
        if not self.text and self.name != STDLIB:
            raise DataError(
                f"there is no text for {self.name}: give files or folders by --text, "
                f"or use the name {STDLIB} for the built-in corpus"
            )
        if self.val_files and not self.text:
            raise DataError("--val-files names part of your own text, but there is no --text")
        if not 0 < self.val_fraction < 1:
            raise DataError(f"`0 < val_fraction < 1` must hold, but got {self.val_fraction}")
        if not 1 <= self.shard_tokens < 2**31:
            raise DataError(f"`1 <= shard_tokens < 2**31` must hold (headers are 32-bit), but got {self.shard_tokens}")
        check_vocab_size(self.vocab_size)

    def sources(self) -> list[Source]:
        """The files to read, validation files last. Raises DataError if there are none."""
        if not self.text:
            return stdlib_sources()
        named = find_sources(self.val_files, "val")
        held_out = {source.path.resolve() for source in named}
        rest = find_sources(self.text, "train" if named else None)
        return [source for source in rest if source.path.resolve() not in held_out] + named

    def settings(self) -> dict[str, Any]:
        """All that decides the bytes of the result, apart from the files themselves."""
        return {
            "format": FORMAT,
            "built-in corpus": not self.text,
            "vocabulary": self.vocab_size,
            "text column": self.text_column,
            "validation": "files" if self.val_files else self.val_fraction,
            "shard tokens": self.shard_tokens,
        }


def describe(request: PrepareRequest, sources: Sequence[Source]) -> dict[str, Any]:
    """The request as plain values, with size, time and SHA-256 of every input file."""
    files = []
    with meter("fingerprinting input", sum(source.path.stat().st_size for source in sources)) as advance:
        for source in sources:
            status = source.path.stat()
            sha256 = file_sha256(source.path, advance)
            files.append([source.name, source.split, status.st_size, status.st_mtime_ns, sha256])
    return {"settings": request.settings(), "files": files}


def difference(described: dict[str, Any], request: PrepareRequest, sources: Sequence[Source]) -> str | None:
    """What sets a request apart from one described before; None where it leads to the same bytes.

    Files are read only where their time has changed and their size has not.
    """
    old, new = described["settings"], request.settings()
    changed = [f"{key} was {old.get(key)}, now {new[key]}" for key in new if old.get(key) != new[key]]
    if changed:
        return "; ".join(changed)
    files = described["files"]
    if [(name, split) for name, split, *_ in files] != [(source.name, source.split) for source in sources]:
        return f"it was made from {len(files)} files, now there are {len(sources)}, or they are called differently"
    for (name, _, num_bytes, mtime_ns, sha256), source in zip(files, sources, strict=True):
        status = source.path.stat()
        same_size = status.st_size == num_bytes
        if not same_size or (status.st_mtime_ns != mtime_ns and file_sha256(source.path) != sha256):
            return f"the input file {name} has changed"
    return None
