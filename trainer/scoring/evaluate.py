"""Scoring: cross-entropy and bits per byte on fixed validation tokens, by the competition's rule."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from trainer.config.shape import TrialShape
from trainer.data.token_bytes import ByteTables, count_bytes
from trainer.data.validation_rows import ValidationRows
from trainer.device import precision
from trainer.model.networks import Scored


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """`ce` in nats per token and `bpb` in bits per byte, over `num_tokens` targets that stand for `num_bytes`."""

    ce: float
    bpb: float
    num_tokens: int
    num_bytes: int


@torch.no_grad()
def evaluate(
    model: Scored,
    rows: ValidationRows,
    tables: ByteTables,
    config: TrialShape,
    *,
    stride: int | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> Score:
    """Score `model` on the tokens of `rows`: block by block, or with a window that slides by `stride` tokens.

    In a block every token is seen with what stands before it in its own block. A sliding window scores each token
    with at least `sequence_tokens - stride` tokens before it, except in the first window. Both score the same tokens.
    Sums are float64. The model is run as plain PyTorch, never compiled, so the score is the same in the process that
    trained it and in a fresh one. No generator is touched. Bits per byte follow the competition: (nats / ln 2) per
    byte, where a token's bytes are those of its piece and of a leading space unless it follows a boundary.
    """
    was_training, device, length = model.training, model.embedding.device, rows.sequence_tokens
    model.eval()
    windows = list(window_starts(rows.num_tokens, length, stride or length))
    nats, num_tokens, num_bytes = 0.0, 0, 0
    for first in range(0, len(windows), config.eval.batch_sequences):
        batch = windows[first : first + config.eval.batch_sequences]
        block = np.stack([rows.read(start, start + length + 1) for start, _ in batch])
        is_new = np.arange(length) >= length - np.array([num_new for _, num_new in batch])[:, None]
        with precision(device, config):
            losses = model(torch.from_numpy(block.astype(np.int64)).to(device))
        nats += float((losses.double() * torch.from_numpy(is_new).to(device)).sum())
        num_tokens += int(is_new.sum())
        num_bytes += count_bytes(tables, block[:, :-1][is_new], block[:, 1:][is_new])
        advance(num_tokens / rows.num_tokens)
    model.train(was_training)
    bpb = nats / math.log(2) / num_bytes if num_bytes else math.inf
    return Score(ce=nats / num_tokens, bpb=bpb, num_tokens=num_tokens, num_bytes=num_bytes)


def window_starts(num_tokens: int, length: int, stride: int) -> Iterator[tuple[int, int]]:
    """Start of each window of `length` targets over `num_tokens`, and how many targets at its end are new.

    Every target is new in exactly one window; `stride` equal to `length` gives blocks.
    """
    assert num_tokens >= length and 1 <= stride <= length, (num_tokens, length, stride)
    scored = length
    yield 0, length
    while scored < num_tokens:
        num_new = min(stride, num_tokens - scored)
        scored += num_new
        yield scored - length, num_new
