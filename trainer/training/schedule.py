"""The learning-rate schedule: a pure function of the step."""

from __future__ import annotations

import math

from trainer.config.training import ScheduleConfig


def rate_factor(schedule: ScheduleConfig, step: int, total_steps: int) -> float:
    """Learning rate of `step` (from 0) over the peak, for a run of `total_steps`.

    `cosine` is PyTorch's CosineAnnealingLR after the warm-up; `warmdown` is constant, then linear to the end over the
    last `warmdown_steps` (the competition baseline's, counted in steps and not in seconds).
    """
    if step < schedule.warmup_steps:
        return (step + 1) / (schedule.warmup_steps + 1)
    remaining = total_steps - step
    if schedule.name == "cosine":
        span = max(1, total_steps - schedule.warmup_steps)
        share = 0.5 * (1 + math.cos(math.pi * (1 - remaining / span)))
    elif schedule.name == "warmdown":
        share = min(1.0, remaining / min(schedule.warmdown_steps, total_steps))
    else:
        share = 1.0
    return schedule.final_ratio + (1 - schedule.final_ratio) * share
