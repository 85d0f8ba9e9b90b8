"""Writes the folder of a submission, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import yaml

from orchestrator.errors import UsageError
from orchestrator.submission.handed_in import HandedIn
from orchestrator.submission.readme import readme
from orchestrator.submission.requirements import requirements

TOKENIZER = "tokenizer.model"
CODE_PACKAGES = frozenset({"trainer"})


def check_new(folder: Path) -> None:
    """Raises UsageError if the folder holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty: name a new folder by --out")


def write_folder(submission: HandedIn, folder: Path) -> None:
    """Write all files of a submission to a folder that is new or empty."""
    folder = folder.absolute()
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, content in contents(submission).items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def contents(submission: HandedIn) -> dict[str, bytes]:
    """Every file by its path in the folder.

    `SHA256SUMS` names all but what is filled in by hand: `README.md` and `submission.json`.
    """
    dataset, code = submission.dataset, submission.code
    data = [(TOKENIZER if name == dataset.tokenizer.name else name, sha256) for name, sha256 in dataset.sums]
    files = {
        "artifact.frost": submission.artifact,
        TOKENIZER: dataset.tokenizer.read_bytes(),
        "config.yaml": yaml.safe_dump(submission.config.model_dump(mode="json"), sort_keys=False).encode(),
        "data.sha256": _lines(f"{sha256}  {name}" for name, sha256 in data),
        "requirements.txt": _lines(requirements(code.values(), CODE_PACKAGES)),
        "LICENSE": (distribution("frostline").read_text("licenses/LICENSE") or "MIT License\n").encode(),
        **{name: path.read_bytes().replace(b"\r\n", b"\n") for name, path in code.items()},
        **({} if submission.log is None else {"train.log": submission.log}),
    }
    sums = _lines(f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files))
    said = json.dumps(submission.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return {**files, "SHA256SUMS": sums, "submission.json": said.encode(), "README.md": readme(submission).encode()}


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
