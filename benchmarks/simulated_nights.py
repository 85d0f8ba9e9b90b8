"""Simulated nights with losses: is the budget held, is any trial lost, is every dollar accounted for? How fast is it?

    python benchmarks/simulated_nights.py         # 1,000 short nights, one night on 16 slots, 10,000 trials on 500

Every night has other machines, another budget (hours, dollars, or both), other rates of losses, slow machines, trials
that are stopped early or run out of memory. The decisions are those of the driver, `scheduling/dispatcher.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import time
from pathlib import Path

from orchestrator.scheduling.durations import Durations
from orchestrator.simulator.chances import Chances
from orchestrator.simulator.fleet import read_fleet
from orchestrator.simulator.forecast import setting_of, trials_of
from orchestrator.simulator.night import Night
from orchestrator.simulator.setting import NightResult
from orchestrator.simulator.simulated_search import Trials
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sections.budget import BudgetConfig
from search_spaces.spec.sweep_spec import SweepSpec

SWEEP = Path(__file__).parents[1] / "search_spaces" / "overnight.yaml"
PRICES = {"H100": 2.99, "A40": 0.44, "CPU": 0.1}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A night, and the budget that it had."""

    result: NightResult
    hours: float | None
    usd: float | None

    @property
    def overshoots(self) -> list[float]:
        """By limit, what was used of it beyond it, relative to it; below 0 where something is left."""
        hours = [] if self.hours is None else [self.result.seconds / 3_600 / self.hours - 1]
        return hours + ([] if self.usd is None else [self.result.usd / self.usd - 1])


def random_night(spec: SweepSpec, trials: Trials, seed: int) -> Outcome:
    rng = random.Random(f"setting/{seed}")
    fleet = f"H100:{rng.randint(1, 3)},A40:{rng.randint(1, 6)}"
    hours = rng.choice([None, rng.uniform(0.5, 3)])
    usd = rng.uniform(2, 20) if hours is None else rng.choice([None, rng.uniform(2, 20)])
    budget = BudgetConfig(trials=spec.budget.trials, hours=hours, usd=usd)
    night = dataclasses.replace(spec, budget=budget, prices=PRICES)
    chances = Chances(
        losses_per_day=rng.choice([0.0, 2.0, 10.0]),
        slow_share=rng.choice([0.0, 0.2]),
        out_of_memory_share=rng.choice([0.0, 0.05]),
    ).of_sweep(spec)
    return Outcome(Night(setting_of(night, read_fleet(fleet), Durations(), chances, trials), seed).run(), hours, usd)


def nights(number: int) -> None:
    spec = load_sweep(SWEEP)
    trials, began = trials_of(spec), time.perf_counter()
    outcomes = [random_night(spec, trials, seed) for seed in range(number)]
    seconds = time.perf_counter() - began
    over = sorted(share for outcome in outcomes for share in outcome.overshoots)
    lost = sum(one.result.num_vanished for one in outcomes)
    totals = [one.result.totals for one in outcomes]
    unaccounted = sum(one.machines - one.trials - one.lost - one.idle for one in totals)
    idle = min(one.idle for one in totals)
    num_trials = sum(sum(one.result.counts.values()) for one in outcomes)
    print(f"{number} nights, {num_trials:,} trials, in {seconds:.1f} s")
    print(
        f"overshoot of a limit: 99th percentile {100 * over[int(0.99 * len(over))]:.2f} %, most {100 * over[-1]:.2f} %"
    )
    print(f"trials lost: {lost}; micro-dollars unaccounted for: {unaccounted}; least idle: {idle} micro-dollars")


def speed(fleet: str, **budget: float | int | None) -> None:
    spec = load_sweep(SWEEP)
    spec = dataclasses.replace(spec, budget=BudgetConfig.model_validate(budget), prices=PRICES)
    setting = setting_of(spec, read_fleet(fleet), Durations(), Chances().of_sweep(spec))
    began = time.perf_counter()
    result = Night(setting, 1).run()
    seconds, num_trials = time.perf_counter() - began, sum(result.counts.values())
    print(f"{fleet}: {num_trials:,} trials in {result.seconds / 3_600:.2f} h, simulated in {seconds:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=1_000)
    number = parser.parse_args().nights
    speed("H100:4,A40:12", trials=5_000, hours=8)
    speed("H100:100,A40:400", trials=10_000)
    nights(number)


if __name__ == "__main__":
    main()
