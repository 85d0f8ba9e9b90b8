"""Prepare a dataset from text: tokenizer, shards, manifest; a killed preparation continues where it stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from trainer.corpus.prepare_request import STDLIB, PrepareRequest, describe, difference
from trainer.corpus.publish import RECORD, WORK, Survey, publish, read_json, repair_publication
from trainer.corpus.readers import Sample, Source, read_documents, split_by_hash, text_digest
from trainer.corpus.shard_writer import (
    Document,
    Progress,
    ShardWriter,
    encode_in_order,
    progress_from_json,
    progress_to_json,
)
from trainer.corpus.train_tokenizer import train_tokenizer
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.manifest import exclusive
from trainer.data.progress_meter import Advance, human_bytes, meter
from trainer.data.shards import SPLITS, TOKEN_BYTES, Split
from trainer.data.tokenizer import encode, load_tokenizer
from trainer.errors import DataError
from trainer.files import write_atomically

__all__ = ["STDLIB", "PrepareRequest", "Prepared", "prepare"]

TOKENIZER_SAMPLE_BYTES = 50_000_000

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    dataset: Dataset
    fresh: bool  # False: it was there already


def prepare(
    request: PrepareRequest,
    root: Path,
    *,
    num_workers: int | None = None,
    force: bool = False,
    say: Say = lambda _: None,
) -> Prepared:
    """Make a dataset in the data folder `root`, continue an unfinished one, or return the finished one.

    The bytes written depend on the request and the text alone, whatever `num_workers` and however often it was killed.
    `force` replaces a dataset of the same name that was made otherwise.

    Raises:
        DataError: if the request, the text or the disk does not serve, or the name is taken by another request.
    """
    request.check()
    sources = request.sources()
    folder = root / "datasets" / request.name
    busy = f"another process is preparing {request.name} in {root}; wait for it, or use another name"
    with exclusive(folder.with_name(f".{request.name}.lock"), busy=busy):
        if folder.is_dir() and not force:
            _require_same(folder, request, sources)
            repair_publication(folder, root)
            return Prepared(dataset=open_dataset(request.name, root), fresh=False)
        partial = folder.with_name(f".{request.name}.partial")
        described = _begin(partial, request, sources, force)
        survey = _survey_and_tokenizer(partial, request, sources, say)
        progress = _encode(partial, request, sources, survey, num_workers or _num_cpus(), say)
        publish(partial, folder, root, request, described, survey, progress)
    return Prepared(dataset=open_dataset(request.name, root), fresh=True)


def _num_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _require_same(folder: Path, request: PrepareRequest, sources: Sequence[Source]) -> None:
    """Raises DataError if the finished dataset in `folder` comes from another request."""
    advice = "pick another name, or replace it by --force"
    record = read_json(folder / RECORD)
    if record is None:
        raise DataError(f"{folder}: was not made by `frostline data prepare`; {advice}")
    if other := difference(record["request"], request, sources):
        raise DataError(f"{folder}: was made by another request ({other}); {advice}")


def _begin(partial: Path, request: PrepareRequest, sources: Sequence[Source], force: bool) -> dict[str, Any]:
    """Continue unfinished work of the same request, or start over.

    Raises:
        DataError: if another request has finished shards there; less than that is dropped.
    """
    path = partial / WORK / "request.json"
    described = read_json(path)
    if described is not None and (other := difference(described, request, sources)):
        if not force and (partial / WORK / "progress.json").exists():
            raise DataError(
                f"{partial}: holds finished shards of another, unfinished request ({other}); "
                "ask for the same again to finish it, pick another name, or drop it by --force"
            )
        described = None
    if described is None:
        shutil.rmtree(partial, ignore_errors=True)
        described = describe(request, sources)
        write_atomically(path, json.dumps(described).encode())
    for stray in partial.rglob("*.tmp"):
        stray.unlink()
    return described


def _documents(
    sources: Sequence[Source], request: PrepareRequest, first_source: int = 0
) -> Iterator[tuple[Document, bytes]]:
    """Every document of the sources from `first_source` on, with the SHA-256 of its text."""
    for index, source in enumerate(sources[first_source:], start=first_source):
        for number, text in enumerate(read_documents(source, request.text_column)):
            digest, num_bytes = text_digest(text)
            split = source.split or split_by_hash(digest, request.val_fraction)
            yield Document(position=(index, number), split=split, text=text, bytes=num_bytes), digest


def _survey_and_tokenizer(partial: Path, request: PrepareRequest, sources: Sequence[Source], say: Say) -> Survey:
    """Read all text once, train the tokenizer on a sample of the training documents, or find both done."""
    model_path, survey_path = partial / WORK / "tokenizer.model", partial / WORK / "survey.json"
    known = read_json(survey_path)
    if known is not None and model_path.exists():
        say(f"going on with {request.name}: the tokenizer is there")
        return Survey(**known)
    sample = Sample(TOKENIZER_SAMPLE_BYTES)
    survey = _survey(request, sources, sample)
    documents = sample.documents()
    num_documents, num_bytes = sum(survey.num_documents.values()), sum(survey.text_bytes.values())
    say(f"{num_documents:,} documents, {human_bytes(num_bytes)} of text; training the tokenizer")
    model = train_tokenizer(documents, request.vocab_size)
    write_atomically(model_path, model)
    processor = load_tokenizer(model_path)
    if processor.vocab_size() < request.vocab_size:
        say(
            f"note: this text fills a vocabulary of {processor.vocab_size()}, not {request.vocab_size}; "
            f"`model.vocab_size` must be {processor.vocab_size()}"
        )
    probe = [document[:4096] for document in documents[:: max(1, len(documents) // 256)]]
    num_tokens = sum(len(tokens) for tokens in encode(processor, probe))
    survey = dataclasses.replace(survey, tokens_per_byte=num_tokens / sum(len(text.encode()) for text in probe))
    write_atomically(survey_path, json.dumps(dataclasses.asdict(survey)).encode())
    return survey


def _survey(request: PrepareRequest, sources: Sequence[Source], sample: Sample) -> Survey:
    num_documents: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    text_bytes: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    source_bytes = [0] * len(sources)
    with meter("reading text", sum(source.path.stat().st_size for source in sources)) as advance:
        for index, source in enumerate(sources):
            for document, digest in _documents(sources[: index + 1], request, index):
                num_documents[document.split] += 1
                text_bytes[document.split] += document.bytes
                source_bytes[index] += document.bytes
                if document.split == "train":
                    sample.add(document.text, digest, document.bytes)
            advance(source.path.stat().st_size)
    _require_both_splits(request, num_documents)
    return Survey(num_documents=num_documents, text_bytes=text_bytes, source_bytes=source_bytes, tokens_per_byte=0.0)


def _require_both_splits(request: PrepareRequest, num_documents: dict[Split, int]) -> None:
    total = sum(num_documents.values())
    if not total:
        raise DataError(f"{request.name}: the input holds no text: every document is empty or blank")
    for split in SPLITS:
        if num_documents[split]:
            continue
        if request.val_files:
            raise DataError(f"{request.name}: no document is left for {split}; check --text and --val-files")
        raise DataError(
            f"{request.name}: none of {total} documents (a text file is one) fell into {split} with a validation share "
            f"of {request.val_fraction}; name some by --val-files, change --val-fraction, or give more documents"
        )


def _encode(
    partial: Path, request: PrepareRequest, sources: Sequence[Source], survey: Survey, num_workers: int, say: Say
) -> dict[Split, Progress]:
    """Write every shard that is not finished yet, noting progress after each."""
    state_path = partial / WORK / "progress.json"
    known = read_json(state_path) or {}
    start = {split: progress_from_json(known[split]) if split in known else Progress() for split in SPLITS}
    writers = {split: ShardWriter(partial, request.name, split, request.shard_tokens, start[split]) for split in SPLITS}
    if num_done := sum(len(one.shards) for one in start.values()):
        say(f"going on with {request.name}: {num_done} finished shards are kept")
    _require_space(partial, survey, sum(one.num_tokens for one in start.values()))
    first_source = min(one.position[0] for one in start.values())
    with meter("encoding", sum(survey.source_bytes)) as advance:
        advance(sum(survey.source_bytes[:first_source]))
        wanted = _wanted(_documents(sources, request, first_source), writers, advance)
        for batch in encode_in_order(wanted, load_tokenizer(partial / WORK / "tokenizer.model"), num_workers):
            for document, tokens in batch:
                if writers[document.split].add(document.position, tokens):
                    _save_progress(state_path, writers)
            advance(sum(document.bytes for document, _ in batch))
    for writer in writers.values():
        writer.finish((len(sources), 0))
    _save_progress(state_path, writers)
    return {split: writer.progress for split, writer in writers.items()}


def _wanted(
    documents: Iterator[tuple[Document, bytes]], writers: dict[Split, ShardWriter], advance: Advance
) -> Iterator[Document]:
    """The documents that are not yet in finished shards."""
    for document, _ in documents:
        if writers[document.split].wants(document.position):
            yield document
        else:
            advance(document.bytes)


def _save_progress(path: Path, writers: dict[Split, ShardWriter]) -> None:
    values = {split: progress_to_json(writer.progress) for split, writer in writers.items()}
    write_atomically(path, json.dumps(values).encode())


def _require_space(folder: Path, survey: Survey, num_tokens_done: int) -> None:
    num_tokens = sum(survey.text_bytes.values()) * survey.tokens_per_byte - num_tokens_done
    needed, free = 1.05 * TOKEN_BYTES * max(num_tokens, 0), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: the shards need about {human_bytes(needed)}, but only {human_bytes(free)} are free; "
            "make room, or choose another --root"
        )
