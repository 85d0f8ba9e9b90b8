"""What a sentinel that has ended shows: its record, from the files that it left."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from pathlib import Path
from statistics import median

from orchestrator.sentinel.records import Record
from orchestrator.worker import Job
from trainer.config.trial import TrialConfig

# The first steps fill caches and buffers.
STEPS_TO_WARM_UP = 5


def record_of(job: Job, node: str, host: str) -> Record:
    """The record of a job that has ended on a node; `host` is what its result says where it left one."""
    result, config = job.folder.result(), TrialConfig.model_validate(job.config)
    now, began = time.time(), job.attempt / 1e9
    lost = Record(
        node=node,
        host=host,
        accelerator=job.accelerator,
        control=config.trial_id,
        began_seconds=began,
        ended_seconds=now,
        status="lost",
        error="left no result",
    )
    if result is None:
        return lost
    is_finite = result.ce is not None and math.isfinite(result.ce)
    return dataclasses.replace(
        lost,
        host=result.host or host,
        status=result.status,
        error=result.error,
        device_name=result.device_name,
        torch_version=result.torch_version,
        ce=result.ce if is_finite else None,
        tokens_per_s=result.tokens_per_s,
        step_seconds=median_step_seconds(job.folder.curve_file),
    )


def median_step_seconds(curve: Path) -> float | None:
    """Over the steps of a trial but the first few; None without a curve. A pause of the machine moves no median."""
    import pyarrow.parquet as pq

    if not curve.exists():
        return None
    try:
        points = pq.read_table(curve, columns=["step", "train_seconds"]).to_pylist()
    except (OSError, ValueError):  # Arrow's own errors are these
        return None
    warm = [point for point in points if point["step"] >= STEPS_TO_WARM_UP]
    pairs = itertools.pairwise(warm if len(warm) > 1 else points)
    laps = [(b["train_seconds"] - a["train_seconds"]) / (b["step"] - a["step"]) for a, b in pairs]
    return median(laps) if laps else None
