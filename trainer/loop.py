"""The one training loop. Every recipe's phases run through it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from trainer.config import TrialConfig
from trainer.data import Dataset, batch
from trainer.device import precision, synchronize
from trainer.model import GPT
from trainer.optim import build_optimizers, set_step
from trainer.recipes import Phase, Recipe
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

    @property
    def tokens_per_s(self) -> float:
        return self.timed_tokens / self.train_seconds if self.train_seconds else 0.0

    def to_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def restore(self, values: dict[str, Any]) -> None:
        """Become what `to_plain` wrote."""
        for name, value in {**values, "curve": [CurvePoint(**point) for point in values["curve"]]}.items():
            setattr(self, name, value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the loop tells the world and asks of it. None of it can move a bit of the training."""

    resumed: Callable[[], None] = lambda: None
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
    networks: Mapping[str, GPT],
    config: TrialConfig,
    recipe: Recipe,
    dataset: Dataset,
    ledger: Ledger,
    *,
    checkpoint: Checkpoint,
    hooks: Hooks,
) -> None:
    """Train through the recipe's phases from wherever the checkpoint stands, writing into `ledger` what was done.

    Every step is a pure function of the weights, the optimisers and (seed, step), so a resumed run has the same bits
    as an unbroken one. Throughput counts training steps alone: the first step of a phase in a process (which compiles
    and warms up), evaluation and checkpoints have seconds of their own.

    Raises:
        Diverged: if the loss is not finite.
        Interrupted: if `hooks.should_stop()`; the checkpoint is written first.
    """
    saved = load_checkpoint(checkpoint, networks)
    if saved is not None:
        ledger.restore(saved["progress"])
    hooks.resumed()
    loop = _Loop(networks, config, recipe, dataset, ledger, checkpoint, hooks)
    start, optimizers = 0, list[Optimizer]()
    for index, phase in enumerate(recipe.phases):
        network = networks[phase.network]
        network.freeze(phase.freezes)
        optimizers = build_optimizers(network, config.optimizer) if phase.restarts else _without_frozen(optimizers)
        if saved is not None and index == ledger.phase:
            for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
        if ledger.step < start + phase.steps:
            if phase.copies_teacher and phase.teacher and ledger.step == start:
                networks[phase.teacher].load_state_dict(network.state_dict())
            ledger.phase = index
            loop.run(phase, start, optimizers)
        start += phase.steps


class _Loop:
    """Runs phases, one after the other, on one ledger."""

    def __init__(
        self,
        networks: Mapping[str, GPT],
        config: TrialConfig,
        recipe: Recipe,
        dataset: Dataset,
        ledger: Ledger,
        checkpoint: Checkpoint,
        hooks: Hooks,
    ) -> None:
        self.networks, self.config, self.dataset, self.ledger = networks, config, dataset, ledger
        self.total_steps, self.checkpoint, self.hooks = recipe.total_steps, checkpoint, hooks
        self.device = next(iter(networks.values())).embedding.device
        self.watch = _Stopwatch(ledger, self.device, hooks.clock)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device) + ledger.loss_sum
        self.last_report = self.last_checkpoint = self.watch.last

    def run(self, phase: Phase, start: int, optimizers: list[Optimizer]) -> None:
        """Train one phase, which begins at step `start`, from `ledger.step` to its end."""
        ledger, end, is_first = self.ledger, start + phase.steps, True
        steps = _Steps(self.networks, phase, start, optimizers, self.config, self.dataset)
        while ledger.step < end:
            self.loss_sum += steps.run(ledger.step)
            ledger.step += 1
            ledger.loss_steps += 1
            if is_first:
                self.watch.lap("compile_seconds")
                is_first = False
            else:
                ledger.timed_tokens += self.config.train.batch_tokens
            if _is_curve_point(ledger.step, self.config, self.total_steps):
                self._add_curve_point(steps.rate)
            is_last, now = ledger.step == end, self.hooks.clock()
            is_stopping = (is_last or now - self.last_report >= SECONDS_BETWEEN_REPORTS) and self._talk()
            if is_last or is_stopping or now - self.last_checkpoint >= self.config.train.checkpoint_every_seconds:
                self._save(optimizers)
            if is_stopping and ledger.step < self.total_steps:
                raise Interrupted

    def _add_curve_point(self, rate: float) -> None:
        self.watch.lap("train_seconds")
        validate = self.hooks.validate if _is_eval_step(self.ledger.step, self.config) else None
        val_ce = validate() if validate else math.nan
        self.watch.lap("eval_seconds")
        _add_curve_point(self.ledger, self.config, float(self.loss_sum), val_ce, rate)
        self.loss_sum.zero_()

    def _talk(self) -> bool:
        """Report, and ask whether to stop. A busy driver may keep us waiting: that is no training time."""
        self.watch.lap("train_seconds")
        self.hooks.report(_report(self.ledger, self.total_steps))
        is_stopping = self.hooks.should_stop()
        self.watch.lap("report_seconds")
        self.last_report = self.watch.last
        return is_stopping

    def _save(self, optimizers: list[Optimizer]) -> None:
        self.watch.lap("train_seconds")
        self.ledger.loss_sum = float(self.loss_sum)
        save_checkpoint(self.checkpoint, self.networks, optimizers, self.ledger.to_plain())
        self.watch.lap("checkpoint_seconds")
        self.last_checkpoint = self.watch.last


class _Steps:
    """The optimiser steps of one phase."""

    def __init__(
        self,
        networks: Mapping[str, GPT],
        phase: Phase,
        start: int,
        optimizers: list[Optimizer],
        config: TrialConfig,
        dataset: Dataset,
    ) -> None:
        self.network = networks[phase.network]
        self.teacher = networks[phase.teacher] if phase.teacher else None
        self.phase, self.start, self.optimizers = phase, start, optimizers
        self.config, self.dataset = config, dataset
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.rate = 0.0

    def run(self, step: int) -> Tensor:
        """Train one step and return its mean cross-entropy, still on the device."""
        config, phase, device = self.config, self.phase, self.network.embedding.device
        position = phase.schedule_start + step - self.start
        self.rate = phase.rate * rate_factor(config.schedule, position, phase.schedule_steps)
        set_step(self.optimizers, config.optimizer, factor=self.rate, step=position)
        self.network.train()
        if config.model.dropout:
            torch.manual_seed(_dropout_seed(config.seed, step))
        ce_sum = torch.zeros((), dtype=torch.float64, device=device)
        for tokens in self._micro_batches(step, device):
            with precision(device, config):
                losses, ce = self._losses(tokens)
                loss = losses.mean() / config.train.micro_batches
            loss.backward()
            ce_sum += ce.detach().mean() / config.train.micro_batches
        if config.train.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, config.train.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return ce_sum

    def _losses(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What is trained on, and the cross-entropy that the curve shows whatever the loss: two of (b, t)."""
        if self.teacher is None:
            ce = self.network(tokens, compiled=True)
            return ce, ce
        assert self.config.distill is not None
        settings = self.config.distill
        with torch.no_grad():
            self.teacher.eval()
            logits = self.teacher.logits(tokens[:, :-1], compiled=True)
        return self.network.distill(
            tokens, logits, temperature=settings.temperature, alpha=settings.alpha, compiled=True
        )

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


def _without_frozen(optimizers: list[Optimizer]) -> list[Optimizer]:
    """The same optimisers without the state of weights that were frozen meanwhile."""
    for optimizer in optimizers:
        for weight in [w for w in optimizer.state if not w.requires_grad]:
            del optimizer.state[weight]
    return optimizers


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
