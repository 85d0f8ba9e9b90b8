"""The last steps of a preparation: tokenizer, dataset folder and manifest become visible."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

from trainer.corpus.prepare_request import PrepareRequest
from trainer.corpus.shard_writer import Progress
from trainer.data import scan_cache
from trainer.data.manifest import MANIFEST, Entry, entry_named, load_manifest, merge_into_manifest
from trainer.data.shard_files import shard_name
from trainer.data.shards import SPLITS, Split, file_sha256
from trainer.data.tokenizer import BOS_ID, EOS_ID, load_tokenizer, vocab_listing
from trainer.files import write_atomically

RECORD = ".prepared.json"  # in a finished dataset: what it was made from, and its entries in the manifest
WORK = ".prepare"  # in an unfinished one: what is needed to go on


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What the first pass over the text found, by split, and bytes of text by input file."""

    num_documents: dict[Split, int]
    text_bytes: dict[Split, int]
    source_bytes: list[int]
    tokens_per_byte: float


def repair_publication(folder: Path, root: Path) -> None:
    """Complete a publication that was killed between two of its steps."""
    record = read_json(folder / RECORD)
    assert record is not None
    shutil.rmtree(folder / WORK, ignore_errors=True)
    if entry_named(load_manifest(root / MANIFEST), "datasets", folder.name) != record["dataset"]:
        merge_into_manifest(root, dataset=record["dataset"], tokenizer=record["tokenizer"])


def publish(
    partial: Path,
    folder: Path,
    root: Path,
    request: PrepareRequest,
    described: dict[str, Any],
    survey: Survey,
    progress: dict[Split, Progress],
) -> None:
    """Make finished work visible: tokenizer, folder, manifest, in this order; `repair_publication` completes it."""
    tokenizer = _publish_tokenizer(partial / WORK / "tokenizer.model", root, request)
    dataset = _dataset_entry(request, tokenizer, survey, progress)
    facts: scan_cache.Facts = {}
    for split, one in progress.items():
        for index, shard in enumerate(one.shards):
            scan_cache.cache_shard(facts, partial / shard_name(request.name, split, index), shard)
    scan_cache.cache_tokenizer(facts, root / tokenizer["model_path"])
    scan_cache.save_facts(partial, facts)
    record = {"request": described, "dataset": dataset, "tokenizer": tokenizer}
    write_atomically(partial / RECORD, json.dumps(record).encode())
    if folder.exists():
        replaced = folder.with_name(f".{request.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        os.replace(folder, replaced)
        os.replace(partial, folder)
        shutil.rmtree(replaced)
    else:
        os.replace(partial, folder)
    shutil.rmtree(folder / WORK)
    merge_into_manifest(root, dataset=dataset, tokenizer=tokenizer)


def _publish_tokenizer(model: Path, root: Path, request: PrepareRequest) -> Entry:
    """Put model and listing where tokenizers lie; return their entry in the manifest."""
    processor = load_tokenizer(model)
    vocab_size = processor.vocab_size()
    stem = f"tokenizers/{request.name}_{vocab_size}_bpe"
    content, listing = model.read_bytes(), vocab_listing(processor)
    write_atomically(root / f"{stem}.model", content)
    write_atomically(root / f"{stem}.vocab", listing)
    return {
        "name": f"{request.name}_sp_bpe_{vocab_size}",
        "kind": "sentencepiece_bpe",
        "vocab_size": vocab_size,
        "bos_id": BOS_ID,
        "eos_id": EOS_ID,
        "source_spec": {"vocab_size": request.vocab_size},
        "model_path": f"{stem}.model",
        "vocab_path": f"{stem}.vocab",
        "bytes": len(content),
        "sha256": file_sha256(root / f"{stem}.model"),
        "vocab_sha256": file_sha256(root / f"{stem}.vocab"),
    }


def _dataset_entry(request: PrepareRequest, tokenizer: Entry, survey: Survey, progress: dict[Split, Progress]) -> Entry:
    name = request.name
    counts: dict[str, dict[Split, int]] = {
        "docs": survey.num_documents,
        "files": {split: len(one.shards) for split, one in progress.items()},
        "tokens": {split: one.num_tokens for split, one in progress.items()},
        "text_bytes": survey.text_bytes,
    }
    stats = {f"{what}_{split}": by_split[split] for what, by_split in counts.items() for split in SPLITS}
    stats |= {f"{what}_total": sum(by_split.values()) for what, by_split in counts.items()}
    files = {
        shard_name(name, split, index): {"bytes": s.bytes, "tokens": s.num_tokens, "sha256": s.sha256}
        for split, one in progress.items()
        for index, s in enumerate(one.shards)
    }
    return {
        "name": name,
        "tokenizer_name": tokenizer["name"],
        "tokenizer_kind": tokenizer["kind"],
        "path": f"datasets/{name}",
        "train_glob": f"datasets/{name}/{name}_train_*.bin",
        "val_glob": f"datasets/{name}/{name}_val_*.bin",
        "vocab_size": tokenizer["vocab_size"],
        "bos_id": BOS_ID,
        "eos_id": EOS_ID,
        "shard_size": request.shard_tokens,
        "stats": stats,
        "files": files,
    }


def read_json(path: Path) -> dict[str, Any] | None:
    """What a file of our own holds; None where there is none, or it is damaged."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None
