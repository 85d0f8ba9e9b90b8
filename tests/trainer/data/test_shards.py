from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from trainer.data.shard_files import find_shards, scan_shard, write_shard
from trainer.data.shards import map_shard, read_header
from trainer.errors import DataError


def shard(path: Path, tokens: list[int]) -> Path:
    write_shard(path, [np.array(tokens, dtype=np.uint16)])
    return path


def test_a_shard_is_the_competitions_bytes(tmp_path: Path) -> None:
    """A shard is 256 little-endian int32 (20240520, 1, count, zeros) and then little-endian uint16, and no more."""
    path = shard(tmp_path / "a.bin", [1, 258, 65_535])
    expected = np.array([20240520, 1, 3] + [0] * 253, dtype="<i4").tobytes() + b"\x01\x00\x02\x01\xff\xff"
    assert path.read_bytes() == expected


def test_write_and_scan_find_the_same_facts(tmp_path: Path) -> None:
    """What is known from writing equals what a scan of the file finds."""
    chunks = [np.array(part, dtype=np.uint16) for part in ([1, 5, 3], [], [900])]
    written = write_shard(tmp_path / "a.bin", chunks)
    assert written == scan_shard(tmp_path / "a.bin")
    assert (written.num_tokens, written.max_id) == (4, 900)
    assert written.sha256 == hashlib.sha256((tmp_path / "a.bin").read_bytes()).hexdigest()
    assert map_shard(tmp_path / "a.bin", 4).tolist() == [1, 5, 3, 900]


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    """A shard of no tokens is valid, has no largest id, and maps to an empty array."""
    path = shard(tmp_path / "a.bin", [])
    assert read_header(path) == 0
    assert scan_shard(path).max_id == -1
    assert map_shard(path, 0).shape == (0,)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "is empty (0 bytes)"),
        (lambda content: content[:500], "is truncated: 500 bytes, and the header alone has 1024"),
        (lambda content: content[:-1], "is truncated: 1031 bytes, but its header says 4 tokens, so 1032 bytes"),
        (lambda content: content + b"xy", "has the wrong size: 1034 bytes"),
        (lambda content: b"\0" + content[1:], "is no shard of tokens"),
        (lambda content: content[:4] + b"\x02" + content[5:], "is a shard of version 2"),
        (lambda content: content[:8] + b"\xff\xff\xff\xff" + content[12:], "has the wrong size"),
    ],
)
def test_a_damaged_shard_is_named_with_what_is_wrong(damage, message: str, tmp_path: Path) -> None:
    """Every kind of damage to header or size is one error that names the file and says what is wrong."""
    path = shard(tmp_path / "x_train_000000.bin", [1, 2, 3, 4])
    path.write_bytes(damage(path.read_bytes()))
    for check in (read_header, scan_shard):
        with pytest.raises(DataError, match=re.escape(message)) as caught:
            check(path)
        assert str(path) in str(caught.value)


def test_an_absent_shard_is_an_error(tmp_path: Path) -> None:
    """A file that is not there is a DataError, not a traceback of the operating system."""
    with pytest.raises(DataError, match="cannot be read"):
        read_header(tmp_path / "none.bin")


def test_a_gap_between_shards_is_an_error(tmp_path: Path) -> None:
    """A shard missing between others is named; other files in the folder do not matter."""
    for name in ("x_train_000000.bin", "x_train_000002.bin", "x_val_000000.bin"):
        shard(tmp_path / name, [1])
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"x_train_000001\.bin: is missing"):
        find_shards(tmp_path)


def test_shards_of_two_sets_in_one_folder_are_an_error(tmp_path: Path) -> None:
    """Shards of different prefixes are never read as one dataset."""
    shard(tmp_path / "a_train_000000.bin", [1])
    shard(tmp_path / "b_val_000000.bin", [1])
    with pytest.raises(DataError, match=r"several sets \(a, b\)"):
        find_shards(tmp_path)
