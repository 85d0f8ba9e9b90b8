"""Files of JSON lines that are only ever appended to; a line that a killed process left unfinished was not written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Add a line, on the disk when this returns; behind an unfinished one it begins a line of its own.

    Raises:
        OSError: if it cannot be written.
    """
    line = json.dumps(values).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if size := file.seek(0, os.SEEK_END):
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
