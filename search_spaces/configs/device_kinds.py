"""Which kinds of device a config may run on, and draws of a space that are kept to some kinds. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from search_spaces.configs.combinations import Option, Options
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.cross_field_rules import gpus_of
from search_spaces.spec.nested import get
from search_spaces.spec.sweep_spec import Parameter, SweepSpec

Kinds = Collection[str]  # as Ray names accelerators, or CPU

_ANY, _CPU = "any", "CPU"
_KEY = "resources.accelerator"


def can_run_on(accelerator: str | Sequence[str], kind: str) -> bool:
    """Whether a trial may be given a device of this kind. `accelerator`: a kind, `any`, or a list of kinds."""
    names = (accelerator,) if isinstance(accelerator, str) else accelerator
    return _ANY in names or kind in names


def runs_on(candidate: Candidate, kinds: Kinds) -> bool:
    """Whether a config can run on one of these kinds: also by its GPUs, of which a CPU has none."""
    gpus = gpus_of(candidate.config, candidate.resources)
    fits = (kind for kind in kinds if gpus is None or (gpus > 0) == (kind != _CPU))
    return any(can_run_on(candidate.resources.accelerator, kind) for kind in fits)


def one_runs_on(candidates: Iterable[Candidate], kinds: Kinds | None) -> bool:
    """Whether one of these can; all can where `kinds` is None. Arms of one draw stay together, whatever they need."""
    return kinds is None or any(runs_on(candidate, kinds) for candidate in candidates)


def kept_to(kinds: Kinds | None, options: Options) -> Options:
    """As `options`, but of what says where a trial runs only values that one of the kinds can run.

    None is left where no value can: that combination needs another kind. Grid parameters stay whole.
    """
    if kinds is None:
        return options

    def narrowed(parameter: Parameter) -> Sequence[Option]:
        if parameter.kind == "grid" or _KEY not in parameter.leaves:
            return options(parameter)
        kept = tuple(one for one in parameter.options if _can_run(parameter, one, kinds))
        if len(kept) in (0, parameter.num_options):
            return options(parameter) if kept else []
        fewer = dataclasses.replace(parameter, kind="choice", values=kept)
        return [(list(parameter.options).index(value), value) for _, value in options(fewer)]

    return narrowed


def accelerators_of(spec: SweepSpec) -> list[str | Sequence[str]]:
    """Everything that the space may say of where a trial runs, besides what holds for all."""
    found = [_said(one, option) for one in spec.parameters if _KEY in one.leaves for option in one.options]
    return [accelerator for index, accelerator in enumerate(found) if accelerator and accelerator not in found[:index]]


def deciding_parameters(spec: SweepSpec) -> list[Parameter]:
    """The parameters on whose values it depends which case says where a trial runs."""
    conditions = {key for case in spec.cases if any(_KEY in one.leaves for one in case.space) for key in case.when}
    return [one for one in spec.parameters if conditions & {one.key, *one.leaves}]


def _can_run(parameter: Parameter, option: Any, kinds: Kinds) -> bool:
    accelerator = _said(parameter, option)
    return accelerator is None or any(can_run_on(accelerator, kind) for kind in kinds)


def _said(parameter: Parameter, option: Any) -> Any:
    """The accelerator that an option names; None where it is a mapping that leaves it to the others."""
    if parameter.key == _KEY:
        return option
    return get(option, _KEY.removeprefix(f"{parameter.key}."), None) if isinstance(option, dict) else None
