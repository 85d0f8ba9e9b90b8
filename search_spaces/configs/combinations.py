"""Combinations: base, resources, one value of each parameter, then the cases that hold. Pure, lazy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from search_spaces.spec.nested import get, merged, nested
from search_spaces.spec.sweep_spec import Parameter, SweepSpec
from trainer.config.recipe_options import RECIPE_SECTIONS, SECTIONS_OF_RECIPE, without_unused_sections

# A value, and its position among the parameter's options where it has one.
Option = tuple[int | None, Any]
Options = Callable[[Parameter], Sequence[Option]]
Choice = tuple[Parameter, int | None, Any]


@dataclasses.dataclass(frozen=True)
class Combination:
    """One point of a space: the raw config with `resources`, and each parameter's choice."""

    values: dict[str, Any]
    chosen: tuple[Choice, ...]


def all_options(parameter: Parameter) -> Sequence[Option]:
    """Every option of a parameter that can be listed."""
    return list(enumerate(parameter.options))


def combinations(spec: SweepSpec, options: Options) -> Iterator[Combination]:
    """Every combination of what `options` gives for each parameter, the last key changing fastest."""
    given = spec.resources.model_dump(mode="json", exclude_unset=True)
    start = {**spec.base, "resources": given}

    def expand(
        values: dict[str, Any],
        chosen: tuple[Choice, ...],
        parameters: Sequence[Parameter],
        num_cases: int,
    ) -> Iterator[Combination]:
        if parameters:
            first, rest = parameters[0], parameters[1:]
            if _is_unused(values, first.key):
                yield from expand(values, chosen, rest, num_cases)
                return
            for index, value in options(first):
                changed = merged(values, nested(first.key, value))
                yield from expand(changed, (*chosen, (first, index, value)), rest, num_cases)
        elif num_cases < len(spec.cases):
            case = spec.cases[num_cases]
            used = without_unused_sections(values)
            holds = all(get(used, key) in wanted for key, wanted in case.when.items())
            yield from expand(values, chosen, _in_order(case.space) if holds else (), num_cases + 1)
        else:
            yield Combination(without_unused_sections(values), chosen)

    return expand(start, (), _in_order(spec.space), 0)


def _in_order(parameters: Sequence[Parameter]) -> list[Parameter]:
    """By name, but the recipe after what all recipes read and before what only some do: compared trials are near."""

    def rank(parameter: Parameter) -> tuple[int, str]:
        section = parameter.key.partition(".")[0]
        return (2 if section in RECIPE_SECTIONS else 1 if section == "recipe" else 0), parameter.key

    return sorted(parameters, key=rank)


def _is_unused(values: dict[str, Any], key: str) -> bool:
    """Whether the recipe reads nothing at `key`, so that its values would make no difference."""
    section = key.partition(".")[0]
    recipe = str(values.get("recipe", "baseline"))
    return section in RECIPE_SECTIONS and section not in SECTIONS_OF_RECIPE.get(recipe, RECIPE_SECTIONS)
