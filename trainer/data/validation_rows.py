"""The rows of validation tokens that are scored."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.data.shards import Tokens, ValidationData
from trainer.errors import DataError


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


def validation_rows(data: ValidationData, *, sequence_tokens: int, num_tokens: int | None) -> ValidationRows:
    """The rows that are scored, by the competition's rule: all validation shards in order as one stream of n tokens,
    cut to floor((n - 1) / sequence_tokens) * sequence_tokens + 1, in contiguous rows.

    `num_tokens` keeps the first rows that hold at most so many scored tokens (targets, as the rule counts them).

    Raises:
        DataError: if that is less than one row.
    """
    available = data.val.num_tokens
    num_rows = max(available - 1, 0) // sequence_tokens
    if num_rows and num_tokens is not None:
        num_rows = min(num_rows, num_tokens // sequence_tokens)
        if not num_rows:
            raise DataError(
                f"{data.name}: `eval.tokens` = {num_tokens} is less than one row of {sequence_tokens} tokens; "
                "raise it, or shorten `train.sequence_tokens`"
            )
    if not num_rows:
        raise DataError(
            f"{data.name}: the validation set is too short: it has {available} tokens, and one row needs "
            f"{sequence_tokens + 1}; prepare more text, or shorten `train.sequence_tokens`"
        )
    return ValidationRows(tokens=data.val, sequence_tokens=sequence_tokens, num_rows=num_rows)
