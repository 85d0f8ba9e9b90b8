"""The one training loop. Every recipe's phases run through it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.checkpoint import load_checkpoint, save_checkpoint
from trainer.config import TrialConfig
from trainer.data import Dataset, batch
from trainer.device import precision, synchronize
from trainer.model import GPT
from trainer.optim import set_step
from trainer.result import CurvePoint
from trainer.schedule import rate_factor

NUM_CURVE_POINTS = 100
SECONDS_BETWEEN_REPORTS = 1.0


class Diverged(ArithmeticError):
    """The loss stopped being a finite number."""


class Interrupted(Exception):
    """The trial was asked to stop; its checkpoint is written."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Where a running trial stands. `ce` is the mean training loss since the last curve point, NaN before the first."""

    step: int
    total_steps: int
    ce: float
    tokens_per_s: float


@dataclasses.dataclass(kw_only=True)
class Ledger:
    """What a trial has done so far, over all its attempts. Seconds of training exclude all the others."""

    step: int = 0
    train_seconds: float = 0.0
    timed_tokens: int = 0
    compile_seconds: float = 0.0
    eval_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    num_resumes: int = 0
    steps_repeated: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    curve: list[CurvePoint] = dataclasses.field(default_factory=list)

    @property
    def tokens_per_s(self) -> float:
        return self.timed_tokens / self.train_seconds if self.train_seconds else 0.0

    def to_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Ledger:
        return cls(**{**values, "curve": [CurvePoint(**point) for point in values["curve"]]})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the loop tells the world and asks of it. None of it can move a bit of the training."""

    report: Callable[[Report], None] = lambda report: None
    should_stop: Callable[[], bool] = lambda: False
    validate: Callable[[], float] | None = None
    clock: Callable[[], float] = time.perf_counter


class _Stopwatch:
    """Books every second of a trial under exactly one name of its ledger."""

    def __init__(self, ledger: Ledger, device: torch.device, clock: Callable[[], float]) -> None:
        self.ledger, self.device, self.clock = ledger, device, clock
        self.last = clock()

    def lap(self, name: str) -> None:
        """Wait for the device and book the time since the last lap under `name`."""
        synchronize(self.device)
        now = self.clock()
        setattr(self.ledger, name, getattr(self.ledger, name) + now - self.last)
        self.last = now


def train(
    model: GPT,
    optimizers: list[Optimizer],
    config: TrialConfig,
    dataset: Dataset,
    ledger: Ledger,
    *,
    total_steps: int,
    checkpoint: Path,
    hooks: Hooks,
) -> None:
    """Train from `ledger.step` to `total_steps`, writing into `ledger` what was done.

    Every step is a pure function of the weights, the optimisers and (seed, step), so a resumed run has the same bits
    as an unbroken one. Throughput counts training steps alone: the first step of a process (which compiles and warms
    up), evaluation and checkpoints have seconds of their own.

    Raises:
        Diverged: if the loss is not finite.
        Interrupted: if `hooks.should_stop()`; the checkpoint is written first.
    """
    steps = _Steps(model, optimizers, config, dataset, total_steps)
    watch = _Stopwatch(ledger, model.embedding.device, hooks.clock)
    loss_sum = torch.zeros((), dtype=torch.float64, device=model.embedding.device) + ledger.loss_sum
    is_first, last_report, last_checkpoint = True, watch.last, watch.last
    while ledger.step < total_steps:
        loss_sum += steps.run(ledger.step)
        ledger.step += 1
        ledger.loss_steps += 1
        if is_first:
            watch.lap("compile_seconds")
            is_first = False
        else:
            ledger.timed_tokens += config.train.batch_tokens
        if _is_curve_point(ledger.step, config, total_steps):
            watch.lap("train_seconds")
            val_ce = hooks.validate() if hooks.validate and _is_eval_step(ledger.step, config) else math.nan
            watch.lap("eval_seconds")
            _add_curve_point(ledger, config, float(loss_sum), val_ce, steps.rate)
            loss_sum.zero_()
        is_last, is_stopping = ledger.step == total_steps, hooks.should_stop()
        now = hooks.clock()
        if is_last or is_stopping or now - last_checkpoint >= config.train.checkpoint_every_seconds:
            watch.lap("train_seconds")
            ledger.loss_sum = float(loss_sum)
            save_checkpoint(checkpoint, model, optimizers, ledger.to_plain())
            watch.lap("checkpoint_seconds")
            last_checkpoint = watch.last
        if is_last or now - last_report >= SECONDS_BETWEEN_REPORTS:
            watch.lap("train_seconds")
            hooks.report(_report(ledger, total_steps))
            last_report = watch.last
        if is_stopping and not is_last:
            raise Interrupted


def resume(model: GPT, optimizers: list[Optimizer], checkpoint: Path) -> Ledger:
    """The ledger of the checkpoint, with model and optimisers set to it; a new one where there is no checkpoint."""
    saved = load_checkpoint(checkpoint, model, optimizers)
    return Ledger() if saved is None else Ledger.from_plain(saved)


class _Steps:
    """One optimiser step at a time, on one model."""

    def __init__(
        self, model: GPT, optimizers: list[Optimizer], config: TrialConfig, dataset: Dataset, total_steps: int
    ) -> None:
        self.model, self.optimizers, self.config, self.dataset = model, optimizers, config, dataset
        self.total_steps = total_steps
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.rate = 0.0

    def run(self, step: int) -> Tensor:
        """Train one step and return its mean loss, still on the device."""
        config, device = self.config, self.model.embedding.device
        self.rate = rate_factor(config.schedule, step, self.total_steps)
        set_step(self.optimizers, config.optimizer, factor=self.rate, step=step)
        self.model.train()
        if config.model.dropout:
            torch.manual_seed(_dropout_seed(config.seed, step))
        loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        for tokens in self._micro_batches(step, device):
            with precision(device, config):
                loss = self.model(tokens, compiled=True).mean() / config.train.micro_batches
            loss.backward()
            loss_sum += loss.detach()
        if config.train.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, config.train.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss_sum

    def _micro_batches(self, step: int, device: torch.device) -> tuple[Tensor, ...]:
        train = self.config.train
        rows = batch(
            self.dataset,
            seed=self.config.seed,
            step=step,
            num_sequences=train.batch_sequences,
            sequence_tokens=train.sequence_tokens,
        )
        tokens = torch.from_numpy(rows.astype(np.int64))
        if device.type == "cuda":
            tokens = tokens.pin_memory().to(device, non_blocking=True)
        return tokens.chunk(train.micro_batches)


def _is_eval_step(step: int, config: TrialConfig) -> bool:
    return bool(config.train.eval_every_steps) and step % config.train.eval_every_steps == 0


def _is_curve_point(step: int, config: TrialConfig, total_steps: int) -> bool:
    curve_every = math.ceil(total_steps / NUM_CURVE_POINTS)
    return step % curve_every == 0 or step == total_steps or _is_eval_step(step, config)


def _add_curve_point(ledger: Ledger, config: TrialConfig, loss_sum: float, val_ce: float, rate: float) -> None:
    train_ce = loss_sum / ledger.loss_steps
    if not math.isfinite(train_ce):
        raise Diverged(
            f"the training loss became {train_ce} between steps {ledger.step - ledger.loss_steps} and {ledger.step}"
        )
    ledger.curve.append(
        CurvePoint(
            step=ledger.step,
            tokens=ledger.step * config.train.batch_tokens,
            train_ce=train_ce,
            val_ce=val_ce,
            learning_rate=rate * config.optimizer.learning_rate,
            train_seconds=ledger.train_seconds,
        )
    )
    ledger.loss_sum, ledger.loss_steps = 0.0, 0


def _report(ledger: Ledger, total_steps: int) -> Report:
    ce = ledger.curve[-1].train_ce if ledger.curve else math.nan
    return Report(step=ledger.step, total_steps=total_steps, ce=ce, tokens_per_s=ledger.tokens_per_s)


def _dropout_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
