"""Which config gets a further seed: one that may be on the front, the most doubtful first. A function of the history.

A front that is found by one seed per config is a front of luck as well. Seeds for every config would cost most where
nothing is to be decided.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from orchestrator.search.history import Arm, History, Told
from results.analysis.front_probability import front_probabilities
from results.analysis.pareto import pareto_mask
from search_spaces.configs.device_kinds import Kinds, one_runs_on
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sweep_spec import SIZES, SweepSpec, score_column

MIN_PROBABILITY = 0.05  # of being on the front; below it a config is out


@dataclasses.dataclass(frozen=True)
class Trained:
    """A config, the seeds it was given, and what was told of those that completed, by seed."""

    candidate: Candidate
    seeds: tuple[int, ...]
    told: Mapping[int, Told]

    @property
    def is_running(self) -> bool:
        return len(self.told) < len(self.seeds)


def is_due(spec: SweepSpec, history: History) -> bool:
    """Whether the budget has room for a replicate now.

    Replicates take `replicates.share` of the budget in the end, and few of its beginning: a front that is soon left
    behind needs no certainty.
    """
    budget, share = spec.num_to_search, spec.replicates.share
    if spec.replicating != "near_front" or not budget or len(spec.seeds) < 2:
        return False
    return history.num_replicates + 1 <= share * (history.num_trials + 1) ** 2 / budget


def most_doubtful(spec: SweepSpec, found: Sequence[tuple[Trained, float]], kinds: Kinds | None = None) -> Arm | None:
    """The config, of those that can run on `kinds`, that gets its next seed; None where a new config is better."""
    for config, _ in sorted(found, key=lambda one: abs(one[1] - 0.5)):
        seed = next((seed for seed in spec.seeds if seed not in config.seeds), None)
        if seed is not None and not config.is_running and one_runs_on([config.candidate], kinds):
            return Arm(candidate=config.candidate, seeds=(seed,))
    return None


def doubts(spec: SweepSpec, history: History) -> list[tuple[Trained, float]]:
    """The configs that may be on the front, each with the probability; .5 where no spread of seeds is known yet."""
    column = score_column(spec.objectives)
    kept = [one for one in trained(history) if _counts(one, spec, column)]
    texts = dict.fromkeys(_scored_on(one) for one in kept)  # losses on other tokens do not compare
    return [
        found for text in texts for found in _doubts([one for one in kept if _scored_on(one) == text], spec, column)
    ]


def _scored_on(one: Trained) -> tuple[str, int | None]:
    config = one.candidate.config
    return config.data, config.eval.tokens


def _doubts(kept: Sequence[Trained], spec: SweepSpec, column: str) -> list[tuple[Trained, float]]:
    scores = [{seed: told.values[column] for seed, told in one.told.items()} for one in kept]
    names = [name for name in spec.objectives if name != column]
    others = np.array([[_together(one, name) for name in names] for one in kept]).reshape(len(kept), len(names))
    directions = [spec.objectives.get(column, "min"), *(spec.objectives[name] for name in names)]
    size_column = next((index for index, name in enumerate(names) if name in SIZES), None)
    shares = front_probabilities(scores, others, directions, size_column=size_column)
    if shares is None:
        means = np.array([sum(by_seed.values()) / len(by_seed) for by_seed in scores])
        shares = np.where(pareto_mask(np.column_stack([means, others]), directions), 0.5, 0.0)
    return [(one, float(share)) for one, share in zip(kept, shares, strict=True) if share >= MIN_PROBABILITY]


def trained(history: History) -> list[Trained]:
    """Every config that was suggested, with all its seeds."""
    told = {one.trial_id: one for one in history.told}
    found: dict[str, Trained] = {}
    for arm in history.arms:
        before = found.get(arm.candidate.name, Trained(arm.candidate, (), {}))
        ended = {t.config.seed: told[t.trial_id] for t in arm.trials if t.trial_id in told}
        found[arm.candidate.name] = Trained(arm.candidate, before.seeds + arm.seeds, {**before.told, **ended})
    return list(found.values())


def _counts(one: Trained, spec: SweepSpec, column: str) -> bool:
    """Whether all its seeds that ended were scored, and keep the limits."""
    told = one.told.values()
    return bool(told) and all(
        each.status == "completed"
        and column in each.values
        and all(name in each.values for name in spec.objectives)
        and all(limit.holds(each.values.get(limit.column)) for limit in spec.constraints)
        for each in told
    )


def _together(one: Trained, name: str) -> float:
    values = [told.values[name] for told in one.told.values()]
    return max(values) if name in SIZES else sum(values) / len(values)
