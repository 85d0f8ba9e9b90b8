"""`manifest.json` of a data folder, with the competition's keys.

One manifest serves all datasets of a folder. Entries that frostline writes carry, beside the competition's keys,
`files` (name → bytes, tokens, SHA-256) in a dataset, and `bytes` and `sha256` in a tokenizer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trainer.errors import Busy, DataError
from trainer.files import write_atomically
from trainer.locks import locked

MANIFEST = "manifest.json"

Entry = dict[str, Any]


def empty_manifest() -> Entry:
    return {"version": "frostline", "append_eos": False, "tokenizers": [], "datasets": []}


def load_manifest(path: Path) -> Entry:
    """The manifest, or an empty one where there is none.

    Raises:
        DataError: if the file is no manifest.
    """
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        return empty_manifest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({error}); remove it, or get it again") from error
    lists = manifest if isinstance(manifest, dict) else {"datasets": None}
    for key in ("datasets", "tokenizers"):
        entries = lists.setdefault(key, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: `{key}` must be a list of objects; remove the file, or get it again")
    return lists


def entry_named(manifest: Mapping[str, Any], kind: str, name: object) -> Entry | None:
    """The entry called `name` among `kind` (`datasets` or `tokenizers`)."""
    return next((dict(entry) for entry in manifest[kind] if entry.get("name") == name), None)


def path_below(root: Path, relative: object, manifest_path: Path) -> Path:
    """`root / relative`, refusing what leaves `root`: manifests come from strangers.

    Raises:
        DataError: if `relative` is no relative path below `root`.
    """
    if not isinstance(relative, str) or Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise DataError(f"{manifest_path}: paths must lie below the data folder, but one is {relative!r}")
    return root / relative


def merge_into_manifest(root: Path, *, dataset: Entry, tokenizer: Entry, defaults: Mapping[str, Any] = {}) -> None:
    """Add the entries to the manifest of `root`, in place of those of the same names; all else stays as it is.

    `defaults` are keys of the manifest itself, used where it has none.
    """
    path = root / MANIFEST
    with exclusive(root / ".manifest.lock"):
        fresh = not path.exists()
        manifest = load_manifest(path)
        if fresh:
            manifest = {**manifest, **defaults}
        merged = {**defaults, **manifest}
        merged["datasets"] = _replaced(manifest["datasets"], dataset)
        merged["tokenizers"] = _replaced(manifest["tokenizers"], tokenizer)
        write_atomically(path, (json.dumps(merged, indent=2) + "\n").encode())


def _replaced(entries: list[Entry], entry: Entry) -> list[Entry]:
    if any(other.get("name") == entry["name"] for other in entries):
        return [entry if other.get("name") == entry["name"] else other for other in entries]
    return [*entries, entry]


@contextmanager
def exclusive(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold the lock file `path`. Waits for it, or with `busy` raises DataError(busy) where another holds it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, wait_seconds=0.0 if busy else math.inf))
        except Busy as error:
            raise DataError(str(busy)) from error
        yield
