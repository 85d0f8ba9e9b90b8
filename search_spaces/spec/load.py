"""Loads a sweep file or a trial file: checks everything, then raises all problems at once."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError

from search_spaces.spec.base_values import parse_base, valid_part
from search_spaces.spec.cases import check_conflicts, parse_cases
from search_spaces.spec.config_keys import check_mapping, check_value, find_key, normalized
from search_spaces.spec.cross_field_rules import in_words, note_rules
from search_spaces.spec.errors import SpecError
from search_spaces.spec.parameters import parse_space
from search_spaces.spec.problem_list import ProblemList, did_you_mean, problem_at
from search_spaces.spec.problems import Keys, Problem
from search_spaces.spec.scales import FULL, apply_scale, scale_names
from search_spaces.spec.sweep_spec import (
    DEFAULT_CONSTRAINTS,
    DEFAULT_OBJECTIVES,
    OBJECTIVES,
    AdmissionConfig,
    BudgetConfig,
    Constraint,
    Direction,
    ResourcesConfig,
    SearchConfig,
    SweepSpec,
    TrialKeys,
    get,
)
from search_spaces.spec.valid_configs import MAX_ARMS, MAX_COMBINATIONS_CHECKED, check_combinations, num_combinations
from search_spaces.spec.yaml_document import Document, LoadError, plain_scalar, read
from trainer.config.section import Section
from trainer.config.trial import TrialConfig

__all__ = ["Constraint", "SweepSpec", "load_sweep", "load_trial", "problem_at"]

# A grid beyond this is more likely a slip than a wish, unless the budget says how much of it is wanted.
MAX_TRIALS_WITHOUT_BUDGET = 10_000
MAX_SEEDS = 10_000
KEYS = (
    *("name", "scale", "scales", "objectives", "constraints", "search", "budget", "seeds", "admission", "resources"),
    *("base", "space", "cases"),
)

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
_CONSTRAINT = re.compile(r"\s*([A-Za-z0-9_]+)\s*(<=|>=)\s*(\S+)\s*")


class _Sections(Section):
    """The parts of a sweep file that are plain settings."""

    name: str = Field(default="sweep", pattern=_NAME, description="letters, digits, `_`, `.` and `-`")
    search: SearchConfig = Field(default_factory=SearchConfig)
    budget: BudgetConfig = Field(default_factory=BudgetConfig)
    admission: AdmissionConfig = Field(default_factory=AdmissionConfig)
    resources: ResourcesConfig = Field(default_factory=ResourcesConfig)


def load_sweep(path: Path, scale: str | None = None) -> SweepSpec:
    """Read and check a sweep file, at `scale` instead of the one that the file's own key says.

    Every scale of the file is checked, so that a file is right or wrong whichever of them is asked for.

    Raises:
        SpecError: with every problem, each at its file and line.
    """
    document, findings = _read(path)
    num_of_file = len(findings.problems)
    wanted = document.values.get("scale", FULL) if scale is None else scale
    names = scale_names(document.values, wanted, findings)
    # A share each: with more scales, reading a large grid takes no longer.
    num_checked = MAX_COMBINATIONS_CHECKED // (1 + len(names))
    spec = _spec_at(FULL, document, num_checked, findings)
    known = {problem.key for problem in findings.problems}
    for name in names:
        own = ProblemList(document, findings.problems[:num_of_file])
        scaled = _spec_at(name, document, num_checked, own)
        spec = scaled if name == wanted else spec
        findings.problems += [_told_at(name, problem) for problem in own.problems if problem.key not in known]
    findings.raise_any()
    assert spec is not None
    return spec


def _spec_at(scale: str, document: Document, num_checked: int, findings: ProblemList) -> SweepSpec | None:
    """The sweep at one scale; None if one of its plain sections is wrong."""
    raw, scaled = apply_scale(document.values, scale, findings)
    for name in raw.keys() - {*KEYS, "scaled"}:
        findings.add((name,), "unknown key", hint=_hint_for_top(name))
    sections = _sections(raw, document.path, findings)
    objectives = _objectives(raw.get("objectives"), findings)
    constraints = _constraints(raw.get("constraints"), findings)
    seeds = _seeds(raw.get("seeds"), findings)
    base = parse_base(raw.get("base"), ("base",), findings)
    space = parse_space(raw.get("space"), ("space",), findings)
    cases = parse_cases(raw.get("cases"), base, space, findings)
    check_conflicts(base, space, cases, findings)
    if sections is None:
        return None
    spec = SweepSpec(
        name=sections.name,
        scaled=scaled,
        objectives=objectives,
        constraints=constraints,
        search=sections.search,
        budget=sections.budget,
        seeds=seeds,
        admission=sections.admission,
        resources=sections.resources,
        base=base,
        space=space,
        cases=cases,
        document=document,
    )
    _check_search(spec, raw, findings)
    invalid_sections = _invalid_sections(findings)
    if invalid_sections is not None and (
        spec.search.method == "random" or all(one.is_listed for one in spec.parameters)
    ):
        check_combinations(spec, findings, invalid_sections, num_checked)
    return spec


def _told_at(scale: str, problem: Problem) -> Problem:
    """A problem that only a scale has, saying so where its key does not."""
    if problem.key.startswith("scales."):
        return problem
    return dataclasses.replace(problem, hint="; ".join(filter(None, [f"at scale {scale}", problem.hint])))


def load_trial(path: Path) -> TrialConfig:
    """Read and check the file of a single trial.

    Raises:
        SpecError: with every problem, each at its file and line.
    """
    document, findings = _read(path)
    raw = document.values
    well = check_mapping(TrialConfig, "", raw, (), findings)
    values = valid_part(TrialConfig, "", raw)
    config = None
    try:
        config = TrialConfig.model_validate(values)
    except ValidationError as error:
        invalid_sections = {str(keys[0]) for keys in findings.keys}
        rules = [
            (section, rule)
            for section, rule in in_words(error)
            if well or (section and section not in invalid_sections)
        ]
        absent = object()

        def locate(key: str) -> Keys | None:
            return None if get(raw, key, absent) is absent else tuple(key.split("."))

        note_rules(rules, locate, findings, ())
    findings.raise_any()
    assert config is not None
    return config


def _read(path: Path) -> tuple[Document, ProblemList]:
    try:
        document, problems = read(path)
    except LoadError as error:
        raise SpecError(error.problems) from None
    return document, ProblemList(document, problems)


def _hint_for_top(name: str) -> str | None:
    if find_key(TrialKeys, name) is not None:
        return "give `seeds: [1, 2]` instead" if name == "seed" else "belongs in `base`"
    return did_you_mean(name, KEYS) or f"known keys: {', '.join(KEYS)}"


def _sections(raw: dict[str, Any], path: Path, findings: ProblemList) -> _Sections | None:
    """Name, search, budget, admission and resources; None if any of them is wrong."""
    values: dict[str, Any] = {"name": path.stem}
    values.update({key: raw[key] for key in _Sections.model_fields if key in raw})
    if "name" not in raw and not re.match(_NAME, path.stem):
        findings.add(("name",), "is missing, and the name of the file cannot stand for it")
        return None
    if not check_mapping(_Sections, "", values, (), findings):
        return None
    return _Sections.model_validate(normalized(_Sections, "", values))


def _objectives(raw: Any, findings: ProblemList) -> dict[str, Direction]:
    if raw is None:
        return dict(DEFAULT_OBJECTIVES)
    if not isinstance(raw, dict) or not raw:
        hint = "write objectives: {ce: min, artifact_bytes: min}"
        findings.add(("objectives",), "must be a mapping of result columns to min or max", value=raw, hint=hint)
        return {}
    for column, direction in raw.items():
        _check_column(column, ("objectives", column), findings)
        if direction not in get_args(Direction):
            hints = [f"did you mean {word}?" for word in get_args(Direction) if str(direction).startswith(word)]
            findings.add(("objectives", column), "must be min or max", value=direction, hint=next(iter(hints), None))
    return raw


def _constraints(raw: Any, findings: ProblemList) -> tuple[Constraint, ...]:
    if raw is None:
        raw = list(DEFAULT_CONSTRAINTS)
    if not isinstance(raw, list):
        hint = f"write constraints: [{DEFAULT_CONSTRAINTS[0]}]"
        findings.add(("constraints",), "must be a list of limits", value=raw, hint=hint)
        return ()
    parsed = [_constraint(text, ("constraints", index), findings) for index, text in enumerate(raw)]
    return tuple(constraint for constraint in parsed if constraint is not None)


def _constraint(text: Any, where: Keys, findings: ProblemList) -> Constraint | None:
    match = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    bound = plain_scalar(match[3]) if match else None
    if match is None or isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
        hint = f"for example {DEFAULT_CONSTRAINTS[0]}"
        findings.add(where, "must be `column <= number` or `column >= number`", value=text, hint=hint)
        return None
    column, op = match[1], match[2]
    _check_column(column, where, findings)
    return Constraint(column, "<=" if op == "<=" else ">=", bound)


def _check_column(column: str, where: Keys, findings: ProblemList) -> None:
    if column not in OBJECTIVES:
        hint = did_you_mean(column, OBJECTIVES) or f"known columns: {', '.join(OBJECTIVES)}"
        findings.add(where, "is no result column that a sweep can be after", value=column, hint=hint)


def _seeds(raw: Any, findings: ProblemList) -> tuple[int, ...]:
    """The replicates; a number n stands for 1 to n."""
    if raw is None:
        return (1,)
    if isinstance(raw, int) and not isinstance(raw, bool):
        if 1 <= raw <= MAX_SEEDS:
            return tuple(range(1, raw + 1))
        findings.add(("seeds",), f"must be from 1 to {MAX_SEEDS:,} replicates", value=raw)
        return ()
    if not isinstance(raw, list):
        findings.add(("seeds",), "must be a list of whole numbers, or how many", value=raw)
        return ()
    if not raw:
        findings.add(("seeds",), "must not be empty")
    for index, seed in enumerate(raw):
        place = find_key(TrialKeys, "seed")
        assert place is not None
        if check_value(TrialKeys, place, seed, ("seeds", index), findings) and seed in raw[:index]:
            findings.add(("seeds", index), "listed twice", value=seed)
    return tuple(raw)


def _check_search(spec: SweepSpec, raw: dict[str, Any], findings: ProblemList) -> None:
    """Note what does not fit between method, space and budget."""
    if spec.search.method == "grid":
        if "seed" in raw.get("search", {}):
            findings.add(("search", "seed"), "has no effect with method grid", hint="remove it, or use method random")
        for parameter in spec.parameters:
            if not parameter.is_listed:
                rule = f"a {parameter.kind} cannot be listed by method grid"
                hint = "use grid, choice or steps, or search: {method: random}"
                findings.add(parameter.where, rule, value=list(parameter.values), hint=hint)
        num_trials = num_combinations(spec) * len(spec.seeds)
        if spec.budget.trials is None and num_trials > MAX_TRIALS_WITHOUT_BUDGET:
            hint = "say how many of them to run: budget: {trials: 1000}"
            findings.add(("space",), f"the grid has {num_trials:,} trials", hint=hint)
        return
    if spec.budget.trials is None:
        findings.add(("budget",), "method random needs a number of trials", hint="write budget: {trials: 100}")
    if (num_arms := num_combinations(spec)) > MAX_ARMS:
        rule = f"each draw would be crossed with {num_arms:,} combinations of the grid parameters"
        findings.add(("space",), rule, hint="use choice, range or steps for most of them")


def _invalid_sections(findings: ProblemList) -> set[str] | None:
    """The sections of a trial with values that are wrong by themselves; None if no combination can be formed at all."""
    sections: set[str] = set()
    if len(findings.problems) > len(findings.keys):  # some came with the file: it is not what its writer sees
        return None
    for keys in findings.keys:
        if len(keys) < 2 or keys[0] not in ("base", "space"):
            return None
        sections.add(str(keys[1]).partition(".")[0])
    return sections
