"""The training loop. Every recipe's phases run through it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.config.trial import TrialConfig
from trainer.control import GO_ON, Command, Stage, Stopped
from trainer.data.batches import batch
from trainer.data.dataset import Dataset
from trainer.device import precision
from trainer.model.gpt import GPT
from trainer.recipes.recipe import Phase, Recipe
from trainer.result import NUM_CURVE_POINTS
from trainer.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from trainer.training.optimizers import build_optimizers, set_step
from trainer.training.schedule import rate_factor
from trainer.training.state import Report, Stopwatch, TrainingState

SECONDS_BETWEEN_REPORTS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopCallbacks:
    """What the loop reports and is told. None of it can change a bit of the training.

    Args:
        validate: the validation loss, every `train.eval_every_steps`.
        look: that of few tokens, after each of `look_steps`, which is reported at once.
    """

    resumed: Callable[[str | None], None] = lambda objection: None
    stage: Callable[[Stage], None] = lambda stage: None
    report: Callable[[Report], Command] = lambda report: GO_ON
    validate: Callable[[], float] | None = None
    look: Callable[[], float] | None = None
    look_steps: tuple[int, ...] = ()
    clock: Callable[[], float] = time.perf_counter


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What is trained: networks by name, through the phases of a recipe, on the batches of a dataset."""

    config: TrialConfig
    recipe: Recipe
    networks: Mapping[str, GPT]
    dataset: Dataset

    @property
    def device(self) -> torch.device:
        return next(iter(self.networks.values())).embedding.device


def train(job: TrainingJob, state: TrainingState, checkpoint: Checkpoint, callbacks: LoopCallbacks) -> None:
    """Train through the recipe's phases from the checkpoint on, counting in `state` what was done.

    Every step is a pure function of the weights, the optimizers and (seed, step), so a resumed run has the same bits
    as an unbroken one. Throughput counts training steps alone: the first step of a phase in a process (which compiles
    and warms up), evaluation and checkpoints have seconds of their own.

    Raises:
        Diverged: if the loss is not finite.
        Stopped: if `callbacks.report` says so before the last step; the checkpoint is written first.
    """
    saved, objection = load_checkpoint(checkpoint, job.networks)
    if saved is not None:
        state.restore(saved["progress"])
    callbacks.resumed(objection)
    between = _BetweenSteps(job, state, checkpoint, callbacks)
    first_step, optimizers = 0, list[Optimizer]()
    for index, phase in enumerate(job.recipe.phases):
        network = job.networks[phase.network]
        network.freeze(phase.freezes)
        optimizers = build_optimizers(network, job.config.optimizer) if phase.restarts else _without_frozen(optimizers)
        if saved is not None and index == state.phase:
            for optimizer, values in zip(optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(values)
        if state.step < first_step + phase.steps:
            if phase.copies_teacher and phase.teacher and state.step == first_step:
                job.networks[phase.teacher].load_state_dict(network.state_dict())
            state.phase = index
            _train_phase(job, phase, first_step, optimizers, between)
        first_step += phase.steps


def _train_phase(
    job: TrainingJob, phase: Phase, first_step: int, optimizers: list[Optimizer], between: _BetweenSteps
) -> None:
    """Train one phase, which begins at `first_step`, from `state.step` to its end."""
    config, device, network = job.config, job.device, job.networks[phase.network]
    teacher = job.networks[phase.teacher] if phase.teacher else None
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    state, end, is_first = between.state, first_step + phase.steps, True
    between.callbacks.stage("compile")  # the first step of a phase compiles what is new in it
    while state.step < end:
        # learning rate and momentum
        position = phase.schedule_start + state.step - first_step
        rate = phase.rate * rate_factor(config.schedule, position, phase.schedule_steps)
        set_step(optimizers, config.optimizer, factor=rate, step=position)

        # forward and backward, one micro-batch after another
        network.train()
        if config.model.dropout:
            torch.manual_seed(_dropout_seed(config.seed, state.step))
        ce = torch.zeros((), dtype=torch.float64, device=device)
        for tokens in _micro_batches(job, state.step, device):  # (b, t + 1)
            with precision(device, config):
                losses, token_ces = _losses(network, teacher, tokens, config)
                loss = losses.mean() / config.train.micro_batches
            loss.backward()
            ce += token_ces.detach().mean() / config.train.micro_batches

        # the update
        if config.train.clip_norm:
            torch.nn.utils.clip_grad_norm_(trained, config.train.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        # count, report, save
        state.step += 1
        between.after_step(ce, rate, optimizers, is_first=is_first, is_last=state.step == end)
        is_first = False


def _losses(network: GPT, teacher: GPT | None, tokens: Tensor, config: TrialConfig) -> tuple[Tensor, Tensor]:
    """What is trained on, and the cross-entropy that the curve shows whatever the loss: two of (b, t)."""
    if teacher is None:
        ce = network(tokens, compiled=True)
        return ce, ce
    assert config.distill is not None
    with torch.no_grad():
        teacher.eval()
        logits = teacher.logits(tokens[:, :-1], compiled=True)
    temperature, alpha = config.distill.temperature, config.distill.alpha
    return network.distill(tokens, logits, temperature=temperature, alpha=alpha, compiled=True)


def _micro_batches(job: TrainingJob, step: int, device: torch.device) -> tuple[Tensor, ...]:
    """The rows of one step in `micro_batches` parts, each (b, t + 1)."""
    train = job.config.train
    rows = batch(
        job.dataset,
        seed=job.config.seed,
        step=step,
        num_sequences=train.batch_sequences,
        sequence_tokens=train.sequence_tokens,
    )
    tokens = torch.from_numpy(rows.astype(np.int64))
    if device.type == "cuda":
        tokens = tokens.pin_memory().to(device, non_blocking=True)
    return tokens.chunk(train.micro_batches)


def _dropout_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _without_frozen(optimizers: list[Optimizer]) -> list[Optimizer]:
    """The same optimizers without the state of weights that were frozen meanwhile."""
    for optimizer in optimizers:
        for weight in [w for w in optimizer.state if not w.requires_grad]:
            del optimizer.state[weight]
    return optimizers


class _BetweenSteps:
    """What happens after a step: seconds are counted, and when it is time a curve point, a report, a checkpoint."""

    def __init__(
        self, job: TrainingJob, state: TrainingState, checkpoint: Checkpoint, callbacks: LoopCallbacks
    ) -> None:
        self.job, self.state, self.checkpoint, self.callbacks = job, state, checkpoint, callbacks
        self.config, self.total_steps = job.config, job.recipe.total_steps
        self.watch = Stopwatch(state, job.device, callbacks.clock)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=job.device) + state.loss_sum
        self.last_report = self.last_checkpoint = self.watch.last

    def after_step(
        self, ce: Tensor, rate: float, optimizers: list[Optimizer], *, is_first: bool, is_last: bool
    ) -> None:
        """Raises Stopped, with the checkpoint written, if the trial is told to end before its last step."""
        state = self.state
        self.loss_sum += ce
        state.loss_steps += 1
        if is_first:
            self.watch.lap("compile_seconds")
            self.callbacks.stage("train")
        else:
            state.timed_tokens += self.config.train.batch_tokens
        if self._is_curve_point():
            self._add_curve_point(rate)
        now = self.callbacks.clock()
        is_due = is_last or self._is_look() or now - self.last_report >= SECONDS_BETWEEN_REPORTS
        command = self._report() if is_due else GO_ON
        if is_last or command.status or now - self.last_checkpoint >= self.config.train.checkpoint_every_seconds:
            self._save(optimizers)
        if command.status and state.step < self.total_steps:
            raise Stopped(command)

    def _is_eval_step(self) -> bool:
        every = self.config.train.eval_every_steps
        return bool(every) and self.state.step % every == 0

    def _is_look(self) -> bool:
        return self.callbacks.look is not None and self.state.step in self.callbacks.look_steps

    def _is_curve_point(self) -> bool:
        curve_every = math.ceil(self.total_steps / NUM_CURVE_POINTS)
        step = self.state.step
        return step % curve_every == 0 or step == self.total_steps or self._is_eval_step() or self._is_look()

    def _add_curve_point(self, rate: float) -> None:
        self.watch.lap("train_seconds")
        validate = self.callbacks.validate if self._is_eval_step() else None
        val_ce = validate() if validate else math.nan
        look_ce = self.callbacks.look() if self.callbacks.look and self._is_look() else math.nan
        self.watch.lap("eval_seconds")
        self.state.add_curve_point(
            self.config, loss_sum=float(self.loss_sum), val_ce=val_ce, look_ce=look_ce, rate=rate
        )
        self.loss_sum.zero_()

    def _report(self) -> Command:
        """Report, and be told how to go on. A busy driver may keep the trial waiting: that is no training time."""
        self.watch.lap("train_seconds")
        command = self.callbacks.report(self.state.report(self.total_steps))
        self.watch.lap("report_seconds")
        self.last_report = self.watch.last
        return command

    def _save(self, optimizers: list[Optimizer]) -> None:
        self.watch.lap("train_seconds")
        self.state.loss_sum = float(self.loss_sum)
        save_checkpoint(self.checkpoint, self.job.networks, optimizers, self.state.to_plain())
        self.watch.lap("checkpoint_seconds")
        self.last_checkpoint = self.watch.last
