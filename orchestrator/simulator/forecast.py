"""What a sweep will bring: many simulated nights, and the range in which four in five of them end."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.ledger.bookkeeper import priced
from orchestrator.ledger.events import Machine
from orchestrator.scheduling.admission import byte_limits, refusals
from orchestrator.scheduling.cost_model import Costs
from orchestrator.scheduling.durations import Durations
from orchestrator.scheduling.memory.room import MemoryRoom
from orchestrator.scheduling.placement import Pool, unplaceable
from orchestrator.search import planner
from orchestrator.search.planner import PlannedTrial
from orchestrator.simulator.chances import Chances
from orchestrator.simulator.fleet import nodes_of
from orchestrator.simulator.night import Night
from orchestrator.simulator.setting import NightResult, Setting
from orchestrator.simulator.simulated_search import Trials
from search_spaces.spec.sections.replicates import ConfirmConfig
from search_spaces.spec.sweep_spec import SweepSpec

NUM_DRAWN = 150  # configs to draw from, where a method chooses
MAX_PLANNED = 20_000  # trials; to plan more takes seconds
NUM_NIGHTS, LEAST_NIGHTS = 100, 5
LOW, HIGH = 0.1, 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """Of all nights, one in ten is below `low`, half are below `middle`, nine in ten below `high`."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Raises ValueError where there are none."""
        if not values:
            raise ValueError("a range of no values")
        ordered = sorted(values)
        return cls(low=_quantile(ordered, LOW), middle=_quantile(ordered, 0.5), high=_quantile(ordered, HIGH))

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """Of one call of `frostline run`.

    Args:
        counts: by status, trials.
        usd: None where a machine has no price.
        busy: by kind of device, the mean share of its time that trials hold.
        num_left: trials that the budget cuts: not started, or ended at the deadline.
        ends: share of nights by what ends them: a limit of the budget, `fault`, or `finished`.
        refused_share: of configs, those that cannot keep the limits in bytes; they take no time.
        cannot_run: what no machine can run, in words.
        basis: what is known of how long trials take, in words.
    """

    num_nights: int
    fleet: Mapping[str, int]
    counts: Mapping[str, Range]
    seconds: Range
    usd: Range | None
    first_result_seconds: Range | None
    num_left: Range
    busy: Mapping[str, float]
    ends: Mapping[str, float]
    refused_share: float = 0.0
    cannot_run: tuple[str, ...] = ()
    basis: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return dataclasses.asdict(self)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """With what lies between two values in proportion; infinite where either is."""
    place = share * (len(ordered) - 1)
    below, above = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    if math.isinf(below) or math.isinf(above):
        return below if place == int(place) else above
    return below + (above - below) * (place - int(place))


def trials_of(spec: SweepSpec) -> Trials:
    """What a night of this sweep may train: its plan, or draws from its space where a method chooses.

    A plan that is too long to be made is drawn from as well.
    """
    if not spec.is_adaptive and planner.most_trials(spec) <= MAX_PLANNED:
        given, share = _admitted(spec, planner.plan(spec))
        return Trials(given=given, num_to_confirm=spec.num_to_confirm, refused_share=share)
    drawn, share = drawn_of(spec)
    number = spec.num_to_search if spec.is_adaptive else planner.most_trials(spec)
    return Trials(drawn=drawn, num_more=number, num_to_confirm=spec.num_to_confirm, refused_share=share)


def setting_of(
    spec: SweepSpec, machines: Sequence[Machine], durations: Durations, chances: Chances, trials: Trials | None = None
) -> Setting:
    """Of nights that run the whole sweep. Args: `trials`: of the sweep, where they are known already."""
    return Setting(
        spec=spec,
        trials=trials or trials_of(spec),
        machines=tuple(machines),
        durations=durations,
        chances=chances,
        costs=Costs(),
        budget=spec.budget,
        begin=datetime.now().astimezone(),
    )


def drawn_of(spec: SweepSpec) -> tuple[tuple[PlannedTrial, ...], float]:
    """Random draws from the space that may keep the limits in bytes, and the share of the others."""
    budget, confirm = spec.budget.model_copy(update={"trials": NUM_DRAWN}), ConfirmConfig(configs=0)
    one_seed = dataclasses.replace(spec, method="random", seeds_given=spec.seeds[:1], budget=budget, confirm=confirm)
    return _admitted(spec, planner.plan(one_seed))


def _admitted(spec: SweepSpec, trials: Sequence[PlannedTrial]) -> tuple[tuple[PlannedTrial, ...], float]:
    """Those that may keep the limits in bytes, and the share of the others."""
    if not byte_limits(spec.constraints):
        return tuple(trials), 0.0
    refused = refusals(trials, spec)
    admitted = tuple(trial for trial in trials if trial.config.config_id not in refused)
    return admitted, 1 - len(admitted) / len(trials) if trials else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is computed.

    Args:
        most_seconds: of computing; fewer nights are simulated then, but never fewer than `LEAST_NIGHTS`.
        advance: called after each night.
    """

    num_nights: int = NUM_NIGHTS
    most_seconds: float = math.inf
    advance: Callable[[int], None] = lambda number: None


def forecast(setting: Setting, effort: Effort) -> Forecast:
    """Simulate nights with the seeds 0, 1, 2, … and put them together.

    Raises:
        UsageError: if nothing would run, or nothing is known of how long trials take on some machine.
    """
    setting, cannot_run = _what_runs(setting)
    began, nights = time.monotonic(), []
    for seed in range(effort.num_nights):
        nights.append(Night(setting, seed).run())
        effort.advance(1)
        if len(nights) >= LEAST_NIGHTS and time.monotonic() - began > effort.most_seconds:
            break
    return dataclasses.replace(together(setting, nights), cannot_run=tuple(cannot_run))


def _what_runs(setting: Setting) -> tuple[Setting, list[str]]:
    """The setting with prices and without what no machine can run, and that in words."""
    machines = tuple(priced(machine, setting.spec.prices) for machine in setting.machines)
    kinds = sorted({one.accelerator for one in machines if not setting.durations.knows(one.accelerator)})
    if kinds:
        raise UsageError(
            f"nothing is known of how long trials take on {', '.join(kinds)}: give --like RUN, a run that has used it"
        )
    trials = setting.trials
    lost = {trial.trial_id for trial in unplaceable(trials.all, Pool(nodes_of(machines)))}
    kept = dataclasses.replace(
        trials,
        given=tuple(trial for trial in trials.given if trial.trial_id not in lost),
        drawn=tuple(trial for trial in trials.drawn if trial.trial_id not in lost),
    )
    words = _cannot_run(trials.all, lost) + _fits_nowhere(kept.all, machines)
    if not kept.all:
        raise UsageError("; ".join(words) or "no config can keep the limits in bytes: nothing would be trained")
    return dataclasses.replace(setting, trials=kept, machines=machines), words


def _cannot_run(trials: Sequence[PlannedTrial], lost: Collection[str]) -> list[str]:
    needs = Counter(
        f"{one.accelerator}, {one.cpus:g} CPUs" + ("" if one.gpus is None else f", {one.gpus:g} GPUs")
        for one in trials
        if one.trial_id in lost
    )
    return [f"{number} of {len(trials)} trials need {need}, which no machine has" for need, number in needs.items()]


def _fits_nowhere(trials: Sequence[PlannedTrial], machines: Sequence[Machine]) -> list[str]:
    """The trials that no device has the memory for; the driver refuses them, and so does a simulated one."""
    room, costs = MemoryRoom(Pool(nodes_of(machines))), Costs()
    reasons = [reason for trial in trials if (reason := room.of(trial, costs.of(trial)).refusal) is not None]
    return [f"{len(reasons)} of {len(trials)} trials fit no device, as one that {max(reasons)}"] if reasons else []


def together(setting: Setting, nights: Sequence[NightResult]) -> Forecast:
    """The forecast that these nights make."""
    statuses = sorted({status for night in nights for status in night.counts})
    firsts = [night.first_result_seconds for night in nights if not math.isinf(night.first_result_seconds)]
    is_priced = all(machine.micro_usd_per_hour is not None for machine in setting.machines)
    kinds = Counter(machine.accelerator for machine in setting.machines)
    ends = Counter(night.end for night in nights)
    return Forecast(
        num_nights=len(nights),
        fleet=dict(kinds),
        counts={status: Range.of([night.counts.get(status, 0) for night in nights]) for status in statuses},
        seconds=Range.of([night.seconds for night in nights]),
        usd=Range.of([night.usd for night in nights]) if is_priced else None,
        first_result_seconds=Range.of(firsts) if firsts else None,
        num_left=Range.of([night.num_left for night in nights]),
        busy={kind: sum(night.busy.get(kind, 0.0) for night in nights) / len(nights) for kind in kinds},
        ends={end: number / len(nights) for end, number in ends.most_common()},
        refused_share=setting.trials.refused_share,
        basis=tuple(setting.durations.basis(kind) for kind in kinds),
    )
