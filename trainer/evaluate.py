"""Scoring: cross-entropy and bits per byte on fixed validation tokens, by the competition's rule."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from trainer.byte_rule import ByteTables, count_bytes
from trainer.config import TrialConfig
from trainer.data import ValidationRows
from trainer.device import precision
from trainer.model import GPT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """`ce` in nats per token and `bpb` in bits per byte, over `num_tokens` targets that stand for `num_bytes`."""

    ce: float
    bpb: float
    num_tokens: int
    num_bytes: int


@torch.no_grad()
def evaluate(model: GPT, rows: ValidationRows, tables: ByteTables, config: TrialConfig) -> Score:
    """Score `model` on all `rows`, each in its own context (block evaluation).

    Sums are float64. The model is run as plain PyTorch, never compiled, so the score is the same in the process that
    trained it and in a fresh one. No generator is touched. Bits per byte follow the competition: (nats / ln 2) per
    byte, where a token's bytes are those of its piece and of a leading space unless it follows a boundary.
    """
    was_training = model.training
    model.eval()
    device = model.embedding.device
    nats, num_tokens, num_bytes = 0.0, 0, 0
    for start in range(0, rows.num_rows, config.eval.batch_sequences):
        block = rows.rows(start, min(start + config.eval.batch_sequences, rows.num_rows))
        tokens = torch.from_numpy(block.astype(np.int64)).to(device)
        with precision(device, config):
            losses = model(tokens)
        nats += float(losses.double().sum())
        num_tokens += losses.numel()
        num_bytes += count_bytes(tables, block[:, :-1], block[:, 1:])
    model.train(was_training)
    bpb = nats / math.log(2) / num_bytes if num_bytes else math.inf
    return Score(ce=nats / num_tokens, bpb=bpb, num_tokens=num_tokens, num_bytes=num_bytes)
