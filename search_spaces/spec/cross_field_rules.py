"""Rules between keys: which combinations are invalid, and the keys of the file that break a rule."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from search_spaces.configs.combinations import Combination
from search_spaces.spec.config_keys import find_key, problem_of
from search_spaces.spec.nested import get
from search_spaces.spec.problems import Keys, Problem, plain
from search_spaces.spec.sections.accelerators import CPU, kinds_in_words
from search_spaces.spec.sections.resources import ResourcesConfig
from search_spaces.spec.sweep_spec import Parameter, SweepSpec
from search_spaces.spec.yaml_document import Document
from trainer.config.trial import TrialConfig

_MAX_CHOICES_NAMED = 4

# The section (or key) that a rule was found in, and the rule in words, its keys in backticks.
BrokenRule = tuple[str, str]


def gpus_of(config: TrialConfig, resources: ResourcesConfig) -> float | None:
    """As given, else by kind; a trial that names its device does not leave it to its node."""
    if resources.gpus is not None:
        return resources.gpus
    if resources.accelerator == CPU:
        return 0.0
    if resources.kinds is None:
        return {"cpu": 0.0, "cuda": 1.0, "auto": None}[config.device]
    # also with `device: cpu`, which is how a simulated cluster with imagined cards is run
    return None if CPU in resources.kinds else 1.0


def broken_rules(values: dict[str, Any]) -> list[BrokenRule]:
    """What is wrong with a combination."""
    return validated(values)[2]


def validated(values: dict[str, Any]) -> tuple[TrialConfig | None, ResourcesConfig | None, list[BrokenRule]]:
    """The config of a combination, what it is given, and what is wrong with them; None where that is not valid."""
    trial = {key: value for key, value in values.items() if key != "resources"}
    config, broken = _validated(TrialConfig, trial)
    given, of_resources = _validated(ResourcesConfig, values["resources"])
    broken += [(f"resources.{key}", rule) for key, rule in of_resources]
    if config is not None and given is not None:
        broken += [("", rule) for rule in _rules_of_placement(config, given)]
    return config, given, broken


def _validated(model: type[Any], values: dict[str, Any]) -> tuple[Any, list[BrokenRule]]:
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, in_words(error)


def in_words(error: ValidationError) -> list[BrokenRule]:
    """What pydantic found."""
    return [
        (".".join(part for part in details["loc"] if isinstance(part, str)), problem_of(TrialConfig, details).rule)
        for details in error.errors(include_url=False)
    ]


def _rules_of_placement(config: TrialConfig, resources: ResourcesConfig) -> Iterator[str]:
    kinds, wanted = resources.kinds, resources.gpus
    named = kinds_in_words(resources.kinds_text)
    with_and_without = kinds is not None and CPU in kinds and len(kinds) > 1
    if with_and_without and wanted is not None:
        yield f"`resources.gpus` must be left out where `resources.accelerator` is {named}, but got {wanted:g}"
    elif resources.accelerator == CPU and wanted:
        yield f"`resources.gpus` must be 0 where `resources.accelerator` is CPU, but got {wanted:g}"
    elif kinds is not None and resources.accelerator != CPU and wanted == 0:
        yield f"`resources.gpus` must be above 0 where `resources.accelerator` is {named}, but got 0"
    if resources.cpus is not None and config.num_threads > math.ceil(resources.cpus):
        yield f"`num_threads` must be at most `resources.cpus`, but got {config.num_threads} and {resources.cpus:g}"
    if config.device == "cuda" and (gpus_of(config, resources) == 0 or with_and_without):
        yield f"`device` cuda needs a GPU, but its `resources.accelerator` is {named}"
    if config.device == "cpu" and wanted and kinds is None:
        yield f"`device` cpu would leave a GPU idle: `resources.gpus` is {wanted:g} wherever the trial runs"


def problems_of(spec: SweepSpec, combination: Combination, invalid_sections: Collection[str] = ()) -> list[Problem]:
    """Each rule that a combination breaks, but for those that read a section whose values are wrong by themselves."""
    broken = [
        (section, rule)
        for section, rule in broken_rules(combination.values)
        if not invalid_sections or (section and section.partition(".")[0] not in invalid_sections)
    ]
    return placed(broken, lambda key: _where(spec, combination, key), ("base",), combination, spec.document)


def placed(
    broken: Iterable[BrokenRule],
    locate: Callable[[str], Keys | None],
    otherwise: Keys,
    combination: Combination | None = None,
    document: Document | None = None,
) -> list[Problem]:
    """Broken rules as problems, each at the first key it names that the file sets, or that an argument sets."""
    found: dict[tuple[Keys, str], Problem] = {}
    for section, rule in broken:
        named = _named(rule)
        mentioned = keys_of_rule(section, rule)
        places = [locate(key) for key in mentioned]
        known = [place for place in places if place is not None]
        where = min(known, key=lambda place: _rank(place, document), default=otherwise)
        # What the line's key says already, the rule need not repeat.
        text = rule.removeprefix(f"`{named[0]}` ") if named and where == places[0] else rule
        hint = None if combination is None else _of_combination(combination, mentioned)
        problem = Problem(keys=where, rule=text.replace("`", ""), hint=hint)
        found.setdefault((where, problem.rule), problem)
    return list(found.values())


def _rank(place: Keys, document: Document | None) -> int:
    """An argument of the command line is to blame before what varies, and that before what all trials share."""
    if document is not None and document.line(place) < 0:
        return 0
    return 1 if place[0] in ("space", "cases") else 2


def keys_of_rule(section: str, rule: str) -> list[str]:
    """The keys that a rule reads, from the top of the trial: those it names, else the section it was found in."""
    return [_from_the_top(section, key) for key in _named(rule)] or [section]


def _named(rule: str) -> list[str]:
    """The keys in backticks: `dim / num_heads` gives dim, num_heads."""
    return [key for text in re.findall(r"`([^`]*)`", rule) for key in re.findall(r"[a-z_][a-z0-9_.]*", text)]


def _from_the_top(section: str, key: str) -> str:
    """A key as a rule names it (the rules of `model` say `dim`), from the top of the trial."""
    inside = f"{section}.{key}"
    return inside if section and find_key(inside) is not None else key


def _where(spec: SweepSpec, combination: Combination, key: str) -> Keys | None:
    """Where the file sets a trial's key: in the space as chosen here, else in `resources` or the base."""
    for parameter, index, value in reversed(combination.chosen):
        item: Keys = parameter.where if index is None else (*parameter.where, parameter.kind, index)
        if parameter.key == key:
            return parameter.where
        if isinstance(value, dict) and key.startswith(f"{parameter.key}."):
            sub = key.removeprefix(f"{parameter.key}.")
            if get(value, sub, item) is not item:
                return (*item, *sub.split("."))
    root = "resources" if key.partition(".")[0] == "resources" else "base"
    keys: tuple[str, ...] = tuple(key.split(".")) if root == "resources" else ("base", *key.split("."))
    absent = object()
    source = {"resources": spec.resources.model_dump(exclude_unset=True), "base": spec.base}
    return keys if get(source, ".".join(keys), absent) is not absent else None


def _of_combination(combination: Combination, mentioned: list[str]) -> str | None:
    """Names the combination, where what varies has a part in what is wrong."""
    part = [choice for choice in combination.chosen if any(_touches(choice[0], key) for key in mentioned)]
    if not part:
        return None
    others = [choice for choice in combination.chosen if choice not in part]
    named = [f"{parameter.key}: {plain(value)}" for parameter, _, value in [*part, *others]]
    return (
        "in the combination "
        + ", ".join(named[:_MAX_CHOICES_NAMED])
        + (", …" if len(named) > _MAX_CHOICES_NAMED else "")
    )


def _touches(parameter: Parameter, key: str) -> bool:
    return key in parameter.leaves or key == parameter.key or parameter.key.startswith(f"{key}.")
