"""Open a dataset with every check, or check it shard by shard.

Layout (the competition's): `<root>/manifest.json`, `<root>/datasets/<name>/<prefix>_{train,val}_%06d.bin`,
`<root>/tokenizers/*.model`. A folder of FineWeb that others downloaded opens like one of ours, with a manifest or not.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from pathlib import Path

from trainer.data import scan_cache
from trainer.data.manifest import MANIFEST, Entry, entry_named, load_manifest, path_below
from trainer.data.progress_meter import meter
from trainer.data.shard_files import find_shards, scan_shard
from trainer.data.shards import SPLITS, Split, Tokens, ValidationData, fingerprint, read_header
from trainer.errors import DataError

_VOCAB_IN_NAME = re.compile(r".*_sp(\d+)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset(ValidationData):
    """A dataset that passed every check. `sums`: name and SHA-256 of every shard and of the tokenizer, as its
    fingerprint takes them."""

    train: Tokens
    sums: tuple[tuple[str, str], ...]


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
    facts = scan_cache.load_facts(folder)
    before = dict(facts)
    if scan_cache.cached(facts, tokenizer) is None:
        scan_cache.cache_tokenizer(facts, tokenizer)
    scan_cache.scan_new(facts, [*paths["train"], *paths["val"]])
    if facts != before:
        scan_cache.save_facts(folder, facts)
    vocab_size = int(facts[tokenizer.name]["vocab_size"])
    _check_tokenizer(tokenizer, facts, manifest, entry)
    for path in (*paths["train"], *paths["val"]):
        if problem := _shard_problem(path, facts, vocab_size, entry):
            raise DataError(problem)
    tokens = {s: Tokens(tuple(paths[s]), tuple(int(facts[p.name]["num_tokens"]) for p in paths[s])) for s in SPLITS}
    sums = tuple((p.name, str(facts[p.name]["sha256"])) for p in (*paths["train"], *paths["val"], tokenizer))
    return Dataset(
        name=name,
        vocab_size=vocab_size,
        tokenizer=tokenizer,
        train=tokens["train"],
        val=tokens["val"],
        sha256=fingerprint(sums),
        sums=sums,
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
    facts: scan_cache.Facts = {}
    scan_cache.cache_tokenizer(facts, tokenizer)
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
            scan_cache.cache_shard(facts, path, found)
            rows.append((path, found.num_tokens, _shard_problem(path, facts, vocab_size, entry)))
    scan_cache.save_facts(folder, facts)
    return rows


def token_counts(name: str, root: Path) -> dict[Split, list[int]]:
    """Tokens of each shard by the headers alone, for a quick listing. Raises DataError."""
    paths = find_shards(_dataset_folder(name, root))
    return {split: [read_header(path) for path in paths[split]] for split in SPLITS}


def _dataset_folder(name: str, root: Path) -> Path:
    folder = root / "datasets" / name
    names = dataset_names(root)
    if name in names:
        return folder
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}" if names else "there is none yet"
    text = "" if name == "stdlib" else " --text PATH"
    raise DataError(
        f"{folder}: there is no dataset {name} ({hint}); make one with `frostline data prepare {name}{text}` "
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


def _check_tokenizer(tokenizer: Path, facts: scan_cache.Facts, manifest: Entry, entry: Entry) -> None:
    found = facts[tokenizer.name]
    if entry.get("vocab_size") not in (None, found["vocab_size"]):
        raise DataError(
            f"{tokenizer}: has {found['vocab_size']} tokens, but the manifest says {entry['vocab_size']} "
            f"for {entry['name']}; get the dataset again"
        )
    listed = entry_named(manifest, "tokenizers", entry.get("tokenizer_name")) or {}
    if listed.get("sha256") not in (None, found["sha256"]):
        raise DataError(f"{tokenizer}: differs from what the manifest lists (SHA-256); get the dataset again")


def _shard_problem(path: Path, facts: scan_cache.Facts, vocab_size: int, entry: Entry) -> str | None:
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
