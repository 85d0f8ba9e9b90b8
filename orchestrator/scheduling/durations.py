"""How long trials take, learned from those that ended, by accelerator. Pure."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.scheduling.cost_model import Cost

# Of trials of the same accelerator and the same predicted cost: nine in ten take at most this much longer, before
# enough of them have shown it.
HIGH_BEFORE_MANY = 1.5
MANY = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """Seconds that a trial takes: half of such trials take less than `middle`, nine in ten less than `high`."""

    middle: float
    high: float


class Durations:
    """Learns from the rows of trials that completed."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[float, float, float]]] = {}  # work, seconds in steps, seconds beside
        self._learned: dict[str, _Learned] = {}

    def ended(self, row: Mapping[str, Any], cost: Cost) -> None:
        """A trial has ended; one that was not trained to its end teaches nothing."""
        train, total, accelerator = row.get("train_seconds"), row.get("total_seconds"), row.get("accelerator")
        if row["status"] == "completed" and accelerator and train and total and not row.get("steps_repeated"):
            self._seen.setdefault(accelerator, []).append((cost.work, train, total - train))
            self._learned.pop(accelerator, None)

    def expected(self, cost: Cost, accelerator: str) -> Expected | None:
        """From the trials of this accelerator; None before any has ended."""
        if accelerator not in self._seen:
            return None
        if accelerator not in self._learned:
            self._learned[accelerator] = _learn(self._seen[accelerator])
        learned = self._learned[accelerator]
        middle = cost.work * learned.seconds_of_work + learned.beside_seconds
        return Expected(middle=middle, high=middle * learned.high_ratio)


@dataclasses.dataclass(frozen=True)
class _Learned:
    seconds_of_work: float  # of one unit of predicted work
    beside_seconds: float
    high_ratio: float  # nine in ten trials took at most so much of what was expected


def _learn(seen: Sequence[tuple[float, float, float]]) -> _Learned:
    seconds_of_work = statistics.median(train / work for work, train, _ in seen)
    beside = statistics.median(one for *_, one in seen)
    ratios = sorted((train + rest) / (work * seconds_of_work + beside) for work, train, rest in seen)
    ninth = ratios[min(len(ratios) - 1, int(0.9 * len(ratios)))]
    return _Learned(seconds_of_work, beside, max(1.0 if len(seen) >= MANY else HIGH_BEFORE_MANY, ninth))
