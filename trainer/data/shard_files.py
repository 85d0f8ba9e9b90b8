"""Shards as files: written, found in a folder, and read from end to end."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.data.progress_meter import Advance
from trainer.data.shards import HEADER_BYTES, MAGIC, SHARD_NAME, TOKEN_BYTES, VERSION, Split, read_header
from trainer.errors import DataError
from trainer.files import replacing

READ_BYTES = 1 << 24


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


def find_shards(folder: Path) -> dict[Split, list[Path]]:
    """The shards in `folder` by split, in order.

    Raises:
        DataError: if shards of several prefixes are mixed, or one is missing between others.
    """
    found: dict[Split, list[Path]] = {"train": [], "val": []}
    prefixes = set()
    for path in sorted(folder.iterdir()):
        match = SHARD_NAME.fullmatch(path.name)
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
