"""The largest and the smallest admitted config of a space that nobody lists, by one parameter after another. Pure."""

from __future__ import annotations

from typing import Any

from orchestrator.canary.choose import size_of
from orchestrator.scheduling.admission import refusal
from orchestrator.search.planner import PlannedTrial, planned_trial
from search_spaces.configs.combinations import Option
from search_spaces.configs.draws import takes_whole_numbers
from search_spaces.configs.valid_configs import Candidate, arms_of
from search_spaces.spec.sweep_spec import Parameter, SweepSpec

# Of a parameter with more options, the first and the last are tried.
MAX_OPTIONS = 16
PASSES = 2  # the second finds what a value of a later parameter has allowed


def extremes(spec: SweepSpec) -> list[PlannedTrial]:
    """The smallest and the largest config that is admitted, as far as a climb along single parameters finds them.

    A random search of the space seldom draws either.
    """
    found = [_climbed(spec, sign) for sign in (-1.0, 1.0)]
    return [planned_trial(one, spec.seeds[0]) for one in found if one is not None]


def _climbed(spec: SweepSpec, sign: float) -> Candidate | None:
    chosen: dict[str, Option] = {}
    best = _candidate(spec, chosen)
    for _ in range(PASSES):
        for parameter in spec.parameters:
            for option in _options(parameter):
                tried = {**chosen, parameter.key: option}
                candidate = _candidate(spec, tried)
                if candidate is not None and (best is None or sign * _size(candidate) > sign * _size(best)):
                    best, chosen = candidate, tried
    return best


def _size(candidate: Candidate) -> float:
    return size_of(candidate.config)


def _candidate(spec: SweepSpec, chosen: dict[str, Option]) -> Candidate | None:
    """The config of these options, the first option of every other parameter; None if it is not valid or admitted."""
    arms = arms_of(spec, lambda parameter: [chosen.get(parameter.key) or _options(parameter)[0]])
    if not isinstance(arms, list) or not arms:
        return None
    is_refused = refusal(arms[0].config, spec.constraints, spec.admission.max_expected_ratio) is not None
    return None if is_refused else arms[0]


def _options(parameter: Parameter) -> list[Option]:
    if not parameter.is_listed:
        ends: tuple[Any, ...] = parameter.values[:2]
        return [(None, int(value) if takes_whole_numbers(parameter) else float(value)) for value in ends]
    last = parameter.num_options - 1
    indices = range(last + 1) if last < MAX_OPTIONS else (0, last)
    return [(index, parameter.options[index]) for index in indices]
