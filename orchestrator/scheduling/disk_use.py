"""How much disk a run folder takes at most: artifacts, checkpoints, tables. From configs alone; pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from search_spaces.spec.sweep_spec import SweepSpec
from trainer.artifact.size_bounds import roughly_most_bytes
from trainer.config.trial import TrialConfig
from trainer.training.checkpoint_size import most_checkpoint_bytes, most_curve_points

# One config in seven was on the front of the widest of the three tables of docs/early_stopping.md.
FRONT_SHARE = 1 / 7
# A checkpoint is written beside the one that it replaces.
CHECKPOINTS_OF_A_SLOT = 2
# Config, result, log and so on: seven files, each in whole blocks of a disk, and the rows of the tables.
FILES_BYTES_OF_A_TRIAL = 40_000
CURVE_POINT_BYTES = 200  # in the trial's own file and in the table
FIXED_BYTES = 300_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiskUse:
    """Bytes of a run folder, at most.

    Args:
        artifacts_bytes: of those that are kept; with `front`, of all, as they may all be in doubt until the end.
        running_bytes: what `num_slots` trials need that run at once: checkpoints, and artifacts that will not be kept.
        kept_checkpoints_bytes: of trials that are stopped early.
        tables_bytes: tables, curves, configs and logs.
        front_artifacts_bytes: an estimate of the artifacts that are left in the end; None unless `front` are kept.
        num_slots: trials at once on the processors of this machine.
        is_bound: every config is known; else those that are not count as much as the largest that is.
    """

    artifacts_bytes: int
    running_bytes: int
    kept_checkpoints_bytes: int
    tables_bytes: int
    front_artifacts_bytes: int | None
    num_slots: int
    is_bound: bool

    @property
    def total_bytes(self) -> int:
        return self.artifacts_bytes + self.running_bytes + self.kept_checkpoints_bytes + self.tables_bytes

    @property
    def slot_bytes(self) -> int:
        """Of one trial that runs."""
        return self.running_bytes // self.num_slots


def disk_use(
    spec: SweepSpec, configs: Sequence[tuple[TrialConfig, int]], num_trials: int | None, num_cpus: int
) -> DiskUse:
    """What the run folder of a sweep takes at most.

    Args:
        configs: those that are known and are trained, each with its number of trials.
        num_trials: of the whole sweep where some configs are not known; None where all are.
        num_cpus: processors of this machine.
    """
    sizes = [(roughly_most_bytes(config), number) for config, number in configs]
    largest = max((size for size, _ in sizes), default=0)
    checkpoint = max((most_checkpoint_bytes(config) for config, _ in configs), default=0)
    points = max((most_curve_points(config) for config, _ in configs), default=0)
    number = sum(one for _, one in sizes) if num_trials is None else num_trials
    # trials of confirmation are known only when the search is over
    every = spec.num_to_confirm * largest + (sum(a * b for a, b in sizes) if num_trials is None else number * largest)
    number += spec.num_to_confirm
    keeps_none = spec.keep.artifacts == "none"
    num_slots = max(1, int(min(number, num_cpus / _cpus(spec, configs))))
    num_stopped = 0 if spec.stopping == "none" else min(number, spec.keep.checkpoints)
    return DiskUse(
        artifacts_bytes=0 if keeps_none else every,
        running_bytes=num_slots * (CHECKPOINTS_OF_A_SLOT * checkpoint + (largest if keeps_none else 0)),
        kept_checkpoints_bytes=num_stopped * checkpoint,
        tables_bytes=FIXED_BYTES + number * (FILES_BYTES_OF_A_TRIAL + CURVE_POINT_BYTES * points),
        front_artifacts_bytes=math.ceil(FRONT_SHARE * every) if spec.keep.artifacts == "front" else None,
        num_slots=num_slots,
        is_bound=num_trials is None,
    )


def _cpus(spec: SweepSpec, configs: Sequence[tuple[TrialConfig, int]]) -> float:
    """The fewest processors that a trial is given."""
    if spec.resources.cpus is not None:
        return spec.resources.cpus
    return min((float(config.num_threads) for config, _ in configs), default=1.0)
