"""Combinations that agree with given values: a config that is pinned in part, or one that is found again in a space."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from search_spaces.configs.combinations import Combination, Option, Options
from search_spaces.configs.valid_configs import Candidate, arms_of
from search_spaces.spec.nested import get, leaves
from search_spaces.spec.sweep_spec import Kind, Parameter, SweepSpec
from trainer.config.trial import TrialConfig

_ABSENT = object()


def agreeing(values: dict[str, Any], options: Options) -> Options:
    """As `options`, but of each parameter that `values` sets only the options that agree with it.

    Args:
        values: settings of a trial (and `resources`), nested; those that they leave out are free.
    """

    def narrowed(parameter: Parameter) -> Sequence[Option]:
        if not _sets(values, parameter):
            return options(parameter)
        if not parameter.is_listed:
            value = get(values, parameter.key)
            return [(None, value)] if parameter.covers(value) else []
        said = [_num_said(values, parameter.key, option) for option in parameter.options]
        if not any(number is not None for number in said):
            return []
        most = max(number for number in said if number is not None)
        kept = tuple(option for option, number in zip(parameter.options, said, strict=True) if number == most)
        kind: Kind = "grid" if parameter.kind == "grid" else "choice"
        fewer = dataclasses.replace(parameter, kind=kind, values=kept)
        return [(list(parameter.options).index(value), value) for _, value in options(fewer)]

    return narrowed


def found_again(spec: SweepSpec, config: TrialConfig) -> Candidate | str:
    """The candidate of a space that is a given config, whatever it was run on; else why the space does not hold it."""
    values = config.model_dump(mode="json")
    missing: list[Parameter] = []

    def any_of(parameter: Parameter) -> Sequence[Option]:
        return [(0, parameter.options[0])] if parameter.is_listed else [(None, parameter.values[0])]

    def options(parameter: Parameter) -> Sequence[Option]:
        found = agreeing(values, any_of)(parameter)
        missing.extend([] if found else [parameter])
        return found

    arms = arms_of(spec, options)
    if missing:
        return f"{missing[0].key} is {get(values, missing[0].key)}, which is not in the space"
    if isinstance(arms, Combination) or len(arms) != 1:
        return "breaks a rule of the sweep"
    before, now = (one.model_dump(mode="json", exclude={"seed"}) for one in (config, arms[0].config))
    different = next((key for key in leaves(now) if get(before, key, _ABSENT) != get(now, key)), None)
    return arms[0] if different is None else f"{different} is {get(before, different)}, not {get(now, different)}"


def _sets(values: dict[str, Any], parameter: Parameter) -> bool:
    if any(get(values, leaf, _ABSENT) is not _ABSENT for leaf in parameter.leaves):
        return True
    # an option that takes a whole section away
    return None in parameter.values and get(values, parameter.key, _ABSENT) is not _ABSENT


def _num_said(values: dict[str, Any], key: str, option: Any) -> int | None:
    """How many of the values an option says too; None if it says another. What it leaves out is the base's."""
    if not isinstance(option, dict):
        return 1 if get(values, key) == option else None
    said = [(get(values, f"{key}.{sub}", _ABSENT), get(option, sub)) for sub in leaves(option)]
    known = [(wanted, value) for wanted, value in said if wanted is not _ABSENT]
    return len(known) if all(wanted == value for wanted, value in known) else None
