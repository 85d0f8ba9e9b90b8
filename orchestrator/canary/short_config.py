"""A config in so few steps that it only shows whether it runs, and how fast. Pure."""

from __future__ import annotations

from typing import Any

from trainer.config.trial import TrialConfig


def short_config(config: TrialConfig, steps: int) -> TrialConfig:
    """The same model and batches in at most `steps` steps a phase, scored on one batch of validation rows.

    What counts steps is divided alike, so that the warm-up and every phase of the recipe are reached. Phases are shares
    of the steps, and need no change.
    """
    values: dict[str, Any] = config.model_dump(mode="json")
    before = config.train.steps
    rows = config.eval.batch_sequences * config.train.sequence_tokens + 1  # the last token has no next one

    def scaled(number: int) -> int:
        return number if before <= steps else number * steps // before

    values["train"]["steps"] = min(before, steps)
    if (every := config.train.eval_every_steps) > 0:
        values["train"]["eval_every_steps"] = max(1, scaled(every))
    values["eval"]["tokens"] = rows if config.eval.tokens is None else min(rows, config.eval.tokens)
    values["schedule"]["warmup_steps"] = scaled(config.schedule.warmup_steps)
    values["schedule"]["warmdown_steps"] = max(1, scaled(config.schedule.warmdown_steps))
    values["optimizer"]["momentum_warmup_steps"] = scaled(config.optimizer.momentum_warmup_steps)
    if config.distill is not None and config.distill.teacher_steps is not None:
        values["distill"]["teacher_steps"] = min(steps, config.distill.teacher_steps)
    return TrialConfig.model_validate(values)
