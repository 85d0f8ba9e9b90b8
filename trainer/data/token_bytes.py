"""Bytes of text per token, by the competition's rule: what bits per byte are computed with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from trainer.data.tokenizer import load_tokenizer

SPACE_MARK = "\N{LOWER ONE EIGHTH BLOCK}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteTables:
    """What the rule needs to know of each token id; all of shape (vocabulary,)."""

    base_bytes: np.ndarray  # int16: bytes without a leading space; 0 for control, unknown and unused tokens
    has_leading_space: np.ndarray  # bool: the piece starts with the mark of a space
    is_boundary: np.ndarray  # bool: no text can precede the next token: control, unknown, unused, or no token at all


def load_byte_tables(tokenizer: Path, vocab_size: int) -> ByteTables:
    """Tables for ids below `vocab_size` and all ids of the sentencepiece model `tokenizer`.

    Raises:
        DataError: if the model is absent or damaged.
    """
    processor = load_tokenizer(tokenizer)
    size = max(processor.vocab_size(), vocab_size)
    tables = ByteTables(
        base_bytes=np.zeros(size, dtype=np.int16),
        has_leading_space=np.zeros(size, dtype=np.bool_),
        is_boundary=np.ones(size, dtype=np.bool_),
    )
    for token in range(processor.vocab_size()):
        if processor.is_control(token) or processor.is_unknown(token) or processor.is_unused(token):
            continue
        tables.is_boundary[token] = False
        if processor.is_byte(token):
            tables.base_bytes[token] = 1
            continue
        piece = processor.id_to_piece(token)
        # Only one mark is taken off; any further one counts its own three bytes, in the competition too.
        tables.has_leading_space[token] = piece.startswith(SPACE_MARK)
        tables.base_bytes[token] = len(piece.removeprefix(SPACE_MARK).encode())
    return tables


def count_bytes(tables: ByteTables, previous: np.ndarray, target: np.ndarray) -> int:
    """Bytes that the `target` tokens stand for, each read after its `previous` token; two arrays of one shape.

    A leading space counts one byte, unless the token before it is a boundary such as BOS.
    """
    assert previous.shape == target.shape, (previous.shape, target.shape)
    spaces = tables.has_leading_space[target] & ~tables.is_boundary[previous]
    return int(tables.base_bytes[target].sum(dtype=np.int64)) + int(spaces.sum(dtype=np.int64))
