"""Tokenize documents in parallel and write shards, in order, with bounded memory."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from trainer.data.shard_files import ShardFacts, shard_name, write_shard
from trainer.data.shards import Split
from trainer.data.tokenizer import encode

BATCH_BYTES = 1 << 18

# Which document: number of the file, number of the document in it.
Position = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    position: Position
    split: Split
    text: str
    bytes: int  # in UTF-8


def encode_in_order(
    documents: Iterable[Document], processor: sentencepiece.SentencePieceProcessor, num_workers: int
) -> Iterator[list[tuple[Document, np.ndarray]]]:
    """Batches of documents with their tokens, in the order they came in, whatever the number of workers.

    Workers are threads, because sentencepiece encodes outside the interpreter's lock: on two cores 10 MB/s, where
    processes reach 8 for all the text they pass around, and a killed parent leaves no child behind.
    At most twice as many batches as workers are held at a time.
    """

    def work(batch: list[Document]) -> list[tuple[Document, np.ndarray]]:
        return list(zip(batch, encode(processor, [document.text for document in batch]), strict=True))

    window: deque[Future[list[tuple[Document, np.ndarray]]]] = deque()
    with ThreadPoolExecutor(num_workers, thread_name_prefix="encode") as pool:
        for batch in _batches(documents):
            window.append(pool.submit(work, batch))
            if len(window) > 2 * num_workers:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    num_bytes = 0
    for document in documents:
        batch.append(document)
        num_bytes += document.bytes
        if num_bytes >= BATCH_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How far one split is: its finished shards, and the document and token of it where the next shard begins."""

    shards: tuple[ShardFacts, ...] = ()
    position: Position = (0, 0)
    skip_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        return sum(shard.num_tokens for shard in self.shards)


class ShardWriter:
    """Cuts the documents of one split into shards of `shard_tokens`, the last one shorter; documents may span shards.

    Holds the tokens of one shard in memory. `progress` covers finished shards alone, so continuing from it gives the
    same bytes as never having stopped.
    """

    def __init__(self, folder: Path, prefix: str, split: Split, shard_tokens: int, progress: Progress) -> None:
        self._folder, self._prefix, self._split, self._shard_tokens = folder, prefix, split, shard_tokens
        self.progress = progress
        self._held: list[np.ndarray] = []
        self._num_held = 0

    def wants(self, position: Position) -> bool:
        """Whether a document has tokens that are in no finished shard."""
        return position >= self.progress.position

    def add(self, position: Position, tokens: np.ndarray) -> bool:
        """Take the next document; True if that finished a shard."""
        if position == self.progress.position and not self._held:
            tokens = tokens[self.progress.skip_tokens :]
            offset = self.progress.skip_tokens
        else:
            offset = 0
        finished = False
        while self._num_held + len(tokens) >= self._shard_tokens:
            cut = self._shard_tokens - self._num_held
            self._held.append(tokens[:cut])
            tokens, offset, finished = tokens[cut:], offset + cut, True
            follows = position if len(tokens) else (position[0], position[1] + 1)
            self._write(follows, offset if len(tokens) else 0)
        if len(tokens):
            self._held.append(tokens)
            self._num_held += len(tokens)
        return finished

    def finish(self, end: Position) -> None:
        """Write what is left as the last shard; `end` is after every document."""
        if self._num_held:
            self._write(end, 0)

    def _write(self, follows: Position, skip_tokens: int) -> None:
        path = self._folder / shard_name(self._prefix, self._split, len(self.progress.shards))
        shards = (*self.progress.shards, write_shard(path, self._held))
        self.progress = Progress(shards=shards, position=follows, skip_tokens=skip_tokens)
        self._held, self._num_held = [], 0


def progress_to_json(progress: Progress) -> dict[str, Any]:
    return dataclasses.asdict(progress)


def progress_from_json(values: dict[str, Any]) -> Progress:
    """What `progress_to_json` wrote. Raises KeyError or TypeError on anything else."""
    return Progress(
        shards=tuple(ShardFacts(**shard) for shard in values["shards"]),
        position=(values["position"][0], values["position"][1]),
        skip_tokens=values["skip_tokens"],
    )
