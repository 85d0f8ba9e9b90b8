from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import build, tiny_config

from trainer.data.dataset import open_dataset
from trainer.data.token_bytes import count_bytes
from trainer.scoring.evaluate import evaluate, window_starts
from trainer.scoring.validation import open_validation


@given(num_rows=st.integers(1, 20), length=st.integers(1, 40), data=st.data())
def test_every_token_is_new_in_exactly_one_window(num_rows: int, length: int, data: st.DataObject) -> None:
    """Whatever the stride, windows lie inside the tokens and score each target once, in order."""
    stride = data.draw(st.integers(1, length))
    scored: list[int] = []
    for start, num_new in window_starts(num_rows * length, length, stride):
        assert start >= 0 and start + length <= num_rows * length
        scored.extend(range(start + length - num_new, start + length))
    assert scored == list(range(num_rows * length))


@pytest.mark.parametrize("stride", [None, 32, 8, 5])
def test_scores_are_the_mean_over_single_windows(stride: int | None, data_root: Path) -> None:
    """Batching is only batching: window by window, token by token, the sums are the same."""
    config = tiny_config(eval={"tokens": 256, "batch_sequences": 3})
    validation, model = open_validation(config, open_dataset("tiny", data_root)), build(config)
    rows, tables = validation.rows, validation.tables
    score = evaluate(model, rows, tables, config, stride=stride)
    nats, num_bytes = 0.0, 0
    with torch.no_grad():
        for start, num_new in window_starts(256, 32, stride or 32):
            window = rows.tokens.read(start, start + 33).astype(np.int64)
            nats += model(torch.from_numpy(window)[None])[0, -num_new:].double().sum().item()
            num_bytes += count_bytes(tables, window[-num_new - 1 : -1], window[-num_new:])
    assert (score.num_tokens, score.num_bytes) == (256, num_bytes)
    assert score.ce == pytest.approx(nats / 256, rel=1e-6)
    assert score.bpb == pytest.approx(nats / math.log(2) / num_bytes, rel=1e-6)


def test_a_stride_of_a_whole_row_is_block_evaluation(data_root: Path) -> None:
    """The two ways agree to the last bit where they are the same thing."""
    config = tiny_config()
    validation, model = open_validation(config, open_dataset("tiny", data_root)), build(config)
    assert validation.score(model, config, stride=32) == validation.score(model, config)
