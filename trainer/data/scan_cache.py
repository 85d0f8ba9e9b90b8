"""A cache of facts that take a whole read of a file, keyed by size and time of change.

A trial opens its dataset thousands of times a sweep; only the first open reads every byte. Where the folder cannot be
written, facts are cached within the process alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from trainer.data.progress_meter import Advance, meter
from trainer.data.shard_files import ShardFacts, scan_shard
from trainer.data.shards import file_sha256, read_header
from trainer.data.tokenizer import load_tokenizer
from trainer.errors import DataError
from trainer.files import write_atomically

SIDECAR = ".checked.json"

# By file name: size and time of change of the file as it was read, and what was found.
Facts = dict[str, dict[str, int | str]]

_SHARD_KEYS = {"num_tokens", "max_id", "sha256"}
_TOKENIZER_KEYS = {"vocab_size", "sha256"}


def load_facts(folder: Path) -> Facts:
    """What is cached; nothing where the sidecar is absent or damaged, since all of it can be found out again."""
    try:
        facts = json.loads((folder / SIDECAR).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(facts, dict):
        return {}
    return {name: fact for name, fact in facts.items() if isinstance(fact, dict)}


def save_facts(folder: Path, facts: Facts) -> None:
    with contextlib.suppress(OSError):  # a data folder mounted read-only serves as well, only slower
        write_atomically(folder / SIDECAR, json.dumps(facts, indent=1).encode())


def cached(facts: Mapping[str, Mapping[str, int | str]], path: Path) -> dict[str, int | str] | None:
    """What is known of `path`, if it has not changed since."""
    known = facts.get(path.name, {})
    complete = known.keys() >= (_SHARD_KEYS if path.suffix == ".bin" else _TOKENIZER_KEYS)
    return dict(known) if complete and _stamp(path).items() <= known.items() else None


def cache_shard(facts: Facts, path: Path, found: ShardFacts) -> None:
    """Remember what was found out about a shard."""
    facts[path.name] = {
        **_stamp(path), "num_tokens": found.num_tokens, "max_id": found.max_id, "sha256": found.sha256,
    }  # fmt: skip


def cache_tokenizer(facts: Facts, path: Path) -> None:
    """Find out and remember size of vocabulary and SHA-256 of a sentencepiece model. Raises DataError."""
    vocab_size = load_tokenizer(path).vocab_size()
    facts[path.name] = {**_stamp(path), "vocab_size": vocab_size, "sha256": file_sha256(path)}


def scan_new(facts: Facts, paths: list[Path]) -> None:
    """Read every shard of `paths` that is not cached, with a progress bar, and remember it. Raises DataError."""
    new = [path for path in paths if cached(facts, path) is None]
    for path in new:
        read_header(path)  # a truncated last shard shows before the first gigabytes are read
    with meter("checking shards", sum(path.stat().st_size for path in new)) as advance:
        for path in new:
            stamp = _stamp(path)
            cache_shard(facts, path, _scan(path, stamp["bytes"], stamp["mtime_ns"], advance))


def _stamp(path: Path) -> dict[str, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); get it again") from error
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


_known_here: dict[tuple[Path, int, int], ShardFacts] = {}


def _scan(path: Path, num_bytes: int, mtime_ns: int, advance: Advance) -> ShardFacts:
    key = (path.resolve(), num_bytes, mtime_ns)
    if key not in _known_here:
        _known_here[key] = scan_shard(path, advance)
    return _known_here[key]
