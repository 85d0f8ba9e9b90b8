"""Datasets made by hand for tests: a real small tokenizer, and tokens that tests choose."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.corpus.train_tokenizer import train_tokenizer
from trainer.data.shard_files import shard_name, write_shard
from trainer.data.shards import SPLITS

VOCAB_SIZE = 300

TEXTS = tuple(
    f"The {n}th line of a small text: naïve café, 東京, {n * 7} birds sing\nand a second one." for n in range(60)
)


@functools.cache
def small_model() -> bytes:
    """A sentencepiece model of 300 tokens."""
    return train_tokenizer(TEXTS, VOCAB_SIZE)


def make_folder(
    root: Path,
    *,
    train: Sequence[Sequence[int]],
    val: Sequence[Sequence[int]],
    name: str = "set_sp300",
    prefix: str = "fineweb",
    tokenizer: str = "fineweb_300_bpe.model",
) -> Path:
    """Shards and tokenizer as others download them, without a manifest; the folder of the shards."""
    (root / "tokenizers").mkdir(parents=True, exist_ok=True)
    (root / "tokenizers" / tokenizer).write_bytes(small_model())
    folder = root / "datasets" / name
    folder.mkdir(parents=True)
    for split, shards in zip(SPLITS, (train, val), strict=True):
        for index, tokens in enumerate(shards):
            write_shard(folder / shard_name(prefix, split, index), [np.array(tokens, dtype=np.uint16)])
    return folder
