"""The valid configs of a sweep: every combination of a grid, or random draws. Pure, lazy."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Collection, Iterator, Sequence
from itertools import count, islice

from search_spaces.configs.combinations import Choice, Combination, Option, Options, all_options, combinations
from search_spaces.configs.draw_check import values_never_valid
from search_spaces.configs.draws import draw
from search_spaces.spec.cross_field_rules import problems_of, validated
from search_spaces.spec.problems import Keys, Problem, SpecError
from search_spaces.spec.sections.accelerators import text_of_kinds
from search_spaces.spec.sections.resources import ResourcesConfig
from search_spaces.spec.sections.search import Method
from search_spaces.spec.sweep_spec import Parameter, SweepSpec, ehvi_knows
from trainer.config.trial import TrialConfig

# A draw that breaks a rule between keys is drawn again; a space where this many in a row do is a mistake.
MAX_ATTEMPTS = 1_000
# Draws in a row that only repeat what is planned already: the space is used up, or as good as.
MAX_STALE_DRAWS = 1_000
MAX_ARMS = 10_000
MAX_COMBINATIONS_CHECKED = 2_000
MAX_DRAWS_CHECKED = 100


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A combination that keeps every rule."""

    config: TrialConfig
    resources: ResourcesConfig
    suffix: str
    chosen: tuple[Choice, ...] = dataclasses.field(default=(), compare=False, repr=False)

    @functools.cached_property
    def name(self) -> str:
        """What tells it from every other: equal for two ways to write one config."""
        return self.config.config_id + self.suffix


def candidates(spec: SweepSpec) -> Iterator[Candidate]:
    """Every valid config of a sweep once, in the order of its plan.

    Raises:
        SpecError: if a combination of a grid, or nearly every draw, breaks a rule of the config.
    """
    return _distinct(_drawn(spec) if spec.draws else _grid(spec))


def candidates_of_space(spec: SweepSpec) -> Iterator[Candidate]:
    """Every valid config of the space once, whatever the method, leaving out combinations that break a rule."""
    found = (_candidate(spec, one) for one in combinations(spec, all_options))
    return _distinct(candidate for candidate in found if candidate is not None)


def num_combinations(spec: SweepSpec) -> int:
    """How many combinations a grid has at most: cases are counted as if all held."""
    return math.prod(parameter.num_options for parameter in spec.parameters if _is_crossed(spec, parameter))


def method_of(spec: SweepSpec) -> Method:
    """How configs are chosen: `auto` is the grid if every combination fits the budget, in trials.

    Else it is the adaptive method that learned fastest in `benchmarks/search.py`, of those that know the objectives.
    """
    if spec.search.method != "auto":
        return spec.search.method
    if not _has_draws(spec) or _grid_fits(spec):
        return "grid"
    return "ehvi" if ehvi_knows(spec.objectives) else "tpe"


def _grid_fits(spec: SweepSpec) -> bool:
    if not all(parameter.is_listed for parameter in spec.parameters):
        return False
    if spec.num_to_search is None:
        return True
    most = spec.num_to_search // len(spec.seeds)
    return sum(1 for _ in islice(combinations(spec, all_options), most + 1)) <= most


def check_combinations(
    spec: SweepSpec, invalid_sections: Collection[str] = (), num_checked: int = MAX_COMBINATIONS_CHECKED
) -> list[Problem]:
    """What is wrong with combinations: of a grid the first ones, of a random search the first draws.

    Args:
        invalid_sections: sections with values that are wrong by themselves; rules that read them are not tried.
        num_checked: how many are looked at; what is wrong with others is said by the plan.
    """
    if not spec.draws:
        found: dict[tuple[Keys, str], Problem] = {}
        for combination in islice(combinations(spec, all_options), num_checked):
            for problem in problems_of(spec, combination, invalid_sections):
                found.setdefault((problem.keys, problem.rule), problem)
        return list(found.values())
    num_drawn = 0
    for number in range(MAX_DRAWS_CHECKED if _has_draws(spec) and not invalid_sections else 1):
        try:
            num_drawn += len(_draw_of_valid_arms(spec, number))
        except SpecError as error:
            return [] if invalid_sections else error.problems
        if num_drawn >= min(num_checked, spec.budget.trials or 1):
            break
    return [] if invalid_sections else list(values_never_valid(spec))


def _distinct(candidates: Iterator[Candidate | None]) -> Iterator[Candidate]:
    """Each candidate once; the end when too many draws (each marked by None) brought nothing new."""
    seen: set[str] = set()
    stale = 0
    for candidate in candidates:
        if candidate is None:
            stale += 1
            if stale > MAX_STALE_DRAWS:
                return
            continue
        if candidate.name not in seen:
            seen.add(candidate.name)
            stale = 0
            yield candidate


def _grid(spec: SweepSpec) -> Iterator[Candidate]:
    for combination in combinations(spec, all_options):
        candidate = _candidate(spec, combination)
        if candidate is None:
            raise SpecError(problems_of(spec, combination), spec.document)
        yield candidate


def _drawn(spec: SweepSpec) -> Iterator[Candidate | None]:
    """The arms (combinations of the grid parameters) of draw after draw, a None behind each draw."""
    for number in count() if _has_draws(spec) else range(1):
        yield from _draw_of_valid_arms(spec, number)
        yield None


def _draw_of_valid_arms(spec: SweepSpec, number: int) -> list[Candidate]:
    """One draw, crossed with the grid. It counts only if all its arms are valid: arms are compared on equal draws."""
    for attempt in range(MAX_ATTEMPTS if _has_draws(spec) else 1):
        arms = arms_of(spec, options_of_draw(spec.search.seed, number, attempt))
        if isinstance(arms, list):
            return arms
    problems = problems_of(spec, arms) if isinstance(arms, Combination) else []
    if _has_draws(spec):
        hint = f"{MAX_ATTEMPTS:,} draws in a row break a rule, the last one this: narrow the space"
        problems = [dataclasses.replace(problem, hint=hint) for problem in problems]
    raise SpecError(problems, spec.document)


def arms_of(spec: SweepSpec, options: Options) -> list[Candidate] | Combination:
    """Every combination of what `options` gives, if all are valid; else the first that breaks a rule."""
    arms: list[Candidate] = []
    for combination in combinations(spec, options):
        candidate = _candidate(spec, combination)
        if candidate is None:
            return combination
        arms.append(candidate)
    return arms


def options_of_draw(seed: int, number: int, attempt: int) -> Options:
    def options(parameter: Parameter) -> Sequence[Option]:
        return all_options(parameter) if parameter.kind == "grid" else [draw(parameter, seed, number, attempt)]

    return options


def _has_draws(spec: SweepSpec) -> bool:
    return any(parameter.kind != "grid" for parameter in spec.parameters)


def _is_crossed(spec: SweepSpec, parameter: Parameter) -> bool:
    return parameter.kind == "grid" if spec.draws else parameter.is_listed


def _candidate(spec: SweepSpec, combination: Combination) -> Candidate | None:
    """None if the combination breaks a rule."""
    config, given, broken = validated(combination.values)
    if broken or config is None or given is None:
        return None
    return Candidate(config, given, _suffix(spec, given), combination.chosen)


def _suffix(spec: SweepSpec, resources: ResourcesConfig) -> str:
    """What tells trials of one config apart that are given different resources."""
    parts = {
        "resources.accelerator": f"-{text_of_kinds(resources.accelerator, '.')}",  # ids are names of folders
        "resources.cpus": "" if resources.cpus is None else f"-{resources.cpus:g}cpu",
        "resources.gpus": "" if resources.gpus is None else f"-{resources.gpus:g}gpu",
    }
    return "".join(part for key, part in parts.items() if any(key in one.leaves for one in spec.parameters))
