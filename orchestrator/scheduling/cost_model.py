"""What trials are expected to cost, from their configs alone: operations of a device, and seconds by its kind. Pure.

`Cost.work` compares trials with each other; `Cost.seconds` says how long one takes on a device of a given speed.
`durations.py` corrects that by the trials that ended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from orchestrator.estimates.operations import NOTHING, Operations, scoring, training_steps
from orchestrator.estimates.speeds import Speed
from orchestrator.search.planner import PlannedTrial
from trainer.artifact.codecs import CODECS
from trainer.config.trial import TrialConfig
from trainer.recipes.recipe import Recipe
from trainer.recipes.variants import plan
from trainer.training.checkpoint_size import OPTIMIZER_BYTES, WEIGHT_BYTES

# Per token, a small model costs more than its parameters say: on a CPU, and where a card waits for its driver.
PARAMETERS_OF_OVERHEAD = 30_000
MAX_TRIALS = 5_000  # beyond it the plans of all recipes would take seconds, and an average does as well

# `eval.tokens: null` scores all that the dataset has, which the config does not say: so many are assumed.
VALIDATION_TOKENS = 1_000_000

# What a host does beside a device, measured on one core of an AMD EPYC (family 26); see benchmarks/cost_model.py.
START_SECONDS = 0.4  # open the data, make the networks, write the result
FIRST_STEP_SECONDS = 0.45  # of a process: libraries are loaded, memory is taken
LATER_FIRST_STEP_SECONDS = 0.01  # of a later phase
SCORE_SECONDS = 0.05  # of each of the scores at the end
# A compiler's, for each phase. Not measured on a card; a cache on disk makes later trials of one shape cheap.
COMPILE_SECONDS = 30.0
PACK_SECONDS = 0.1
# By byte of the payload: to compress, and to read it back.
CODEC_SECONDS = {"zlib": 0.05e-6, "zstd": 0.17e-6, "brotli": 1.6e-6, "lzma": 0.45e-6}
QUANTIZE_SECONDS = 0.1e-6  # by stored weight: quantized, and read
SEEDED_SECONDS = 0.06e-6  # by weight that is made from a seed: to train, to pack, to check and to score
CHECKPOINT_SECONDS = 0.005
CHECKPOINT_BYTES_PER_SECOND = 0.7e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seconds:
    """How long a trial takes: in its training steps, and beside them."""

    steps: float
    beside: float

    @property
    def total(self) -> float:
        return self.steps + self.beside


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a trial costs, from its config.

    Args:
        work: of its training, in parameters times tokens: relative to other trials.
        tokens: that it trains on, over all phases.
        steps: what its training steps ask of the device; the first of each phase is among `first_steps`.
        scores: likewise, all scores at the end and on the way.
        host_seconds: of one core of the measured CPU, to start, to pack and to read the artifact.
        compile_seconds: where the blocks are compiled.
        checkpoint_seconds: of one checkpoint; there is one each `checkpoint_every_seconds`, at most one a step.
        precision: of the products. `compile`: as in the config, None where it depends on the device.
    """

    work: float
    tokens: int
    _: dataclasses.KW_ONLY
    steps: Operations = NOTHING
    first_steps: Operations = NOTHING
    scores: Operations = NOTHING
    host_seconds: float = 0.0
    compile_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    checkpoint_every_seconds: float = 20.0
    num_steps: int = 1
    precision: str = "fp32"
    num_threads: int = 1
    compile: bool | None = None

    def seconds(self, speed: Speed) -> Seconds:
        """How long the trial is expected to take on a device of this speed that does nothing else."""
        compiled = speed.overlaps if self.compile is None else self.compile

        def taken(work: Operations, *, compiled: bool = compiled) -> float:
            threads = self.num_threads
            return speed.seconds(work, precision=self.precision, num_threads=threads, compiled=compiled)

        steps = taken(self.steps)
        every = self.checkpoint_every_seconds
        num_checkpoints = min(self.num_steps, 1 + (int(steps / every) if every else self.num_steps))
        return Seconds(
            steps=steps,
            beside=taken(self.first_steps)
            + taken(self.scores, compiled=False)
            + self.host_seconds * speed.host
            + (self.compile_seconds if compiled else 0.0)
            + num_checkpoints * self.checkpoint_seconds,
        )

    def left(self, done: float) -> Cost:
        """Of a trial whose checkpoint has this share of its steps: the rest of them, and all that is beside."""
        return dataclasses.replace(self, work=self.work * (1 - done), steps=self.steps * (1 - done))


class Costs:
    """The costs of trials, each computed once for all replicates of a config."""

    def __init__(self) -> None:
        self._by_trial: dict[str, Cost] = {}
        self._by_config: dict[str, Cost] = {}

    def of(self, trial: PlannedTrial) -> Cost:
        if trial.trial_id not in self._by_trial:
            config_id = trial.config.config_id
            if config_id not in self._by_config:
                self._by_config[config_id] = training_cost(trial.config)
            self._by_trial[trial.trial_id] = self._by_config[config_id]
        return self._by_trial[trial.trial_id]

    def set(self, trial_id: str, cost: Cost) -> None:
        """A trial of which it is known."""
        self._by_trial[trial_id] = cost


def costs(trials: Iterable[PlannedTrial]) -> dict[str, Cost]:
    """The cost of the training of each trial, by its id; of the first `MAX_TRIALS`."""
    by_config: dict[str, Cost] = {}
    found: dict[str, Cost] = {}
    for trial in trials:
        if len(found) == MAX_TRIALS:
            break
        config_id = trial.config.config_id
        if config_id not in by_config:
            by_config[config_id] = training_cost(trial.config)
        found[trial.trial_id] = by_config[config_id]
    return found


def training_cost(config: TrialConfig) -> Cost:
    """The cost of one trial. Of its `work`, a teacher's forward pass is a third of a step of its network."""
    recipe, train = plan(config), config.train
    steps, first_steps = NOTHING, NOTHING
    for phase, one in training_steps(config, recipe):
        steps, first_steps = steps + one * (phase.steps - 1), first_steps + one
    return Cost(
        _work(config, recipe),
        recipe.total_steps * train.batch_tokens,
        steps=steps,
        first_steps=first_steps,
        scores=_scores(config, recipe),
        host_seconds=_host_seconds(config, recipe),
        compile_seconds=COMPILE_SECONDS * len(recipe.phases),
        checkpoint_seconds=CHECKPOINT_SECONDS + _checkpoint_bytes(recipe) / CHECKPOINT_BYTES_PER_SECOND,
        checkpoint_every_seconds=train.checkpoint_every_seconds,
        num_steps=recipe.total_steps,
        precision=train.precision,
        num_threads=config.num_threads,
        compile=train.compile,
    )


def _work(config: TrialConfig, recipe: Recipe) -> float:
    num_params = {
        name: sum(weight.num_params for weight in network.weights.values()) for name, network in recipe.networks.items()
    }
    work = 0.0
    for phase in recipe.phases:
        at_work: float = num_params[phase.network] + PARAMETERS_OF_OVERHEAD
        at_work += num_params[phase.teacher] / 3 if phase.teacher is not None else 0
        work += phase.steps * config.train.batch_tokens * at_work
    return work


def _scores(config: TrialConfig, recipe: Recipe) -> Operations:
    """As trained, as reloaded, with a sliding window, and on the way; without the looks of early stopping, 2 %."""
    num_tokens = config.eval.tokens or VALIDATION_TOKENS
    every = config.train.eval_every_steps
    found = scoring(config, recipe, num_tokens) * (2 + (recipe.total_steps // every if every else 0))
    return found + scoring(config, recipe, num_tokens, config.eval.stride) if config.eval.stride else found


def _host_seconds(config: TrialConfig, recipe: Recipe) -> float:
    codecs = tuple(CODECS) if config.artifact.codec == "auto" else (config.artifact.codec,)
    num_seeded = sum(
        weight.num_params
        for network in recipe.networks.values()
        for weight in network.weights.values()
        if weight.kind == "seeded"
    )
    num_stored = recipe.num_params() - recipe.num_params("seeded")
    by_weight = QUANTIZE_SECONDS + sum(CODEC_SECONDS[codec] for codec in codecs)
    first_steps = FIRST_STEP_SECONDS + LATER_FIRST_STEP_SECONDS * (len(recipe.phases) - 1)
    fixed = START_SECONDS + first_steps + PACK_SECONDS + 2 * SCORE_SECONDS
    return fixed + by_weight * num_stored + SEEDED_SECONDS * num_seeded


def _checkpoint_bytes(recipe: Recipe) -> float:
    """Weights of all networks, and the optimizer's of the largest; see `most_checkpoint_bytes` for a bound."""
    kept = [
        sum(weight.num_params for weight in network.weights.values() if weight.kind != "seeded")
        for network in recipe.networks.values()
    ]
    return WEIGHT_BYTES * sum(kept) + OPTIMIZER_BYTES * max(kept)
