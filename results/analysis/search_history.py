"""How an adaptive search went, by the record and the table of a run: who chose, what was predicted, what came."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results.analysis.pareto import hypervolume
from results.analysis.replicate_groups import Row, by_key
from results.errors import ResultsError

FILE_NAME = "suggestions.jsonl"
REPLICATE = "replicate"  # the method of a suggestion that gives a config a further seed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suggested:
    """One config of a search: how it was chosen, what was predicted, and the means over its completed trials."""

    number: int
    method: str
    trial_ids: tuple[str, ...]
    predicted_score: float | None  # ce or bpb
    predicted_std: float | None
    predicted_bytes: int | None
    ce: float | None
    artifact_bytes: int | None
    by_accelerator: Mapping[str | None, tuple[float, float]] = dataclasses.field(default_factory=dict)  # ce and bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchHistory:
    """A search as its record has it."""

    suggested: tuple[Suggested, ...]
    num_rejected: int
    num_duplicates: int
    num_learned: int  # configs of earlier runs

    @property
    def num_configs(self) -> int:
        """Configs, each once however many further seeds it got."""
        return sum(one.method != REPLICATE for one in self.suggested)

    @property
    def by_method(self) -> Mapping[str, int]:
        return Counter(one.method for one in self.suggested)

    @property
    def rejected_share(self) -> float:
        """Of all proposals, those that could not keep the limits in bytes."""
        return self.num_rejected / max(1, len(self.suggested) + self.num_rejected + self.num_duplicates)

    def points(self, *, per_accelerator: bool) -> Mapping[str | None, list[tuple[float, float]]]:
        """ce and bytes of every config with a result: of all together under None, or by accelerator."""
        found: dict[str | None, list[tuple[float, float]]] = {}
        for one in self.suggested:
            if per_accelerator:
                for kind, point in one.by_accelerator.items():
                    found.setdefault(kind, []).append(point)
            elif one.ce and one.artifact_bytes:
                found.setdefault(None, []).append((one.ce, float(one.artifact_bytes)))
        return found

    @property
    def known(self) -> list[Suggested]:
        """Configs with both a prediction and a result."""
        return [one for one in self.suggested if one.ce is not None and one.predicted_score is not None]


def read_search_history(folder: Path, rows: Sequence[Row]) -> SearchHistory | None:
    """The search of a run folder; None where its configs were planned.

    Raises:
        ResultsError: if the record is damaged.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        first, *lines = [
            json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
        ]
        completed = {row["trial_id"]: row for row in rows if row["status"] == "completed"}
        return SearchHistory(
            suggested=tuple(_suggested(line, arm, completed) for line in lines for arm in line["arms"]),
            num_rejected=sum(len(line["rejected"]) for line in lines),
            num_duplicates=sum(line["num_duplicates"] for line in lines),
            num_learned=len(first["learned"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is damaged ({error})") from error


def _suggested(line: Mapping[str, Any], arm: Mapping[str, Any], completed: Mapping[str, Row]) -> Suggested:
    found = [completed[trial_id] for trial_id in arm["trial_ids"] if trial_id in completed]
    predicted = arm["predicted"] or {}
    return Suggested(
        number=line["number"],
        method=line["method"],
        trial_ids=tuple(arm["trial_ids"]),
        predicted_score=predicted.get("score"),
        predicted_std=predicted.get("std"),
        predicted_bytes=predicted.get("artifact_bytes"),
        ce=sum(row["ce"] for row in found) / len(found) if found else None,
        artifact_bytes=max(row["artifact_bytes"] for row in found) if found else None,
        by_accelerator={kind: _point(rows) for (kind,), rows in by_key(found, ["accelerator"]).items()},
    )


def _point(rows: Sequence[Row]) -> tuple[float, float]:
    return sum(row["ce"] for row in rows) / len(rows), float(max(row["artifact_bytes"] for row in rows))


def front_hypervolume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """The area that (ce, bytes) dominate, in nats times the natural logarithm of bytes: a halving counts 0.69.

    Args:
        reference: ce in nats and bytes, beyond which nothing counts.
    """
    logs = [(ce, math.log(size)) for ce, size in points if size > 0]
    return hypervolume(logs, (reference[0], math.log(reference[1])), ["min", "min"]) if logs else 0.0
