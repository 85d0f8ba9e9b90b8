"""What may happen in a night beside training: machines that are lost or slow, what is chosen, what is stopped early."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search_spaces.spec.sweep_spec import SweepSpec

# Stated rates of `best_case`, where no rows of the sweep say better. `docs/early_stopping.md` has 31 to 54 % of the
# steps saved in random sweeps of 130 trials, of which the first twenty run to their end; a method chooses configs near
# the front, of which hardly any are stopped: 3 of 63 trials in the search of `benchmarks/forecast.py`.
NUM_RUN_TO_THEIR_END = 20
STOPPED_SHARES = (0.0, 0.6)
STOPPED_AT = (0.1, 0.2, 0.35, 0.5, 0.7)
# A method for ce and bytes chooses cheaper configs than chance does: it covers the front evenly in the logarithm of
# bytes. Which share of a config's draws it takes goes by its work to minus this power; .85 in that search.
CHEAPER, CHEAPER_SIGMA = 0.6, 0.6
MOST_CHEAPER = 4.0
# Rows from which rates are taken, and how far the share of stopped trials may be from theirs.
FEW_ROWS = 20
SHARE_DOUBT = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chances:
    """Rates of a simulated night. Of two numbers, each night draws one between them.

    Args:
        losses_per_day: of one machine.
        return_seconds: after which a lost machine is there again; it is noticed after `notice_seconds`.
        slow_share: of machines that take `slow_factor` times as long.
        out_of_memory_share: of configs.
        stopped_shares: of trials that early stopping looks at, once `num_run_to_their_end` have ended.
        stopped_at: shares of the steps at which they are stopped, each as likely.
        cheaper, cheaper_sigma: the power of a config's work by which a method prefers it; each night draws one.
    """

    losses_per_day: float = 0.0
    return_seconds: float = 300.0
    notice_seconds: float = 30.0
    slow_share: float = 0.0
    slow_factor: float = 2.0
    out_of_memory_share: float = 0.0
    stopped_shares: tuple[float, float] = (0.0, 0.0)
    stopped_at: tuple[float, ...] = STOPPED_AT
    num_run_to_their_end: int = NUM_RUN_TO_THEIR_END
    cheaper: float = 0.0
    cheaper_sigma: float = 0.0

    def of_sweep(self, spec: SweepSpec, rows: Sequence[Mapping[str, Any]] = ()) -> Chances:
        """With the rates of what is stopped and chosen: of rows of this sweep or a like one, else the stated ones."""
        found = self._with_stopping(spec, rows)
        if not spec.is_adaptive:
            return found
        return dataclasses.replace(found, cheaper=CHEAPER, cheaper_sigma=CHEAPER_SIGMA)

    def chosen_like(self, chosen: Sequence[float], drawn: Sequence[float]) -> Chances:
        """With the preference that a method has shown. Args: work of what it chose, and of random draws."""
        if len(chosen) < FEW_ROWS or not drawn:
            return self
        power = preference(sum(chosen) / len(chosen), drawn)
        return dataclasses.replace(self, cheaper=power, cheaper_sigma=CHEAPER_SIGMA / 3)

    def _with_stopping(self, spec: SweepSpec, rows: Iterable[Mapping[str, Any]]) -> Chances:
        if spec.stopping == "none":
            return dataclasses.replace(self, stopped_shares=(0.0, 0.0))
        ended = [row for row in rows if row["status"] in ("completed", "stopped_early", "diverged")]
        if len(ended) < FEW_ROWS:
            return dataclasses.replace(self, stopped_shares=STOPPED_SHARES)
        at = [_share(row) for row in ended if row["status"] == "stopped_early"]
        share = len(at) / max(1, len(ended) - self.num_run_to_their_end)
        shares = max(0.0, share - SHARE_DOUBT), min(1.0, share + SHARE_DOUBT)
        stopped_at = tuple(sorted(one for one in at if 0 < one < 1)) or STOPPED_AT
        return dataclasses.replace(self, stopped_shares=shares, stopped_at=stopped_at)


def weights(work: Sequence[float], power: float) -> list[float]:
    """How likely each config is to be chosen, by its work."""
    mean = sum(work) / len(work)
    return [(one / mean) ** -power for one in work]


def preference(mean_chosen: float, drawn: Sequence[float]) -> float:
    """The power with which draws have this mean of their work; by bisection, as the mean falls with the power."""
    low, high = -MOST_CHEAPER, MOST_CHEAPER
    for _ in range(40):
        middle = (low + high) / 2
        found = weights(drawn, middle)
        mean = sum(weight * one for weight, one in zip(found, drawn, strict=True)) / sum(found)
        low, high = (middle, high) if mean > mean_chosen else (low, middle)
    return (low + high) / 2


def _share(row: Mapping[str, Any]) -> float:
    steps, planned = row.get("steps") or 0, row.get("steps_planned") or 0
    return steps / planned if planned else 0.0
