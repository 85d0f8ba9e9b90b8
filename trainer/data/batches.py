"""Training batches as a pure function of (seed, step), and the rows that are scored."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.data.dataset import Dataset, Tokens, check_shards, dataset_names, open_dataset, token_counts
from trainer.data.shuffle import shuffled
from trainer.errors import DataError

__all__ = [
    "DataError",
    "Dataset",
    "Tokens",
    "ValidationRows",
    "batch",
    "check_shards",
    "dataset_names",
    "open_dataset",
    "shuffled",
    "token_counts",
    "validation_rows",
]


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationRows:
    """Validation tokens in rows of `sequence_tokens` targets; only what is asked for is read.

    Args:
        first_token: where the first row begins in the stream of all validation tokens.
    """

    tokens: Tokens
    sequence_tokens: int
    num_rows: int
    first_token: int = 0

    @property
    def num_tokens(self) -> int:
        """Targets, that is tokens that are scored."""
        return self.num_rows * self.sequence_tokens

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop), uint16, shape (stop - start, sequence_tokens + 1); each begins with the last's end."""
        assert 0 <= start <= stop <= self.num_rows, (start, stop, self.num_rows)
        length = self.sequence_tokens
        if start == stop:
            return np.empty((0, length + 1), dtype=np.uint16)
        stream = self.read(start * length, stop * length + 1)
        return np.lib.stride_tricks.sliding_window_view(stream, length + 1)[::length].copy()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens [start, stop) of these rows, uint16."""
        return self.tokens.read(self.first_token + start, self.first_token + stop)

    def after(self) -> ValidationRows | None:
        """As many rows as these that follow them, or those that there are; None without any.

        What was chosen by the first part of the validation text is confirmed on the second.
        """
        first_token = self.first_token + self.num_tokens
        left = max(self.tokens.num_tokens - first_token - 1, 0) // self.sequence_tokens
        num_rows = min(self.num_rows, left)
        return dataclasses.replace(self, first_token=first_token, num_rows=num_rows) if num_rows else None


def validation_rows(dataset: Dataset, *, sequence_tokens: int, num_tokens: int | None) -> ValidationRows:
    """The rows that are scored, by the competition's rule: all validation shards in order as one stream of n tokens,
    cut to floor((n - 1) / sequence_tokens) * sequence_tokens + 1, in contiguous rows.

    `num_tokens` keeps the first rows that hold at most so many scored tokens (targets, as the rule counts them).

    Raises:
        DataError: if that is less than one row.
    """
    available = dataset.val.num_tokens
    num_rows = max(available - 1, 0) // sequence_tokens
    if num_rows and num_tokens is not None:
        num_rows = min(num_rows, num_tokens // sequence_tokens)
        if not num_rows:
            raise DataError(
                f"{dataset.name}: `eval.tokens` = {num_tokens} is less than one row of {sequence_tokens} tokens; "
                "raise it, or shorten `train.sequence_tokens`"
            )
    if not num_rows:
        raise DataError(
            f"{dataset.name}: the validation set is too short: it has {available} tokens, and one row needs "
            f"{sequence_tokens + 1}; prepare more text, or shorten `train.sequence_tokens`"
        )
    return ValidationRows(tokens=dataset.val, sequence_tokens=sequence_tokens, num_rows=num_rows)
