"""Shards of a dataset as scoring reads them: files of tokens in the competition's format.

A header of 256 little-endian int32 (20240520, version 1, number of tokens, zeros), then that many little-endian
uint16; the size of the file must fit exactly. Shards of a dataset are `<prefix>_{train,val}_%06d.bin`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from trainer.errors import DataError

MAGIC = 20240520
VERSION = 1
HEADER_BYTES = 1024
TOKEN_BYTES = 2

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = get_args(Split)

SHARD_NAME = re.compile(r"(?P<prefix>.+)_(?P<split>train|val)_(?P<index>\d{6})\.bin")


def read_header(path: Path) -> int:
    """The number of tokens in a shard, by its header and its size.

    Raises:
        DataError: if the file is absent, empty, truncated, too long, or no shard of version 1.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(HEADER_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if not size:
        raise DataError(f"{path}: is empty (0 bytes), as a broken download leaves it; remove it and get it again")
    if len(start) < HEADER_BYTES:
        raise DataError(f"{path}: is truncated: {size} bytes, and the header alone has {HEADER_BYTES}")
    magic, version, num_tokens = (int(value) for value in np.frombuffer(start, dtype="<i4", count=3))
    if magic != MAGIC:
        raise DataError(f"{path}: is no shard of tokens: it starts with {magic}, not with {MAGIC}")
    if version != VERSION:
        raise DataError(f"{path}: is a shard of version {version}; only version {VERSION} is known")
    expected = HEADER_BYTES + TOKEN_BYTES * num_tokens
    if num_tokens < 0 or size != expected:
        what = "is truncated" if size < expected else "has the wrong size"
        raise DataError(f"{path}: {what}: {size} bytes, but its header says {num_tokens} tokens, so {expected} bytes")
    return num_tokens


def map_shard(path: Path, num_tokens: int) -> np.ndarray:
    """The tokens of a shard as a read-only memory map, uint16, shape (num_tokens,)."""
    if not num_tokens:
        return np.zeros(0, dtype="<u2")  # an empty stretch cannot be mapped
    return np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(num_tokens,))


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The tokens of one split: shards in order, mapped when first touched. Pickles as paths and counts."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]  # tokens of each shard

    @cached_property
    def shards(self) -> tuple[np.ndarray, ...]:
        """Read-only memory maps, uint16, shapes (counts[i],)."""
        return tuple(map_shard(path, count) for path, count in zip(self.paths, self.counts, strict=True))

    @property
    def num_tokens(self) -> int:
        return sum(self.counts)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens [start, stop) of all shards taken as one stream, uint16."""
        assert 0 <= start <= stop <= self.num_tokens, (start, stop, self.num_tokens)
        parts = []
        for shard in self.shards:
            parts.append(shard[max(start, 0) : max(stop, 0)])
            start, stop = start - len(shard), stop - len(shard)
        return np.concatenate(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokens, (self.paths, self.counts)  # a memory map would pickle as all of its tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationData:
    """What scoring needs of a dataset. `sha256` names its content, see `fingerprint`."""

    name: str
    vocab_size: int  # of the tokenizer itself, which can be smaller than what was asked for
    tokenizer: Path  # a sentencepiece model
    val: Tokens
    sha256: str


def fingerprint(sums: Iterable[tuple[str, str]]) -> str:
    """One SHA-256 of a dataset's content, wherever it lies.

    Args:
        sums: name and SHA-256 of every training shard, every validation shard, and the tokenizer.
    """
    matches = ((SHARD_NAME.fullmatch(name), sha256) for name, sha256 in sums)
    lines = [f"{match['split'] if match else 'tokenizer'} {sha256}" for match, sha256 in matches]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_sha256(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of a file in hex.

    Args:
        advance: is told the bytes of each part that was read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while content := file.read(1 << 22):
            digest.update(content)
            advance(len(content))
    return digest.hexdigest()
