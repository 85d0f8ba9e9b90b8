"""Datasets of tokens: opening with every check, batches as a pure function of (seed, step), validation rows.

Layout (the competition's): `<root>/manifest.json`, `<root>/datasets/<name>/<prefix>_{train,val}_%06d.bin`,
`<root>/tokenizers/*.model`. A folder of FineWeb that others downloaded opens like one of ours, with a manifest or not.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from trainer import checked
from trainer.manifest import MANIFEST, Entry, entry_named, load_manifest, path_below
from trainer.meter import meter
from trainer.shards import SPLITS, DataError, Split, find_shards, map_shard, read_header, scan_shard
from trainer.shuffle import shuffled

__all__ = [
    "DataError", "Dataset", "Tokens", "ValidationRows", "batch", "check_shards", "dataset_names", "open_dataset",
    "shuffled", "validation_rows",
]  # fmt: skip

_VOCAB_IN_NAME = re.compile(r".*_sp(\d+)")


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The tokens of one split: shards in order, mapped when first touched. Pickles as paths and counts."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]  # tokens of each shard

    @cached_property
    def shards(self) -> tuple[np.ndarray, ...]:
        """Read-only memory maps, uint16, shapes (counts[i],)."""
        return tuple(map_shard(path, count) for path, count in zip(self.paths, self.counts, strict=True))

    @property
    def num_tokens(self) -> int:
        return sum(self.counts)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens [start, stop) of all shards taken as one stream, uint16."""
        assert 0 <= start <= stop <= self.num_tokens, (start, stop, self.num_tokens)
        parts = []
        for shard in self.shards:
            parts.append(shard[max(start, 0) : max(stop, 0)])
            start, stop = start - len(shard), stop - len(shard)
        return np.concatenate(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokens, (self.paths, self.counts)  # a memory map would pickle as all of its tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset that passed every check. `sha256` names its content, shards and tokenizer, wherever they lie."""

    name: str
    vocab_size: int  # of the tokenizer itself, which can be smaller than what was asked for
    tokenizer: Path  # a sentencepiece model
    train: Tokens
    val: Tokens
    sha256: str


def dataset_names(root: Path) -> list[str]:
    """The datasets whose folders lie in `root`."""
    folder = root / "datasets"
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def open_dataset(name: str, root: Path) -> Dataset:
    """Open the dataset `name` of the data folder `root`, checking every shard.

    The first open reads every byte; later ones compare size and time of change.

    Raises:
        DataError: if anything is absent, empty, truncated, of another format, or not what the manifest says, or
            holds ids outside the vocabulary.
    """
    folder = _dataset_folder(name, root)
    manifest = load_manifest(root / MANIFEST)
    entry = entry_named(manifest, "datasets", name) or {}
    tokenizer = _find_tokenizer(name, root, manifest, entry)
    paths = _listed_shards(folder, entry)
    facts = checked.load_facts(folder)
    before = dict(facts)
    if checked.remembered(facts, tokenizer) is None:
        checked.note_tokenizer(facts, tokenizer)
    checked.scan_new(facts, [*paths["train"], *paths["val"]])
    if facts != before:
        checked.save_facts(folder, facts)
    vocab_size = int(facts[tokenizer.name]["vocab_size"])
    _check_tokenizer(tokenizer, facts, manifest, entry)
    for path in (*paths["train"], *paths["val"]):
        if problem := _shard_problem(path, facts, vocab_size, entry):
            raise DataError(problem)
    tokens = {s: Tokens(tuple(paths[s]), tuple(int(facts[p.name]["num_tokens"]) for p in paths[s])) for s in SPLITS}
    return Dataset(
        name=name,
        vocab_size=vocab_size,
        tokenizer=tokenizer,
        train=tokens["train"],
        val=tokens["val"],
        sha256=_fingerprint(paths, tokenizer, facts),
    )


def check_shards(name: str, root: Path) -> list[tuple[Path, int | None, str | None]]:
    """Read every byte of a dataset anew: each shard with its number of tokens and what is wrong with it, if anything.

    Raises:
        DataError: if the dataset as a whole cannot be made out: no folder, no tokenizer, a shard missing.
    """
    folder = _dataset_folder(name, root)
    manifest = load_manifest(root / MANIFEST)
    entry = entry_named(manifest, "datasets", name) or {}
    tokenizer = _find_tokenizer(name, root, manifest, entry)
    facts: checked.Facts = {}
    checked.note_tokenizer(facts, tokenizer)
    _check_tokenizer(tokenizer, facts, manifest, entry)
    vocab_size = int(facts[tokenizer.name]["vocab_size"])
    rows: list[tuple[Path, int | None, str | None]] = []
    paths = _listed_shards(folder, entry)
    with meter("checking shards", sum(p.stat().st_size for s in SPLITS for p in paths[s])) as advance:
        for path in (*paths["train"], *paths["val"]):
            try:
                found = scan_shard(path, advance)
            except DataError as error:
                rows.append((path, None, str(error)))
                continue
            checked.note_shard(facts, path, found)
            rows.append((path, found.num_tokens, _shard_problem(path, facts, vocab_size, entry)))
    checked.save_facts(folder, facts)
    return rows


def token_counts(name: str, root: Path) -> dict[Split, list[int]]:
    """Tokens of each shard by the headers alone, for a quick listing. Raises DataError."""
    paths = find_shards(_dataset_folder(name, root))
    return {split: [read_header(path) for path in paths[split]] for split in SPLITS}


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
    """Validation tokens in rows of `sequence_tokens` targets; `rows(a, b)` reads only what it returns."""

    tokens: Tokens
    sequence_tokens: int
    num_rows: int

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
        stream = self.tokens.read(start * length, stop * length + 1)
        return np.lib.stride_tricks.sliding_window_view(stream, length + 1)[::length].copy()


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


def _dataset_folder(name: str, root: Path) -> Path:
    folder = root / "datasets" / name
    names = dataset_names(root)
    if name in names:
        return folder
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}" if names else "there is none yet"
    raise DataError(
        f"{folder}: there is no dataset {name} ({hint}); make one with `frostline data prepare {name}` "
        "or get FineWeb with `frostline data fetch`"
    )


def _find_tokenizer(name: str, root: Path, manifest: Entry, entry: Entry) -> Path:
    """The sentencepiece model of a dataset: the manifest's, else by the name `…_sp<size>`, else the only one there."""
    listed = entry_named(manifest, "tokenizers", entry["tokenizer_name"]) if "tokenizer_name" in entry else None
    if listed is not None:
        if not listed.get("model_path"):
            raise DataError(
                f"{root / MANIFEST}: {name} has a tokenizer of kind {listed.get('kind')}; only sentencepiece is known"
            )
        return path_below(root, listed["model_path"], root / MANIFEST)
    folder = root / "tokenizers"
    if match := _VOCAB_IN_NAME.fullmatch(name):
        usual = folder / f"fineweb_{match[1]}_bpe.model"
        if usual.exists():
            return usual
    models = sorted(folder.glob("*.model"))
    if len(models) == 1:
        return models[0]
    found = ", ".join(path.name for path in models) or "none"
    raise DataError(
        f"{folder}: cannot tell which tokenizer belongs to {name} (found: {found}); "
        f"name it in {MANIFEST}, or get the dataset again"
    )


def _listed_shards(folder: Path, entry: Entry) -> dict[Split, list[Path]]:
    """The shards there are, after a look at which ones there should be."""
    paths = find_shards(folder)
    names = {path.name for split in SPLITS for path in paths[split]}
    for lost in sorted(entry.get("files", {}).keys() - names):
        raise DataError(f"{folder / lost}: is missing, though the manifest lists it; get the dataset again")
    for split in SPLITS:
        if not paths[split]:
            raise DataError(f"{folder}: holds no shard *_{split}_000000.bin; get the dataset again")
    # A part of the training set is a choice, a part of the validation set is another score.
    expected = entry.get("stats", {}).get("files_val")
    if isinstance(expected, int) and len(paths["val"]) < expected:
        raise DataError(f"{folder}: holds {len(paths['val'])} of {expected} validation shards; get the rest")
    return paths


def _check_tokenizer(tokenizer: Path, facts: checked.Facts, manifest: Entry, entry: Entry) -> None:
    found = facts[tokenizer.name]
    if entry.get("vocab_size") not in (None, found["vocab_size"]):
        raise DataError(
            f"{tokenizer}: has {found['vocab_size']} tokens, but the manifest says {entry['vocab_size']} "
            f"for {entry['name']}; get the dataset again"
        )
    listed = entry_named(manifest, "tokenizers", entry.get("tokenizer_name")) or {}
    if listed.get("sha256") not in (None, found["sha256"]):
        raise DataError(f"{tokenizer}: differs from what the manifest lists (SHA-256); get the dataset again")


def _shard_problem(path: Path, facts: checked.Facts, vocab_size: int, entry: Entry) -> str | None:
    found, listed = facts[path.name], entry.get("files")
    if int(found["max_id"]) >= vocab_size:
        return (
            f"{path}: holds the token id {found['max_id']}, but the tokenizer has {vocab_size} tokens; "
            "it belongs to another tokenizer, or is damaged"
        )
    if listed is None:
        return None
    if path.name not in listed:
        return f"{path}: is not in the manifest; remove it, or get the dataset again"
    if listed[path.name].get("sha256") not in (None, found["sha256"]):
        return f"{path}: differs from what the manifest lists (SHA-256); remove it, and get it again"
    return None


def _fingerprint(paths: dict[Split, list[Path]], tokenizer: Path, facts: checked.Facts) -> str:
    lines = [f"{split} {facts[path.name]['sha256']}" for split in SPLITS for path in paths[split]]
    lines.append(f"tokenizer {facts[tokenizer.name]['sha256']}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
