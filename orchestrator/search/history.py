"""What a search has suggested and been told so far. Plain values, in order: the record of a run holds nothing else."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from orchestrator.search.planner import PlannedTrial, planned_trial
from results.tables.schema import CONTROL_RECIPE
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sweep_spec import OBJECTIVES, SIZES, Constraint

# How a config came to be suggested: a method, or one of these.
FIRST, RANDOM, LATE, BROKEN, REPLICATE = "first", "random", "late", "broken", "replicate"

PREDICTED = "stop_predicted"

State = Literal["running", "completed", "cut", "rejected"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What a search is told of one trial that ended: its status, and the columns that a sweep may be after."""

    trial_id: str
    status: str
    values: Mapping[str, float]

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Told:
        """From a row of the table of trials; values that are missing or not finite are left out.

        Of a trial that was stopped early, the score that it was expected to end with is one of them.
        """
        known = {column: row.get(column) for column in (*OBJECTIVES, PREDICTED)}
        values = {column: float(value) for column, value in known.items() if value is not None and math.isfinite(value)}
        if row["status"] != "stopped_early":  # one that diverged on its way is as bad as it is
            values.pop(PREDICTED, None)
        return cls(trial_id=row["trial_id"], status=row["status"], values=values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a method expected of a config when it suggested it: ce or bpb with its standard deviation, and bytes."""

    score: float
    std: float
    artifact_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One config of a suggestion, and the seeds it is trained with."""

    candidate: Candidate
    seeds: tuple[int, ...]
    predicted: Prediction | None = None

    @functools.cached_property
    def trials(self) -> tuple[PlannedTrial, ...]:
        return tuple(planned_trial(self.candidate, seed) for seed in self.seeds)

    @property
    def is_control(self) -> bool:
        return self.candidate.config.recipe == CONTROL_RECIPE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rejected:
    """A config that a method proposed and that cannot keep the limits in bytes, and by how much it breaks them."""

    candidate: Candidate
    violations: Mapping[str, float]  # by limit: the excess over it, relative to it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One answer of a search: the configs to run next (several where `grid` parameters are crossed).

    `method` says how it came about. `told` is what the search had learned since the suggestion before, and `rejected`
    and `num_duplicates` what it proposed before this. `kinds` are the kinds of device, in order, of which it was to
    need one; None: no matter which.
    """

    number: int
    method: str
    arms: tuple[Arm, ...]
    rejected: tuple[Rejected, ...] = ()
    num_duplicates: int = 0
    told: tuple[Told, ...] = ()
    kinds: tuple[str, ...] | None = None

    @property
    def trials(self) -> tuple[PlannedTrial, ...]:
        return tuple(trial for arm in self.arms for trial in arm.trials)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """One config and what is known of it.

    `completed`: every seed of the first suggestion ended, and `values` are means over those that were completed by
    now, or the largest of a size in bytes. `cut`: it ended without a score; `values` hold the predicted one if it was
    stopped early. `rejected`: it was not trained; `violations` say why.
    """

    candidate: Candidate
    state: State
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    violations: Mapping[str, float] = dataclasses.field(default_factory=dict)
    ended_at: int = 0  # counted in trials that ended
    num_seeds: int = 1  # of the means


@dataclasses.dataclass(frozen=True)
class History:
    """All that a suggestion may depend on.

    Args:
        learned: rows of earlier runs.
        suggestions: in order.
        told: of this run, in order; a later word on a trial replaces an earlier one.
    """

    learned: tuple[Observation, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    told: tuple[Told, ...] = ()

    def with_suggestion(self, suggestion: Suggestion) -> History:
        return dataclasses.replace(self, suggestions=(*self.suggestions, suggestion))

    @property
    def arms(self) -> Iterator[Arm]:
        return (arm for suggestion in self.suggestions for arm in suggestion.arms)

    @property
    def num_trials(self) -> int:
        return sum(len(arm.seeds) for arm in self.arms)

    @property
    def num_chosen(self) -> int:
        """Suggestions of new configs."""
        return sum(one.method != REPLICATE for one in self.suggestions)

    @property
    def num_replicates(self) -> int:
        """Trials of suggestions that gave a config a further seed."""
        return sum(len(one.trials) for one in self.suggestions if one.method == REPLICATE)

    def observations(self, constraints: Sequence[Constraint]) -> list[Observation]:
        """What is known of every config that the space holds, in the order of the suggestions."""
        told = {one.trial_id: one for one in self.told}
        ended_at = {one.trial_id: index for index, one in enumerate(self.told)}
        found, more = list(self.learned), self._replicates()
        for suggestion in self.suggestions:
            if suggestion.method == REPLICATE:
                continue
            found += [rejected_observation(one) for one in suggestion.rejected]
            for arm in suggestion.arms:
                ended = [trial.trial_id for trial in arm.trials if trial.trial_id in told]
                if len(ended) < len(arm.seeds):
                    found.append(Observation(candidate=arm.candidate, state="running"))
                    continue
                ended += [trial_id for trial_id in more.get(arm.candidate.name, ()) if trial_id in told]
                observation = observed(arm.candidate, [told[trial_id] for trial_id in ended], constraints)
                if observation is not None:
                    found.append(dataclasses.replace(observation, ended_at=max(ended_at[one] for one in ended)))
        return [one for one in found if one.candidate.chosen]

    def _replicates(self) -> dict[str, list[str]]:
        """The further seeds of each config, as trial ids by the config's name."""
        found: dict[str, list[str]] = {}
        for suggestion in self.suggestions:
            for arm in suggestion.arms if suggestion.method == REPLICATE else ():
                found.setdefault(arm.candidate.name, []).extend(trial.trial_id for trial in arm.trials)
        return found


def rejected_observation(one: Rejected) -> Observation:
    return Observation(candidate=one.candidate, state="rejected", violations=one.violations)


def observed(candidate: Candidate, ended: Sequence[Told], constraints: Sequence[Constraint]) -> Observation | None:
    """What the trials of one config say together; None if they failed, which says nothing of the config.

    A config of which one seed was stopped early is cut as a whole: a mean of the others would be too good.
    """
    completed = [one for one in ended if one.status == "completed" and "ce" in one.values]
    if not completed or any(one.status == "stopped_early" for one in ended):
        if all(one.status == "failed" for one in ended):
            return None
        predicted = [one.values[PREDICTED] for one in ended if PREDICTED in one.values]
        values = {PREDICTED: sum(predicted) / len(predicted)} if predicted else {}
        return Observation(candidate=candidate, state="cut", values=values)
    columns = [column for column in OBJECTIVES if all(column in one.values for one in completed)]
    values = {column: _together(column, [one.values[column] for one in completed]) for column in columns}
    return Observation(
        candidate=candidate,
        state="completed",
        values=values,
        violations=violations(values, constraints),
        num_seeds=len(completed),
    )


def violations(values: Mapping[str, float], constraints: Iterable[Constraint]) -> dict[str, float]:
    """By limit, the excess of a value over it relative to the limit: above 0 where it is broken."""
    return {
        str(limit): (values[limit.column] - limit.bound)
        / max(abs(limit.bound), 1e-12)
        * (1.0 if limit.op == "<=" else -1.0)
        for limit in constraints
        if limit.column in values
    }


def _together(column: str, values: Sequence[float]) -> float:
    return max(values) if column in SIZES else sum(values) / len(values)
