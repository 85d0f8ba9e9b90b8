"""How much memory trials take, by accelerator: what shapes say, corrected by the trials that ended. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.estimates import memory
from orchestrator.estimates.log_ratio import Doubt, LogRatio
from orchestrator.scheduling.placement import CPU
from trainer.config.trial import TrialConfig

# Against peaks of real trials on a CPU, and six readings on an H100 (docs/gpu.md); see docs/forecast.md.
DOUBTS = {True: Doubt(sigma=0.15, scatter=0.08), False: Doubt(sigma=0.08, scatter=0.05)}
NORMAL_95 = 1.645  # 95 % of a normal distribution lie below so many standard deviations
# Of a worker's process beside a trial's: measured on Ray 2.60, six small trials of a sweep.
RAY_WORKER_BYTES = 215_000_000
TEACHES = ("completed", "stopped_early", "deadline")
_NOTHING = LogRatio()


def peak_memory_bytes(config: TrialConfig, kind: str) -> int:
    """The expected `peak_memory_bytes` of a trial's row: of its tensors on a card, of its worker's process on a CPU."""
    return memory.peak_memory_bytes(config, on_card=kind != CPU) + (RAY_WORKER_BYTES if kind == CPU else 0)


class MemoryModel:
    """Learns from the rows of trials that ended how far a peak is from what shapes say."""

    def __init__(self) -> None:
        self._seen: dict[str, LogRatio] = {}

    def ended(self, row: Mapping[str, Any], config: TrialConfig) -> bool:
        """Learn from a trial's row; whether it taught something. One that ran out of memory needs more than it had: it
        counts where that is more than was expected of it.
        """
        measured, kind = row.get("peak_memory_bytes"), row.get("accelerator")
        if not measured or not kind:
            return False
        value = math.log(measured / peak_memory_bytes(config, kind))
        seen, doubt = self._seen.get(kind, _NOTHING), DOUBTS[kind != CPU]
        is_bound = row["status"] == "out_of_memory" and value > seen.posterior(doubt).mean
        if row["status"] not in TEACHES and not is_bound:
            return False
        self._seen[kind] = seen.with_one(value, doubt)
        return True

    def expected(self, config: TrialConfig, kind: str) -> int:
        """Bytes that 19 in 20 such trials do not exceed on this accelerator."""
        known = self._seen.get(kind, _NOTHING).posterior(DOUBTS[kind != CPU])
        return round(peak_memory_bytes(config, kind) * math.exp(known.mean + NORMAL_95 * known.sigma))
