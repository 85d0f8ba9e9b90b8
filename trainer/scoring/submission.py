"""The score of the artifact in the folder of a submission, whose files `score.py` has compared with their SHA-256."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.artifact.decode import decode
from trainer.config.shape import TrialShape
from trainer.data.shards import SHARD_NAME, Tokens, ValidationData, fingerprint, read_header
from trainer.data.tokenizer import load_tokenizer
from trainer.device import prepare_device, select_device
from trainer.errors import DataError
from trainer.scoring.validation import Reloaded, open_validation, score_artifact

SECONDS_BETWEEN_LINES = 10.0
LARGEST_DIFFERENCE = 1e-4  # relative, of what two devices make of one artifact


def score_submission(
    folder: Path, shards: Path, sums: Mapping[str, str], *, device: str | None, scores_test: bool
) -> int:
    """Print the score; 0 where score and size are those that were handed in, else 1.

    Args:
        shards: the folder of the validation shards.
        sums: SHA-256 of every shard and of the tokenizer.
        device: by default the one of `submission.json`.

    Raises:
        ValueError: if the data are not those of the artifact, the artifact is damaged, or the device is not there.
    """
    said = json.loads((folder / "submission.json").read_bytes())
    artifact = decode(folder / "artifact.frost", TrialShape.from_json)
    if fingerprint(sums.items()) != artifact.data_sha256:
        raise DataError("data.sha256 does not list the data that the artifact was trained and scored on")
    config = artifact.config
    config.device = device or said["device"]
    chosen = select_device(config, has_gpu=False)
    prepare_device(chosen, config)
    validation = open_validation(config, _data(folder, shards, sums))
    validation = dataclasses.replace(validation, advance=_progress())
    found = score_artifact(artifact, validation, chosen, scores_test=scores_test)
    _print(found)
    print(f"scored on {chosen}, num_threads {config.num_threads}")
    handed_in = {"val_loss": found.score.ce, "val_bpb": found.score.bpb}
    num_bytes = artifact.artifact_bytes + said["bytes_code"]
    if all(said[name] == value for name, value in handed_in.items()):
        print("submission.json says the same, to the last digit")
    for name, value in handed_in.items():
        if said[name] != value:
            print(f"submission.json says {name} {said[name]!r}, not {value!r}: on {said['device_name']}")
    if said["bytes_total"] != num_bytes:
        print(f"submission.json says bytes_total {said['bytes_total']}, but artifact and bytes_code make {num_bytes}")
    # a comparison with NaN is false
    is_right = all(abs(said[name] - value) <= LARGEST_DIFFERENCE * value for name, value in handed_in.items())
    return int(not is_right or said["bytes_total"] != num_bytes)


def _data(folder: Path, shards: Path, sums: Mapping[str, str]) -> ValidationData:
    names = [name for name in sums if (match := SHARD_NAME.fullmatch(name)) and match["split"] == "val"]
    paths, tokenizer = tuple(shards / name for name in names), folder / "tokenizer.model"
    return ValidationData(
        name=shards.name,
        vocab_size=load_tokenizer(tokenizer).vocab_size(),
        tokenizer=tokenizer,
        val=Tokens(paths, tuple(map(read_header, paths))),
        sha256=fingerprint(sums.items()),
    )


def _print(found: Reloaded) -> None:
    for kind, score in (("", found.score), ("_sliding", found.sliding), ("_test", found.test)):
        if score is not None:
            size = f"{score.num_tokens:,} tokens, {score.num_bytes:,} bytes"
            print(f"ce{kind} {score.ce!r} nats per token\nbpb{kind} {score.bpb!r} bits per byte, of {size}")


def _progress() -> Callable[[float], None]:
    """A function that is told which share is scored, and says it every ten seconds."""
    next_line = time.monotonic() + SECONDS_BETWEEN_LINES

    def advance(share: float) -> None:
        nonlocal next_line
        if time.monotonic() > next_line:
            next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            print(f"scored {share:.0%}", file=sys.stderr, flush=True)

    return advance
