"""Atomic writes: a file is written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_UMASK_LOCK = threading.Lock()
TEMPORARY_NAME = ".*.????????.tmp"  # as mkstemp makes it below


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; when the block ends well, it becomes `path` at once.

    Example:
        >>> with replacing(Path("table.parquet")) as temporary:
        ...     write_table(temporary)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; what lands in a shared run folder follows the umask like any other file.
        with _UMASK_LOCK:  # it can only be read by setting it, and threads share it
            umask = os.umask(0)
            os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_json(
    path: Path, required: Mapping[str, type[Any]], optional: Mapping[str, type[Any]] | None = None
) -> dict[str, Any]:
    """The object in a JSON file, with the type that each key has; an optional key may be null, a float a whole number.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, the key and the value, if it is damaged.
    """
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it is no JSON ({error})") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path} is damaged: it is a folder") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: it must hold an object, but holds {str(values)[:60]}")
    for key, wanted in {**(optional or {}), **required}.items():
        if key not in values and key in required:
            raise ValueError(f"{path} is damaged: it has no {key}")
        value, types = values.get(key), (int, float) if wanted is float else wanted
        if value is None and key not in required:
            continue
        if not isinstance(value, types) or (isinstance(value, bool) and wanted is not bool):
            raise ValueError(f"{path} is damaged: {key} must be of type {wanted.__name__}, but is {str(value)[:60]}")
    return values


def remove_stray_temporaries(folder: Path) -> None:
    """Remove what `replacing` left in a folder when its process was killed. Nobody may be writing there now."""
    for path in folder.glob(TEMPORARY_NAME):
        path.unlink(missing_ok=True)
