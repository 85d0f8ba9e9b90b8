"""Method `tpe`: the tree-structured Parzen estimator of Optuna, multi-objective, with constraints and cases.

Bergstra et al., 2011, "Algorithms for Hyper-Parameter Optimization"; Ozaki et al., 2022 (multi-objective). Of Optuna's
samplers it is the one that models conditional parameters and learns from configs that were rejected before training.

Each suggestion has a sampler of its own, seeded by the suggestion's number, so that it is a function of what was
observed and not of how often the process was started. The study is held in memory and follows the observations.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from orchestrator.search.history import Observation
from orchestrator.search.method import Proposal, Question, is_learned, parameter_name
from search_spaces.configs.agreeing import agreeing
from search_spaces.configs.combinations import Combination, Option, Options
from search_spaces.configs.device_kinds import deciding_parameters, kept_to, one_runs_on
from search_spaces.configs.draws import takes_whole_numbers
from search_spaces.configs.valid_configs import Candidate, arms_of, options_of_draw
from search_spaces.spec.sweep_spec import Parameter, SweepSpec

# With fewer trials than this, of those that a pin leaves, the sampler draws at random.
MIN_TRIALS = 5
# Attempts at a config for some kinds of device, before what decides on the kind is drawn; and draws for that.
FREE_ATTEMPTS = 10
MAX_DRAWS = 1_000

optuna.logging.set_verbosity(optuna.logging.WARNING)
# `group` is marked experimental; for the whole process, as filters that come and go are not safe among threads
warnings.filterwarnings("ignore", message="Argument ``group``", category=optuna.exceptions.ExperimentalWarning)


def distribution(parameter: Parameter) -> BaseDistribution:
    """A parameter in Optuna's terms. Lists of numbers are ordered, so they are known by their place in that order."""
    if parameter.is_listed:
        if _is_ordered(parameter):
            return IntDistribution(0, parameter.num_options - 1)
        return CategoricalDistribution([json.dumps(option, sort_keys=True) for option in parameter.options])
    (low, high), log = parameter.values, parameter.kind == "log_range"
    if takes_whole_numbers(parameter):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def encoded(parameter: Parameter, value: Any) -> Any:
    """A value as the parameter's distribution holds it."""
    if not parameter.is_listed:
        return value
    return sorted(parameter.options).index(value) if _is_ordered(parameter) else json.dumps(value, sort_keys=True)


def decoded(parameter: Parameter, inside: Any) -> Option:
    """The option that Optuna's value stands for. Fractions have six significant digits, as all draws have."""
    if not parameter.is_listed:
        if takes_whole_numbers(parameter):
            return None, int(inside)
        low, high = parameter.values
        return None, float(min(max(float(f"{inside:.6g}"), low), high))
    options = parameter.options
    value = sorted(options)[inside] if _is_ordered(parameter) else json.loads(inside)
    return list(options).index(value), value


def _is_ordered(parameter: Parameter) -> bool:
    options = parameter.options
    return len(options) > 2 and all(isinstance(one, int | float) and not isinstance(one, bool) for one in options)


@dataclasses.dataclass
class _Entry:
    """An observation as the study holds it, under a number of the study's own."""

    observation: Observation
    number: int


class _Study:
    """An Optuna study that holds some observations in their order."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self._entries: list[_Entry] = []
        self._study = self._new()

    def follow(self, observations: Sequence[Observation]) -> None:
        """Make the study hold these: what has changed at the end is replaced, else it is built anew."""
        same = 0
        for entry, now in zip(self._entries, observations, strict=False):
            before = entry.observation
            if before.candidate.name != now.candidate.name:
                break
            if before.state != now.state or before.values != now.values:
                if before.state != "running":
                    break
                self._end(entry, now)
            same += 1
        superseded = self._entries[same:]
        if any(entry.observation.state != "running" for entry in superseded):
            self._study, self._entries, same = self._new(), [], 0
        else:
            for entry in superseded:
                self._study.tell(entry.number, state=TrialState.FAIL)  # no sampler sees it
            del self._entries[same:]
        for observation in observations[same:]:
            self._add(observation)

    @contextmanager
    def trial(self, seed: int) -> Iterator[Trial]:
        """A trial to ask for parameters, by a sampler of its own; it leaves no trace."""
        self._study.sampler = TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=MIN_TRIALS, seed=seed
        )
        trial = self._study.ask()
        yield trial
        self._study.tell(trial.number, state=TrialState.FAIL)

    def _new(self) -> optuna.Study:
        directions = self.spec.objectives.values()
        return optuna.create_study(
            directions=[StudyDirection.MINIMIZE if one == "min" else StudyDirection.MAXIMIZE for one in directions]
        )

    def _add(self, observation: Observation) -> None:
        chosen = {parameter_name(one): (one, value) for one, _, value in observation.candidate.chosen}
        kept = {name: pair for name, pair in chosen.items() if is_learned(pair[0])}
        values = self._values(observation)
        running = observation.state == "running"
        state = TrialState.RUNNING if running else TrialState.COMPLETE if values else TrialState.PRUNED
        self._study.add_trial(
            create_trial(
                params={name: encoded(one, value) for name, (one, value) in kept.items()},
                distributions={name: distribution(one) for name, (one, _) in kept.items()},
                state=state,
                values=values,
                constraints=dict(observation.violations),
            )
        )
        self._entries.append(_Entry(observation, len(self._study.get_trials(deepcopy=False)) - 1))

    def _end(self, entry: _Entry, now: Observation) -> None:
        trial = Trial(self._study, self._study.get_trials(deepcopy=False)[entry.number]._trial_id)
        for limit, violation in now.violations.items():
            trial.set_constraint(limit, violation)
        values = self._values(now)
        if values is None:
            self._study.tell(entry.number, state=TrialState.PRUNED)
        else:
            self._study.tell(entry.number, values)
        entry.observation = now

    def _values(self, observation: Observation) -> list[float] | None:
        if observation.state != "completed" or any(one not in observation.values for one in self.spec.objectives):
            return None
        return [observation.values[column] for column in self.spec.objectives]


class Tpe:
    """See the module. It holds studies between its suggestions, so it serves one thread at a time."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self._studies: dict[str, _Study] = {}

    def propose(self, question: Question) -> Sequence[Proposal]:
        """The configs of one suggestion; none where Optuna's values break a rule between keys.

        What is pinned filters the observations: Optuna does not condition the other parameters on a fixed one. Where
        what it proposes needs other kinds of device time and again, what decides on the kind is drawn.
        """
        pinned = dict(question.pinned)
        study = self._studies.setdefault(json.dumps(pinned, sort_keys=True), _Study(self.spec))
        study.follow([one for one in question.observations if _has(one.candidate, pinned)])
        decided = self._decided(question) if question.attempt >= FREE_ATTEMPTS else {}
        with study.trial(question.seed) as trial:
            arms = arms_of(self.spec, agreeing(pinned, _options_of(trial, question.drawn, decided)))
        if isinstance(arms, Combination) or not one_runs_on(arms, question.kinds):
            return []
        return [Proposal(candidate) for candidate in arms]

    def _decided(self, question: Question) -> dict[str, Option]:
        """Of a random draw that can run on the kinds of the question, the options of what decides on the kind."""
        deciding = {parameter_name(one) for one in deciding_parameters(self.spec)}
        for number in range(MAX_DRAWS if question.kinds is not None and deciding else 0):
            draw = kept_to(question.kinds, options_of_draw(question.seed, number, question.attempt))
            arms = arms_of(self.spec, agreeing(dict(question.pinned), draw))
            for arm in () if isinstance(arms, Combination) else arms:
                if one_runs_on([arm], question.kinds):
                    chosen = {parameter_name(one): (index, value) for one, index, value in arm.chosen}
                    return {name: option for name, option in chosen.items() if name in deciding}
        return {}


def _options_of(trial: Trial, drawn: Options, decided: Mapping[str, Option]) -> Options:
    """What a trial of Optuna suggests for each parameter that is learned, and is not decided already."""

    def options(parameter: Parameter) -> Sequence[Option]:
        if parameter.kind != "grid" and parameter_name(parameter) in decided:
            return [decided[parameter_name(parameter)]]
        if parameter.kind == "grid" or not is_learned(parameter) or parameter.num_values == 1:
            return drawn(parameter)
        name, kind = parameter_name(parameter), distribution(parameter)
        if isinstance(kind, CategoricalDistribution):
            return [decoded(parameter, trial.suggest_categorical(name, kind.choices))]
        if isinstance(kind, IntDistribution):
            return [decoded(parameter, trial.suggest_int(name, kind.low, kind.high, log=kind.log))]
        assert isinstance(kind, FloatDistribution)
        return [decoded(parameter, trial.suggest_float(name, kind.low, kind.high, log=kind.log))]

    return options


def _has(candidate: Candidate, pinned: Mapping[str, Any]) -> bool:
    return all(getattr(candidate.config, key) == value for key, value in pinned.items())
