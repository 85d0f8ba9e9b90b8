"""The rows of `frostline plan`: weights by kind, phases and bytes of every config, from shapes alone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.scheduling.admission import byte_limits, fits_surely, refusal
from orchestrator.scheduling.disk_use import DiskUse, disk_use
from orchestrator.search.planner import PlannedTrial, examples, most_trials, planned_configs
from results.analysis.config_labels import config_labels
from results.tables.schema import flatten_config
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.artifact.size_bounds import byte_bounds
from trainer.config.trial import TrialConfig
from trainer.recipes.recipe import WeightKind
from trainer.recipes.variants import break_even_rank
from trainer.recipes.variants import plan as recipe_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhaseRow:
    """One phase of a config: which network it trains, for how long, on which loss, and how many matrices it freezes."""

    name: str
    network: str
    steps: int
    loss: str
    num_freezes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanRow:
    """One config of a sweep with its replicates."""

    label: str
    recipe: str
    config_id: str
    config: TrialConfig
    seeds: tuple[int, ...]
    num_params: int
    num_learned: int
    num_seeded: int
    num_stored_frozen: int
    phases: tuple[PhaseRow, ...]
    lower_bytes: int
    expected_bytes: int
    upper_bytes: int
    refusal: str | None  # why admission would not have it trained
    fits_surely: bool | None  # whether every artifact keeps the sweep's limits in bytes; None where it has none
    rank: int | None  # of the adapters
    break_even_ranks: tuple[int, ...]  # from these ranks on, adapters hold as many numbers as their matrices

    @property
    def frozen_share(self) -> float:
        return (self.num_seeded + self.num_stored_frozen) / self.num_params

    @property
    def admitted(self) -> bool:
        return self.refusal is None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {**dataclasses.asdict(self), "config": self.config.model_dump(mode="json", exclude_none=True)}
        return {**values, "admitted": self.admitted, "frozen_share": self.frozen_share, "num_trials": len(self.seeds)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanTable:
    """The first configs of a plan, and how many there are in all.

    Args:
        num_configs, num_trials: of the whole plan; None where they were not counted.
        most_trials: what `num_trials` does not exceed.
    """

    rows: tuple[PlanRow, ...]
    num_configs: int | None
    num_trials: int | None
    most_trials: int

    @property
    def is_whole(self) -> bool:
        return self.num_configs == len(self.rows)


def plan_table(
    spec: SweepSpec, max_rows: int | None, *, count: bool = False, advance: Callable[[int], None] = lambda trials: None
) -> PlanTable:
    """The first configs of a sweep in the order of its trials, found without planning the rest.

    Args:
        max_rows: how many are listed; None lists all.
        count: also count the others, one after another.
        advance: called with the number of trials of each config that is found.
    """
    groups: dict[str, tuple[TrialConfig, list[int]]] = {}
    num_others = num_trials = 0
    is_complete = not spec.is_adaptive
    for candidate, seeds in _known_configs(spec):
        config_id = candidate.config.config_id
        if config_id not in groups and max_rows is not None and len(groups) >= max_rows:
            num_others += 1
            is_complete &= count
            if not count:
                break
        else:
            groups.setdefault(config_id, (candidate.config, []))[1].extend(seeds)
        num_trials += len(seeds)
        advance(len(seeds))
    labels = _labels({config_id: config for config_id, (config, _) in groups.items()})
    rows = tuple(_row(labels[config_id], config, seeds, spec) for config_id, (config, seeds) in groups.items())
    return PlanTable(
        rows=rows,
        num_configs=len(rows) + num_others if is_complete else None,
        num_trials=num_trials if is_complete else None,
        most_trials=most_trials(spec),
    )


def _known_configs(spec: SweepSpec) -> Iterator[tuple[Candidate, tuple[int, ...]]]:
    """Those of the plan; of an adaptive search, those that it begins with."""
    if not spec.is_adaptive:
        return planned_configs(spec)
    from orchestrator.search.suggest import start_of

    return ((arm.candidate, arm.seeds) for arm in start_of(spec))


def disk_of(spec: SweepSpec, found: PlanTable, num_cpus: int) -> DiskUse:
    """How much disk the sweep takes at most; of a plan that is not listed whole, by examples of its space."""
    configs = [(row.config, len(row.seeds)) for row in found.rows if row.admitted]
    if found.is_whole:
        return disk_use(spec, configs, None, num_cpus)
    configs += [(trial.config, 1) for trial in examples(spec)] if spec.draws else []
    num_trials = found.most_trials if found.num_trials is None else found.num_trials
    return disk_use(spec, configs, num_trials, num_cpus)


def varied_settings(trials: Sequence[PlannedTrial]) -> dict[str, str]:
    """Trial id → what its config's label says beyond recipe and shape, which the id says as well."""
    ids = {trial.trial_id: trial.config.config_id for trial in trials}
    labels = _labels({ids[trial.trial_id]: trial.config for trial in trials})
    return {trial_id: " ".join(labels[config_id].split()[2:]) for trial_id, config_id in ids.items()}


def _labels(configs: Mapping[str, TrialConfig]) -> dict[str, str]:
    """Config id → short name, which says what tells a config from the others that are given."""
    settings = [
        {"recipe": c.recipe, "data": c.data, "config_id": config_id, **flatten_config(c.model_dump(mode="json"))}
        for config_id, c in configs.items()
    ]
    return dict(zip(configs, config_labels(settings), strict=True))


def _row(label: str, config: TrialConfig, seeds: Sequence[int], spec: SweepSpec) -> PlanRow:
    recipe = recipe_of(config)
    bounds = byte_bounds(config)
    kinds: tuple[WeightKind, ...] = ("learned", "seeded", "stored_frozen")
    learned, seeded, stored_frozen = (recipe.num_params(kind) for kind in kinds)
    return PlanRow(
        label=label,
        recipe=config.recipe,
        config_id=config.config_id,
        config=config,
        # one seed may be there twice, where trials differ in their resources alone
        seeds=tuple(Counter(seeds).elements()),
        num_params=recipe.num_params(),
        num_learned=learned,
        num_seeded=seeded,
        num_stored_frozen=stored_frozen,
        phases=tuple(
            PhaseRow(name=p.name, network=p.network, steps=p.steps, loss=p.loss, num_freezes=len(p.freezes))
            for p in recipe.phases
        ),
        lower_bytes=bounds.lower_bytes,
        expected_bytes=bounds.expected_bytes,
        upper_bytes=bounds.upper_bytes,
        refusal=refusal(config, spec.constraints, spec.admission.max_expected_ratio),
        fits_surely=fits_surely(bounds, spec.constraints) if byte_limits(spec.constraints) else None,
        rank=config.adapter.rank if config.adapter else None,
        break_even_ranks=_break_even_ranks(config),
    )


def _break_even_ranks(config: TrialConfig) -> tuple[int, ...]:
    """Of the matrices that a recipe of adapters freezes, smallest first."""
    if config.adapter is None:
        return ()
    matrices = set(config.frozen_matrices)
    weights = recipe_of(config).weights
    shapes = {
        weights[name].shape for name in weights if name.rpartition(".")[2] in matrices and "corrections" not in name
    }
    return tuple(sorted({break_even_rank(shape) for shape in shapes}))
