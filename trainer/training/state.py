"""The counters, seconds and loss curve of a trial over all its attempts, and its stopwatch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch

from trainer.config.trial import TrialConfig
from trainer.device_facts import synchronize
from trainer.errors import Diverged
from trainer.result import CurvePoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Progress of a running trial. `ce` is the mean training loss since the last curve point, NaN before the first."""

    step: int
    total_steps: int
    ce: float
    tokens_per_s: float
    looks: tuple[tuple[int, float], ...] = ()  # each a step and the validation loss there, see `looks.py`


@dataclasses.dataclass(kw_only=True)
class TrainingState:
    """Counters, seconds and curve of a trial. Seconds of training exclude all the others."""

    step: int = 0
    phase: int = 0
    train_seconds: float = 0.0
    timed_tokens: int = 0
    compile_seconds: float = 0.0
    eval_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    report_seconds: float = 0.0
    num_resumes: int = 0
    steps_repeated: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    curve: list[CurvePoint] = dataclasses.field(default_factory=list)
    devices: list[str] = dataclasses.field(default_factory=list)  # on which its steps were done, in order

    @property
    def tokens_per_s(self) -> float:
        return self.timed_tokens / self.train_seconds if self.train_seconds else 0.0

    def report(self, total_steps: int) -> Report:
        """What the driver is sent now."""
        ce = self.curve[-1].train_ce if self.curve else math.nan
        looks = tuple((point.step, point.look_ce) for point in self.curve if not math.isnan(point.look_ce))
        return Report(step=self.step, total_steps=total_steps, ce=ce, tokens_per_s=self.tokens_per_s, looks=looks)

    def add_curve_point(
        self, config: TrialConfig, *, loss_sum: float, val_ce: float, look_ce: float, rate: float
    ) -> None:
        """Add the mean training loss since the last point; `rate` is the learning rate over the config's.

        Raises:
            Diverged: if the loss is not finite.
        """
        train_ce = loss_sum / self.loss_steps
        if not math.isfinite(train_ce):
            raise Diverged(
                f"the training loss became {train_ce} between steps {self.step - self.loss_steps} and {self.step}"
            )
        self.curve.append(
            CurvePoint(
                step=self.step,
                tokens=self.step * config.train.batch_tokens,
                train_ce=train_ce,
                val_ce=val_ce,
                learning_rate=rate * config.optimizer.learning_rate,
                train_seconds=self.train_seconds,
                look_ce=look_ce,
            )
        )
        self.loss_sum, self.loss_steps = 0.0, 0

    def to_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def restore(self, values: dict[str, Any]) -> None:
        """Become what `to_plain` wrote."""
        for name, value in {**values, "curve": [CurvePoint(**point) for point in values["curve"]]}.items():
            setattr(self, name, value)


class Stopwatch:
    """Adds every second of a trial to exactly one counter of its state."""

    def __init__(self, state: TrainingState, device: torch.device, clock: Callable[[], float]) -> None:
        self.state, self.device, self.clock = state, device, clock
        self.last = clock()

    def lap(self, counter: str) -> None:
        """Wait for the device and add the time since the last lap to `counter`."""
        synchronize(self.device)
        now = self.clock()
        setattr(self.state, counter, getattr(self.state, counter) + now - self.last)
        self.last = now
