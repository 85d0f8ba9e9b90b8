"""Why trials gave no score: their errors, with those that say the same counted together."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from results.analysis.replicate_groups import Row

_MOST_CHARACTERS = 300
_WELL = ("completed", "stopped_early")
# What differs between errors that are the same: counts, sizes, addresses, ids.
_PARTS = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,}\b|\d[\d,._]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """Trials that ended alike: `error` is the last line of the first one's, `example` its id."""

    status: str
    error: str
    num_trials: int
    accelerators: tuple[str, ...]
    example: str


def failures(rows: Sequence[Row]) -> list[Failure]:
    """All trials without a score, by status and message, the most frequent first.

    Messages are equal if they differ in numbers, addresses and ids alone. What early stopping ended is no failure.
    """
    alike: dict[tuple[str, str], list[Row]] = {}
    lost = (row for row in rows if row["status"] not in _WELL)
    for row in sorted(lost, key=lambda row: str(row["trial_id"])):
        alike.setdefault((row["status"] or "unknown", _PARTS.sub("#", last_line(row["error"]))), []).append(row)
    found = [
        Failure(
            status=status,
            error=last_line(group[0]["error"]),
            num_trials=len(group),
            accelerators=tuple(sorted({row["accelerator"] for row in group if row["accelerator"]})),
            example=str(group[0]["trial_id"]),
        )
        for (status, _), group in alike.items()
    ]
    return sorted(found, key=lambda one: (-one.num_trials, one.status, one.error))


def last_line(error: str | None) -> str:
    """What an error says of itself; the whole of it is in the table. A dash where there is none."""
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    text = lines[-1] if lines else "–"
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
