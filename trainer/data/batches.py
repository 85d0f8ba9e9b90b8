"""Training batches as a pure function of (seed, step)."""

from __future__ import annotations

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.shuffle import shuffled
from trainer.errors import DataError


def batch(dataset: Dataset, *, seed: int, step: int, num_sequences: int, sequence_tokens: int) -> np.ndarray:
    """The rows of one step, uint16, shape (num_sequences, sequence_tokens + 1): a pure function of (seed, step).

    Rows are windows of a shard that begin every `sequence_tokens` tokens (the last token of one is the first of the
    next, so every token is a target once). Each epoch takes them all once, in an order of its own.

    Raises:
        DataError: if no shard of the training set holds one row.
    """
    assert step >= 0 and num_sequences >= 1 and sequence_tokens >= 1, (step, num_sequences, sequence_tokens)
    rows_of_shard = [max(count - 1, 0) // sequence_tokens for count in dataset.train.counts]
    ends = np.cumsum(rows_of_shard, dtype=np.int64)
    num_rows = sum(rows_of_shard)
    if not num_rows:
        raise DataError(
            f"{dataset.name}: the training set is too short for rows of {sequence_tokens} tokens: its longest shard "
            f"has {max(dataset.train.counts, default=0)}; prepare more text, or shorten `train.sequence_tokens`"
        )
    rows = np.empty((num_sequences, sequence_tokens + 1), dtype=np.uint16)
    for i, row in enumerate(_row_order(seed, step * num_sequences, num_sequences, num_rows)):
        shard = int(np.searchsorted(ends, row, side="right"))
        start = int(row - (ends[shard] - rows_of_shard[shard])) * sequence_tokens
        rows[i] = dataset.train.shards[shard][start : start + sequence_tokens + 1]
    return rows


def _row_order(seed: int, first: int, count: int, num_rows: int) -> np.ndarray:
    """Rows number [first, first + count) of the endless sequence of shuffled epochs."""
    parts = []
    while count:
        epoch, position = divmod(first, num_rows)
        taken = min(count, num_rows - position)
        positions = np.arange(position, position + taken, dtype=np.uint64)
        parts.append(shuffled(positions, num_rows, f"rows/{seed}/{epoch}"))
        first, count = first + taken, count - taken
    return np.concatenate(parts)
