"""A shuffle without memory: each position is computed by itself, with integers."""

from __future__ import annotations

import hashlib
import math

import numpy as np

_NUM_ROUNDS = 6
_MAX_SIZE = 1 << 62


def shuffled(positions: np.ndarray, size: int, key: bytes | str) -> np.ndarray:
    """Where `positions` (integers in [0, size), any shape) lie after a shuffle of `size` things; uint64, same shape.

    For each `key` a bijection of [0, size): a Feistel network over pairs of digits in base ceil(sqrt(size)), walked on
    where it leaves the range (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). The same everywhere.
    """
    assert 1 <= size <= _MAX_SIZE, size
    values = np.asarray(positions).astype(np.uint64)
    assert not values.size or int(values.max()) < size, (values, size)
    base = math.isqrt(size - 1) + 1
    round_keys = _round_keys(key)
    values = _feistel(values, base, round_keys)
    outside = values >= size
    while outside.any():
        values[outside] = _feistel(values[outside], base, round_keys)
        outside = values >= size
    return values


def _round_keys(key: bytes | str) -> np.ndarray:
    digest = hashlib.blake2b(key.encode() if isinstance(key, str) else key, digest_size=8 * _NUM_ROUNDS).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def _feistel(values: np.ndarray, base: int, round_keys: np.ndarray) -> np.ndarray:
    """One pass: a bijection of [0, base²)."""
    left, right = np.divmod(values, np.uint64(base))
    for round_key in round_keys:
        left, right = right, (left + _mixed(right ^ round_key) % np.uint64(base)) % np.uint64(base)
    return np.asarray(left * np.uint64(base) + right)


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit depends on every bit. Wraps around."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
