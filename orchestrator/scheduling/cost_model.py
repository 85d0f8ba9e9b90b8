"""What trials are expected to cost, relative to each other, from their configs alone. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from orchestrator.search.planner import PlannedTrial
from trainer.config.trial import TrialConfig
from trainer.recipes.variants import plan

# Per token, a small model costs more than its parameters say: on a CPU, and where a card waits for its driver.
PARAMETERS_OF_OVERHEAD = 30_000
MAX_TRIALS = 5_000  # beyond it the plans of all recipes would take seconds, and an average does as well


@dataclasses.dataclass(frozen=True)
class Cost:
    """A trial's training: `work` in parameters times tokens, and the tokens, over all phases."""

    work: float
    tokens: int


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
    """The cost of one trial's training; a teacher's forward pass counts as a third of a step of its network."""
    recipe = plan(config)
    num_params = {
        name: sum(weight.num_params for weight in network.weights.values()) for name, network in recipe.networks.items()
    }
    work = 0.0
    for phase in recipe.phases:
        at_work: float = num_params[phase.network] + PARAMETERS_OF_OVERHEAD
        at_work += num_params[phase.teacher] / 3 if phase.teacher is not None else 0
        work += phase.steps * config.train.batch_tokens * at_work
    return Cost(work, recipe.total_steps * config.train.batch_tokens)
