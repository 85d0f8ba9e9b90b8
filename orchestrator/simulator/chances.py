"""What may happen in a night beside training: machines that are lost or slow, trials that are stopped early."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from search_spaces.spec.sweep_spec import SweepSpec

# Stated rates of `best_case`, where no rows of the sweep say better: `docs/early_stopping.md` has 31 to 54 % of the
# steps saved in sweeps of 130 trials, of which the first twenty run to their end.
NUM_RUN_TO_THEIR_END = 20
STOPPED_SHARE = 0.6
STOPPED_AT = (0.1, 0.2, 0.35, 0.5, 0.7)
# Rows from which rates are taken.
FEW_ROWS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chances:
    """Rates of a simulated night.

    Args:
        losses_per_day: of one machine.
        return_seconds: after which a lost machine is there again; it is noticed after `notice_seconds`.
        slow_share: of machines that take `slow_factor` times as long.
        out_of_memory_share: of configs.
        stopped_share: of trials that early stopping looks at, once `num_run_to_their_end` have ended.
        stopped_at: shares of the steps at which they are stopped, each as likely.
    """

    losses_per_day: float = 0.0
    return_seconds: float = 300.0
    notice_seconds: float = 30.0
    slow_share: float = 0.0
    slow_factor: float = 2.0
    out_of_memory_share: float = 0.0
    stopped_share: float = 0.0
    stopped_at: tuple[float, ...] = STOPPED_AT
    num_run_to_their_end: int = NUM_RUN_TO_THEIR_END

    def with_stopping(self, spec: SweepSpec, rows: Iterable[Mapping[str, Any]] = ()) -> Chances:
        """With the rate at which trials are stopped early: that of rows of a like sweep, else the stated one."""
        if spec.stopping == "none":
            return dataclasses.replace(self, stopped_share=0.0)
        ended = [row for row in rows if row["status"] in ("completed", "stopped_early", "diverged")]
        shares = [_share(row) for row in ended if row["status"] == "stopped_early"]
        if len(ended) < FEW_ROWS:
            return dataclasses.replace(self, stopped_share=STOPPED_SHARE)
        late = max(1, len(ended) - self.num_run_to_their_end)
        at = tuple(sorted(share for share in shares if 0 < share < 1)) or STOPPED_AT
        return dataclasses.replace(self, stopped_share=min(1.0, len(shares) / late), stopped_at=at)


def _share(row: Mapping[str, Any]) -> float:
    steps, planned = row.get("steps") or 0, row.get("steps_planned") or 0
    return steps / planned if planned else 0.0
