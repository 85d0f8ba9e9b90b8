"""Rules between the sections of a sweep file: contradictions are problems, what is merely useless is a warning."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator

from search_spaces.configs.valid_configs import MAX_ARMS, num_combinations
from search_spaces.spec.nested import get, leaves
from search_spaces.spec.problems import Problem, dotted
from search_spaces.spec.sections import early_stopping
from search_spaces.spec.sections.search import UNREAD
from search_spaces.spec.sweep_spec import (
    SCORES,
    SIZES,
    Constraint,
    Parameter,
    SweepSpec,
    early_stopping_knows,
    ehvi_knows,
)
from trainer.config.recipe_options import RECIPE_SECTIONS
from trainer.config.trial import TrialConfig

# A grid beyond this is more likely a mistake than a wish, unless the budget says how much of it is wanted.
MAX_TRIALS_WITHOUT_BUDGET = 10_000
MIN_CHECKPOINT_SECONDS = 1.0

# Settings that are read only where another one has this value.
_ONLY_WITH = {
    **dict.fromkeys(
        (
            "optimizer.momentum",
            "optimizer.momentum_start",
            "optimizer.momentum_warmup_steps",
            "optimizer.embedding_learning_rate",
            "optimizer.vector_learning_rate",
        ),
        ("optimizer.name", "muon"),
    ),
    "schedule.warmdown_steps": ("schedule.name", "warmdown"),
}

# Result columns that rise and fall together: the same thing in two units, or one with a constant added.
_SAME = (SCORES, SIZES)


def sweep_problems(spec: SweepSpec) -> Iterator[Problem]:
    """What contradicts itself in the sections of a sweep."""
    yield from _repeated_seeds(spec)
    yield from _objectives(spec)
    yield from _constraints(spec)
    yield from _search_settings(spec)
    yield from _early_stopping(spec)
    yield from _replicates(spec)
    yield from _drawn(spec) if spec.draws else _grid(spec)


def _early_stopping(spec: SweepSpec) -> Iterator[Problem]:
    method, given = spec.early_stopping.method, spec.early_stopping.model_fields_set
    for key in early_stopping.UNREAD[method]:
        if key in given:
            rule = f"has no effect with method {method}"
            yield Problem(keys=("early_stopping", key), rule=rule, hint="remove it, or use method best_case")
    if method in ("best_case", "asha") and not early_stopping_knows(spec.objectives):
        rule = "knows only ce or bpb: min, alone or with artifact_bytes or total_bytes: min, as objectives"
        yield Problem(keys=("early_stopping", "method"), rule=rule, value=method, hint="write none")


def _replicates(spec: SweepSpec) -> Iterator[Problem]:
    replicates, confirm = spec.replicates, spec.confirm
    if replicates.seeds is not None and "seeds" in spec.document.values:
        line = spec.document.line(("seeds",))
        yield Problem(keys=("replicates", "seeds"), rule=f"is given twice; `seeds` in line {line} is the same thing")
    if replicates.when == "near_front" and not spec.is_adaptive:
        rule = f"needs method tpe or ehvi, but the search has method {spec.method}"
        yield Problem(keys=("replicates", "when"), rule=rule, hint="write always, or another search.method")
    if replicates.when == "near_front" and not set(SCORES) & set(spec.objectives):
        yield Problem(keys=("replicates", "when"), rule="needs ce or bpb among the objectives", hint="write always")
    if replicates.when == "always" and "share" in replicates.model_fields_set:
        yield Problem(keys=("replicates", "share"), rule="has no effect with always", hint="remove it")
    if not confirm.configs:
        return
    if not set(SCORES) & set(spec.objectives):
        yield Problem(keys=("confirm", "configs"), rule="needs ce or bpb among the objectives", hint="write 0")
    if spec.budget.trials is not None and spec.num_to_confirm >= spec.budget.trials:
        rule = (
            f"{confirm.configs} configs and their rivals, {confirm.seeds} seeds each, take {spec.num_to_confirm:,} "
            f"trials and leave none of the budget of {spec.budget.trials:,} to the search"
        )
        yield Problem(keys=("confirm", "configs"), rule=rule, hint="confirm fewer, or raise budget.trials")


def sweep_warnings(spec: SweepSpec, configs: Iterable[TrialConfig]) -> Iterator[Problem]:
    """What a sweep, or the first of its configs, says without effect: it runs, but hardly as it was meant."""
    for one, other in _SAME:
        if one in spec.objectives and other in spec.objectives:
            rule = f"rises and falls with {one}: one of them is enough for the front"
            yield Problem(keys=("objectives", other), rule=rule)
    yield from _odd_directions(spec)
    num_to_search = spec.num_to_search or 0
    rest = num_to_search % len(spec.seeds)
    if spec.draws and rest and spec.replicating == "always":
        rule = f"{num_to_search:,} is no multiple of {len(spec.seeds)} seeds: the last config gets {rest} of them"
        yield Problem(keys=("budget", "trials"), rule=rule)
    yield from _without_effect(spec, configs := list(configs))
    found: dict[str, Problem] = {}
    for config in configs:
        steps, warmup, every = config.train.steps, config.schedule.warmup_steps, config.train.eval_every_steps
        if warmup >= steps:
            rule = f"{warmup} is not below train.steps = {steps}: the learning rate never gets to its peak"
            found.setdefault("warmup", _at(spec, "schedule.warmup_steps", rule))
        if every > steps:
            rule = f"{every} is above train.steps = {steps}: nothing is scored while training"
            found.setdefault("eval", _at(spec, "train.eval_every_steps", rule))
        if (seconds := config.train.checkpoint_every_seconds) < MIN_CHECKPOINT_SECONDS:
            rule = f"{seconds:g} writes a checkpoint after almost every step, which may take longer than the steps"
            found.setdefault("checkpoints", _at(spec, "train.checkpoint_every_seconds", rule))
    yield from found.values()


def _odd_directions(spec: SweepSpec) -> Iterator[Problem]:
    for column, direction in spec.objectives.items():
        if direction != ("max" if column == "tokens_per_s" else "min"):
            yield Problem(keys=("objectives", column), rule=f"{direction} looks for the worst {column}")


def _without_effect(spec: SweepSpec, configs: list[TrialConfig]) -> Iterator[Problem]:
    """Settings that some or all trials do not read: in a space they add trials that differ in nothing."""
    varied = {key for parameter in spec.space for key in parameter.leaves}
    for key in [*sorted(varied), *(key for key in leaves(spec.base) if key not in varied)]:
        reasons = [_unread(key, config) for config in configs]
        told = [reason for reason in reasons if reason is not None]
        is_multiplied = key in varied and key in _ONLY_WITH
        if told and (is_multiplied or len(told) == len(reasons)):
            where = " or ".join(sorted(set(told))[:3])
            rule = f"has no effect with {where}" + ("; such trials are trained all the same" if is_multiplied else "")
            yield _at(spec, key, rule)


def _unread(key: str, config: TrialConfig) -> str | None:
    """Why a trial does not read a setting; None if it does."""
    section = key.partition(".")[0]
    if section in RECIPE_SECTIONS and getattr(config, section) is None:
        return f"recipe {config.recipe}"
    if key not in _ONLY_WITH:
        return None
    other, value = _ONLY_WITH[key]
    actual = operator.attrgetter(other)(config)
    return None if actual == value else f"{other} {actual}"


def always_set(spec: SweepSpec, key: str) -> Parameter | None:
    """The parameter of the space that sets a key in every trial, so that no value of it elsewhere counts."""
    return next((one for one in spec.space if _always_sets(one, key)), None)


def _always_sets(parameter: Parameter, key: str) -> bool:
    if parameter.key == key:
        return True
    sub, absent = key.removeprefix(f"{parameter.key}."), object()
    return key.startswith(f"{parameter.key}.") and all(
        isinstance(value, dict) and get(value, sub, absent) is not absent for value in parameter.values
    )


def _at(spec: SweepSpec, key: str, rule: str) -> Problem:
    return Problem(keys=spec.keys_of(key), rule=rule)


def _repeated_seeds(spec: SweepSpec) -> Iterator[Problem]:
    seen: set[int] = set()
    for index, seed in enumerate(spec.seeds):
        if seed in seen:
            yield Problem(keys=("seeds", index), rule="listed twice", value=seed)
        seen.add(seed)


def _objectives(spec: SweepSpec) -> Iterator[Problem]:
    for one, other in _SAME:
        directions = {spec.objectives.get(one), spec.objectives.get(other)} - {None}
        if len(directions) == 2:
            rule = f"contradicts {one}: {spec.objectives[one]}, with which it rises and falls"
            yield Problem(keys=("objectives", other), rule=rule, value=spec.objectives[other])


def _constraints(spec: SweepSpec) -> Iterator[Problem]:
    """A limit that no result keeps, two for the same side of a column, or two that exclude each other."""
    earlier: dict[tuple[str, str], tuple[int, Constraint]] = {}
    for index, limit in enumerate(spec.constraints):
        where = ("constraints", index)
        if limit.op == "<=" and limit.bound <= 0:
            yield Problem(keys=where, rule=f"no result keeps it: {limit.column} is above 0", value=str(limit))
        if (limit.column, limit.op) in earlier:
            line = spec.document.line(("constraints", earlier[limit.column, limit.op][0]))
            yield Problem(
                keys=where, rule=f"limits {limit.column} once more; line {line} does so already", value=str(limit)
            )
            continue
        earlier[limit.column, limit.op] = index, limit
        opposite = earlier.get((limit.column, ">=" if limit.op == "<=" else "<="))
        if opposite is not None:
            low, high = sorted((limit, opposite[1]), key=lambda one: one.op == "<=")
            if low.bound > high.bound:
                rule = f"excludes {dotted(('constraints', opposite[0]))}, {opposite[1]}: no result keeps both"
                yield Problem(keys=where, rule=rule, value=str(limit))


def _grid(spec: SweepSpec) -> Iterator[Problem]:
    for parameter in spec.parameters:
        if not parameter.is_listed:
            hint = "use grid, choice or steps, or another search.method"
            rule = f"a {parameter.kind} cannot be listed by method grid"
            yield Problem(keys=parameter.where, rule=rule, value=list(parameter.values), hint=hint)
    num_trials = num_combinations(spec) * len(spec.seeds)
    if spec.budget.trials is None and num_trials > MAX_TRIALS_WITHOUT_BUDGET:
        hint = "say how many of them to run: budget: {trials: 1000}"
        yield Problem(keys=("space",), rule=f"the grid has {num_trials:,} trials", hint=hint)


def _search_settings(spec: SweepSpec) -> Iterator[Problem]:
    """Settings of `search` that its method does not read, and objectives that it does not know."""
    search, given = spec.search, spec.search.model_fields_set
    for key in UNREAD[search.method]:
        if key in given:
            hint = "remove it, or use method random" if key == "seed" else "remove it, or use method ehvi"
            yield Problem(keys=("search", key), rule=f"has no effect with method {search.method}", hint=hint)
    if search.method == "ehvi" and not ehvi_knows(spec.objectives):
        rule = f"knows {' or '.join(SCORES)}, alone or with {' or '.join(SIZES)}, as objectives"
        hint = "use method tpe, which takes any"
        yield Problem(keys=("search", "method"), rule=f"ehvi {rule}", value=", ".join(spec.objectives), hint=hint)
    if spec.is_adaptive and all(parameter.kind == "grid" for parameter in spec.parameters):
        hint = "use method grid"
        yield Problem(keys=("search", "method"), rule=f"{spec.method} has nothing to choose in this space", hint=hint)


def _drawn(spec: SweepSpec) -> Iterator[Problem]:
    if spec.budget.trials is None:
        rule = f"method {spec.method} needs a number of trials"
        yield Problem(keys=("budget",), rule=rule, hint="write budget: {trials: 100}")
    if (num_arms := num_combinations(spec)) > MAX_ARMS:
        rule = f"each draw would be crossed with {num_arms:,} combinations of the grid parameters"
        yield Problem(keys=("space",), rule=rule, hint="use choice, range or steps for most of them")
