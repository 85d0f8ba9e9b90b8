"""Loads a sweep file or a trial file in one direction: read, shape, meaning; all problems are raised at once.

*Read* gives plain values that know their lines (`yaml_document.py`), *shape* checks keys, types and bounds
(`sweep_file.py`, `parameters.py`), *meaning* what keys say together (scales, cases, rules between keys, combinations).
Each step returns values and a list of problems.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_spaces.configs.first_configs import first_problems
from search_spaces.configs.valid_configs import MAX_COMBINATIONS_CHECKED, check_combinations, method_of
from search_spaces.spec.cases import conflicts, read_cases
from search_spaces.spec.config_keys import checked, part_of, plain_values
from search_spaces.spec.cross_field_rules import in_words, placed
from search_spaces.spec.nested import get, leaves, nested
from search_spaces.spec.parameters import read_space
from search_spaces.spec.problems import ABSENT, Keys, Problem, SpecError, dotted
from search_spaces.spec.scales import check_scales, scaled_values
from search_spaces.spec.sweep_file import FULL, SweepFile
from search_spaces.spec.sweep_rules import always_set, sweep_problems
from search_spaces.spec.sweep_spec import Scaled, SweepSpec
from search_spaces.spec.yaml_document import Document, parse_value, read
from trainer.config.trial import TrialConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def load_sweep(path: Path, scale: str | None = None, overrides: Sequence[str] = ()) -> SweepSpec:
    """Read and check a sweep file, at `scale` instead of the one that the file's own key says.

    Every scale of the file is checked, so that a file is right or wrong whichever of them is asked for.
    `overrides` are `key=value` arguments that change the file's values.

    Raises:
        SpecError: with every problem, each at its file and line.
    """
    document, problems = read(path)
    document, of_arguments = _overridden(document, overrides)
    problems += of_arguments
    raw = {key: value for key, value in document.values.items() if value is not None}
    file, of_shape = checked(SweepFile, raw)
    wanted = file.scale if scale is None else scale
    problems += check_scales(file, wanted)
    names = [FULL, *(name for name in file.scales if name != FULL)]
    num_checked = MAX_COMBINATIONS_CHECKED // len(names)  # a share each: with more scales, reading takes no longer
    specs = {}
    for name in names:
        if name == FULL:
            specs[name], found = _spec_of(file, of_shape, document, num_checked)
            problems += found
            continue
        scaled, of_scale = _scaled(raw, file, name)
        specs[name], found = _spec_of(*checked(SweepFile, scaled), document, num_checked)
        known = {(problem.keys, problem.rule) for problem in problems}
        new = [problem for problem in [*of_scale, *found] if (problem.keys, problem.rule) not in known]
        problems += [_at_scale(name, problem, _settings_of(file, name)) for problem in new]
    if not problems:
        problems += [*_ineffective(specs[wanted], file, wanted), *_ineffective_scales(specs[wanted], file)]
    if problems:
        raise SpecError(problems, document)
    return specs[wanted]


def load_trial(path: Path) -> TrialConfig:
    """Read and check the file of a single trial.

    Raises:
        SpecError: with every problem, each at its file and line.
    """
    document, problems = read(path)
    part, of_shape = checked(part_of(TrialConfig), document.values)
    problems += of_shape
    try:
        config = TrialConfig.model_validate(plain_values(part))
    except ValidationError as error:
        invalid_sections = {str(problem.keys[0]) for problem in of_shape}
        rules = [
            (section, rule)
            for section, rule in in_words(error)
            if not of_shape or (section and section.partition(".")[0] not in invalid_sections)
        ]
        raw = document.values
        problems += placed(rules, lambda key: None if get(raw, key, ABSENT) is ABSENT else tuple(key.split(".")), ())
    if problems:
        raise SpecError(problems, document)
    return config


def problem_at(spec: SweepSpec, key: str, rule: str, value: Any = ABSENT, hint: str | None = None) -> SpecError:
    """A SpecError for one key of a spec that was read without errors: for checks that need more than the file.

    `key` is dotted as in the file (`base.data`), or a trial's (`data`), then found where the sweep sets it.
    """
    return SpecError([Problem(keys=spec.keys_of(key), rule=rule, value=value, hint=hint)], spec.document)


def _overridden(document: Document, arguments: Sequence[str]) -> tuple[Document, list[Problem]]:
    """The document with each `key=value` set; what an argument is wrong with is placed at the argument.

    A key is dotted from the top of the file; keys that are dotted in the file (`model.dim:`) are found as they are.
    """
    problems = []
    values, lines = copy.deepcopy(document.values), dict(document.lines)
    seen: set[str] = set()
    for index, argument in enumerate(arguments):
        line = -(index + 1)
        key, equals, text = argument.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            problems.append(Problem(line=line, rule="must be KEY=VALUE, such as base.train.steps=2000"))
        elif key in seen:
            problems.append(Problem(line=line, rule=f"sets {key} once more; an argument before it does so"))
        else:
            seen.add(key)
            try:
                way = _set(values, key.split("."), parse_value(text))
            except ValueError:
                problems.append(Problem(line=line, rule="its value is not YAML, such as 5, cpu or [1, 2]"))
                continue
            # the nearest key that an argument has set is to blame for what is below it
            lines = {keys: number for keys, number in lines.items() if keys[: len(way)] != way} | {way: line}
    return Document(document.path, values, lines, tuple(arguments)), problems


def _set(values: dict[str, Any], parts: list[str], value: Any) -> Keys:
    """Set the value at a dotted key, whose parts may be joined in the file; the way to what was replaced or added."""
    lengths = range(len(parts), 0, -1)
    length = next((length for length in lengths if ".".join(parts[:length]) in values), 1)
    name, rest = ".".join(parts[:length]), parts[length:]
    if rest and isinstance(values.get(name), dict):
        return (name, *_set(values[name], rest, value))
    values[name] = nested(".".join(rest), value) if rest else value
    return (name,)


def _ineffective(spec: SweepSpec, file: SweepFile, scale: str) -> Iterator[Problem]:
    """Arguments that set what a space or the scale sets over them."""
    replaced = _settings_of(file, scale)
    for index, argument in enumerate(spec.document.arguments):
        root, _, key = argument.partition("=")[0].strip().partition(".")
        parameter = always_set(spec, key) if root == "base" else None
        if parameter is not None:
            rule = f"has no effect: {dotted(parameter.where)} sets {key} in every trial"
            yield Problem(line=-(index + 1), rule=rule)
        elif root == "base" and key in replaced:
            yield Problem(line=-(index + 1), rule=f"has no effect: scales.{scale}.set sets {key}")


def _ineffective_scales(spec: SweepSpec, file: SweepFile) -> Iterator[Problem]:
    """Settings of scales that a space sets over them: such a scale is not as small as it says."""
    for name in file.scales:
        for key in _settings_of(file, name):
            parameter = always_set(spec, key)
            if parameter is not None:
                rule = f"has no effect: {dotted(parameter.where)} sets it in every trial"
                yield Problem(keys=("scales", name, "set", *key.split(".")), rule=rule)


def _settings_of(file: SweepFile, scale: str) -> list[str]:
    values = file.scales[scale].set if scale in file.scales else None
    return list(leaves(plain_values(values))) if values else []


def _scaled(raw: dict[str, Any], file: SweepFile, name: str) -> tuple[dict[str, Any], list[Problem]]:
    scale = file.scales[name]
    return scaled_values(raw, name, scale, plain_values(scale.set) if scale.set else {})


def _spec_of(
    file: SweepFile, of_shape: Sequence[Problem], document: Document, num_checked: int
) -> tuple[SweepSpec, list[Problem]]:
    """What the file means, and what is wrong with it: with its shape, too."""
    problems = list(of_shape)
    if not file.name and not _NAME.fullmatch(document.path.stem):
        rule = "is missing, and the name of the file cannot be used for it"
        problems.append(Problem(keys=("name",), rule=rule))
    base = plain_values(file.base) if file.base else {}
    space, of_space = read_space(file.space, ("space",))
    cases, of_cases = read_cases(file.cases, base, space)
    problems += [*of_space, *of_cases, *conflicts(base, space, cases, document)]
    spec = SweepSpec(
        name=file.name or document.path.stem,
        notes=file.notes,
        scaled=None if file.scaled is None else Scaled(name=file.scaled.name, divide=file.scaled.divide),
        objectives=file.objectives,
        constraints=file.constraints,
        search=file.search,
        early_stopping=file.early_stopping,
        keep=file.keep,
        budget=file.budget,
        prices=file.prices,
        on_finish=file.on_finish,
        sentinel=file.sentinel,
        seeds_given=file.seeds or file.replicates.seeds,
        replicates=file.replicates,
        confirm=file.confirm,
        admission=file.admission,
        resources=file.resources,
        base=base,
        space=space,
        cases=cases,
        document=document,
    )
    spec = dataclasses.replace(spec, method=method_of(spec))
    problems += sweep_problems(spec)
    invalid = _invalid_sections(problems)
    if invalid is not None and (spec.draws or all(one.is_listed for one in spec.parameters)):
        problems += check_combinations(spec, invalid, num_checked)
    problems += [] if problems else first_problems(spec)
    return spec, problems


def _at_scale(scale: str, problem: Problem, settings: Collection[str]) -> Problem:
    """A problem that only a scale has: at the setting of the scale that replaced the file's, or saying which scale."""
    if problem.keys[:1] == ("scales",):
        return problem
    if problem.keys[:1] == ("base",) and ".".join(map(str, problem.keys[1:])) in settings:
        return dataclasses.replace(problem, keys=("scales", scale, "set", *problem.keys[1:]))
    return dataclasses.replace(problem, hint="; ".join(filter(None, [f"at scale {scale}", problem.hint])))


def _invalid_sections(problems: Sequence[Problem]) -> set[str] | None:
    """The sections of a trial with values that are wrong by themselves; None if no combination can be formed at all."""
    sections: set[str] = set()
    for problem in problems:
        if len(problem.keys) < 2 or problem.keys[0] not in ("base", "space"):
            return None
        sections.add(str(problem.keys[1]).partition(".")[0])
    return sections
