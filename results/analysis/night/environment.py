"""What the drivers of a run ran on: `environment.json` of a run folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "environment.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """One call of `frostline run`. `commit`: of the code, with `-dirty` if it was changed; None if installed otherwise.

    `kinds`: the accelerator of each machine.
    """

    started_at: str
    commit: str | None
    python: str
    packages: Mapping[str, str]
    kinds: tuple[str, ...]


def read_sessions(folder: Path) -> list[Session]:
    """Every call, oldest first; none where the file is missing or cannot be read: it decides nothing."""
    try:
        values = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return [_session(one) for one in values.get("sessions", ())]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def _session(values: Mapping[str, Any]) -> Session:
    return Session(
        started_at=str(values.get("started_at", "–")),
        commit=values.get("commit"),
        python=str(values.get("python", "–")),
        packages={str(name): str(version) for name, version in (values.get("packages") or {}).items() if version},
        kinds=tuple(str(node.get("kind", "–")) for node in values.get("nodes") or ()),
    )
