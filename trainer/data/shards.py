"""Shards: files of tokens in the competition's format.

A header of 256 little-endian int32 (20240520, version 1, number of tokens, zeros), then that many little-endian
uint16; the size of the file must fit exactly. Shards of a dataset are `<prefix>_{train,val}_%06d.bin`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from trainer.data.progress_meter import Advance
from trainer.errors import DataError
from trainer.files import replacing

MAGIC = 20240520
VERSION = 1
HEADER_BYTES = 1024
TOKEN_BYTES = 2
READ_BYTES = 1 << 24

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = get_args(Split)

_SHARD_NAME = re.compile(r"(?P<prefix>.+)_(?P<split>train|val)_(?P<index>\d{6})\.bin")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardFacts:
    """What one pass over a shard finds out. `max_id` is -1 in a shard without tokens."""

    bytes: int
    num_tokens: int
    max_id: int
    sha256: str


def shard_name(prefix: str, split: Split, index: int) -> str:
    return f"{prefix}_{split}_{index:06d}.bin"


def header(num_tokens: int) -> bytes:
    """The first 1024 bytes of a shard."""
    values = np.zeros(HEADER_BYTES // 4, dtype="<i4")
    values[:3] = MAGIC, VERSION, num_tokens
    return values.tobytes()


def write_shard(path: Path, chunks: Sequence[np.ndarray]) -> ShardFacts:
    """Write `chunks` of uint16 tokens, one after the other, as one shard; it appears whole or not at all."""
    num_tokens = sum(len(chunk) for chunk in chunks)
    digest = hashlib.sha256()
    with replacing(path) as temporary, temporary.open("wb") as file:
        for content in (header(num_tokens), *(chunk.astype("<u2").tobytes() for chunk in chunks)):
            digest.update(content)
            file.write(content)
    return ShardFacts(
        bytes=HEADER_BYTES + TOKEN_BYTES * num_tokens,
        num_tokens=num_tokens,
        max_id=max((int(chunk.max()) for chunk in chunks if len(chunk)), default=-1),
        sha256=digest.hexdigest(),
    )


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


def scan_shard(path: Path, advance: Advance = lambda _: None) -> ShardFacts:
    """Read a shard once from end to end, in a few megabytes of memory.

    Raises:
        DataError: as `read_header`.
    """
    num_tokens = read_header(path)
    digest, max_id, num_bytes = hashlib.sha256(), -1, HEADER_BYTES
    with path.open("rb") as file:
        digest.update(file.read(HEADER_BYTES))
        while content := file.read(READ_BYTES):
            digest.update(content)
            max_id = max(max_id, int(np.frombuffer(content, dtype="<u2").max()))
            num_bytes += len(content)
            advance(len(content))
    return ShardFacts(bytes=num_bytes, num_tokens=num_tokens, max_id=max_id, sha256=digest.hexdigest())


def map_shard(path: Path, num_tokens: int) -> np.ndarray:
    """The tokens of a shard as a read-only memory map, uint16, shape (num_tokens,)."""
    if not num_tokens:
        return np.zeros(0, dtype="<u2")  # an empty stretch cannot be mapped
    return np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(num_tokens,))


def find_shards(folder: Path) -> dict[Split, list[Path]]:
    """The shards in `folder` by split, in order.

    Raises:
        DataError: if shards of several prefixes are mixed, or one is missing between others.
    """
    found: dict[Split, list[Path]] = {"train": [], "val": []}
    prefixes = set()
    for path in sorted(folder.iterdir()):
        match = _SHARD_NAME.fullmatch(path.name)
        if match is None:
            continue
        prefixes.add(match["prefix"])
        split: Split = "train" if match["split"] == "train" else "val"
        if int(match["index"]) != len(found[split]):
            missing = shard_name(match["prefix"], split, len(found[split]))
            raise DataError(f"{folder / missing}: is missing, though {path.name} is there; get it again")
        found[split].append(path)
        if len(prefixes) > 1:
            names = ", ".join(sorted(prefixes))
            raise DataError(f"{folder}: holds shards of several sets ({names}); keep one set of shards in a folder")
    return found
