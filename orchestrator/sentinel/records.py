"""What sentinels have measured and what users have explained: `sentinels.jsonl` and `explanations.jsonl` of a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.errors import UsageError
from orchestrator.store.json_lines import append_line


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One sentinel: where and when it ran, and what came of it. Times are seconds since 1970.

    Args:
        control: id of the trial that was trained, with its seed; only equal ones are compared.
        status: that it ended with; `lost` if it left none.
        ce: None without a finite one.
        step_seconds: median over its steps; None where that is not known.
    """

    node: str
    host: str
    accelerator: str
    control: str
    began_seconds: float
    ended_seconds: float
    status: str
    error: str | None = None
    device_name: str = ""
    torch_version: str = ""
    ce: float | None = None
    tokens_per_s: float | None = None
    step_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a node is as it is: what was found of it until then is no reason any more to leave its rows out."""

    node: str
    at_seconds: float
    text: str


T = TypeVar("T", Record, Explanation)


def append(path: Path, line: Record | Explanation) -> None:
    """Add a line to the file of its kind."""
    append_line(path, dataclasses.asdict(line))


def read(path: Path, kind: type[T]) -> list[T]:
    """Every line, oldest first; one that a killed process left unfinished counts as not written.

    Raises:
        UsageError: if the file is damaged.
    """
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.endswith(b"}"):
            try:
                values: dict[str, Any] = json.loads(line)
                found.append(kind(**values))
            except (ValueError, TypeError) as error:
                raise UsageError(f"{path}, line {number}, is damaged ({error}): remove that line") from error
    return found
