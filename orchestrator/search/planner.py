"""The plan of a sweep by grid or random search: its trials in order. Pure.

The plan is a function of the spec alone, so a sweep that is resumed computes it again, and a larger budget begins
with the trials of a smaller one. Keys are visited by name, never in the order they were written.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from itertools import islice

from search_spaces.configs.agreeing import agreeing
from search_spaces.configs.combinations import Combination
from search_spaces.configs.device_kinds import accelerators_of
from search_spaces.configs.valid_configs import (
    MAX_ATTEMPTS,
    Candidate,
    arms_of,
    candidates,
    candidates_of_space,
    num_combinations,
    options_of_draw,
)
from search_spaces.spec.cross_field_rules import gpus_of
from search_spaces.spec.sections.accelerators import kinds_of_text
from search_spaces.spec.sections.replicates import ConfirmConfig
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.config.trial import TrialConfig

NUM_EXAMPLES = 60
MAX_CONFIGS_COUNTED = 500  # about a tenth of a second


@dataclasses.dataclass(frozen=True)
class PlannedTrial:
    """A trial to be run: what it is, and what it must be given.

    Args:
        accelerator: a kind, several joined by commas for any of these, or `any`.
        gpus: None: one where its node has any.
    """

    config: TrialConfig
    accelerator: str
    cpus: float
    gpus: float | None
    trial_id: str
    moves_anywhere: bool = False

    @property
    def kinds(self) -> frozenset[str] | None:
        """The kinds of accelerator that it may run on; None for any."""
        return kinds_of_text(self.accelerator)

    def allows(self, kind: str) -> bool:
        """Whether it may run on this kind."""
        return self.kinds is None or kind in self.kinds


def plan(spec: SweepSpec) -> list[PlannedTrial]:
    """All trials of a sweep, config by config with the seeds inside, cut at the budget.

    Raises:
        SpecError: if a combination of a grid, or nearly every draw, breaks a rule of the config.
    """
    return list(iterate(spec))


def iterate(spec: SweepSpec) -> Iterator[PlannedTrial]:
    """As `plan`, one after another."""
    return (planned_trial(candidate, seed) for candidate, seeds in planned_configs(spec) for seed in seeds)


def planned_configs(spec: SweepSpec) -> Iterator[tuple[Candidate, tuple[int, ...]]]:
    """The configs of a plan with their seeds, one after another, cut at the budget; found as they are asked for."""
    num_left = math.inf if spec.num_to_search is None else spec.num_to_search
    for candidate in candidates(spec):
        seeds = spec.seeds if num_left >= len(spec.seeds) else spec.seeds[: int(num_left)]
        yield candidate, seeds
        num_left -= len(seeds)
        if num_left <= 0:
            return


def examples(spec: SweepSpec) -> list[PlannedTrial]:
    """Trials such as an adaptive search gives: the first that a random search of the same space would.

    What the space says of where a trial runs is there at least once, however rare.
    """
    budget, confirm = spec.budget.model_copy(update={"trials": NUM_EXAMPLES}), ConfirmConfig(configs=0)
    found = plan(dataclasses.replace(spec, method="random", budget=budget, confirm=confirm))
    seen = [trial.accelerator for trial in found]
    rare = (_first_on(spec, accelerator) for accelerator in accelerators_of(spec) if accelerator not in seen)
    return [*found, *(planned_trial(one, spec.seeds[0]) for one in rare if one is not None)]


def _first_on(spec: SweepSpec, accelerator: str | Sequence[str]) -> Candidate | None:
    """The first draw that names this accelerator; None where hardly any does."""
    wanted = {"resources": {"accelerator": accelerator}}
    for attempt in range(MAX_ATTEMPTS):
        arms = arms_of(spec, agreeing(wanted, options_of_draw(spec.search.seed, 0, attempt)))
        for arm in () if isinstance(arms, Combination) else arms:
            if arm.resources.accelerator == accelerator:
                return arm
    return None


def most_trials(spec: SweepSpec) -> int:
    """A number that no plan of this sweep exceeds, known without looking at any config."""
    budget = spec.num_to_search
    in_space = num_combinations(spec) * len(spec.seeds)
    if spec.draws:
        assert budget is not None
        return budget
    return in_space if budget is None else min(budget, in_space)


def note_on_budget(spec: SweepSpec, num_planned: int) -> str | None:
    """What a plan leaves out of its space, or its budget holds beyond it; None where neither is the case."""
    most = spec.num_to_search
    if most is None or (spec.draws and num_planned == most):
        return None
    if num_planned < most:
        return f"the space holds {num_planned:,} different trials; the budget would allow {most:,}"
    enough = max(MAX_CONFIGS_COUNTED, most // len(spec.seeds) + 1)  # as many as tell whether there are more
    num_configs = sum(1 for _ in islice(candidates_of_space(spec), enough))
    num_trials = num_configs * len(spec.seeds)
    if num_trials == num_planned:
        return None
    about = "at least " if num_configs == enough else ""
    return f"the space holds {about}{num_trials:,} trials; budget.trials cuts it to {num_planned:,}"


def planned_trial(candidate: Candidate, seed: int) -> PlannedTrial:
    """One replicate of a config."""
    config = candidate.config.model_copy(update={"seed": seed})
    resources = candidate.resources
    return PlannedTrial(
        config=config,
        accelerator=resources.kinds_text,
        cpus=float(config.num_threads) if resources.cpus is None else resources.cpus,
        gpus=gpus_of(config, resources),
        trial_id=config.trial_id + candidate.suffix,
        moves_anywhere=resources.move == "any",
    )
