"""How fast the search methods find good models: on worlds made from tables of real trials.

    python benchmarks/search.py                                   # the shipped tables, all worlds, 1 and 16 slots
    python benchmarks/search.py --table runs/night --seeds 10     # your own run
    python benchmarks/search.py --keep runs/night runs/night_seeds --as benchmarks/search_tables/night

Each method suggests 100 configs, one after another or on 16 slots, and is told what the world says, with the noise
between seeds that the table shows. Seeds are paired: of each, `random` sets the hypervolume that the others have to
reach. What
is found is scored without noise. Prints a table, and writes it with every run and a picture below --out.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from search_worlds import TABLES, World, keep_table, load_table
from threadpoolctl import threadpool_limits

from orchestrator.scheduling.cost_model import training_cost
from orchestrator.search.history import History, Suggestion, Told
from orchestrator.search.suggest import Exhausted, Suggester
from results.analysis.statistics import estimate
from search_spaces.spec.sweep_spec import SweepSpec

METHODS = ("random", "tpe", "ehvi")
BUDGET = 100
BYTES_NOISE = 0.003  # of the logarithm, between seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One search: a method in a world with some slots, and the seed of both."""

    table: str
    world: str
    slots: int
    method: str
    seed: int
    noise: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The hypervolume after each trial that ended, the predicted seconds at which it did, and the time of an answer."""

    setting: Setting
    hypervolume: list[float]
    seconds: list[float]
    ask_ms: float


def spec_of(table_spec: SweepSpec, setting: Setting) -> SweepSpec:
    """The table's sweep with another method and seed, one seed a config and no confirmation: the search alone.

    A random search is one without a method's share.
    """
    is_random = setting.method == "random"
    changes = {"seed": setting.seed, **({"random_share": 1.0, "control_share": 0.0} if is_random else {})}
    return dataclasses.replace(
        table_spec,
        method="tpe" if is_random else setting.method,
        search=table_spec.search.model_copy(update=changes),
        seeds_given=(1,),
        replicates=table_spec.replicates.model_copy(update={"when": "always"}),
        confirm=table_spec.confirm.model_copy(update={"configs": 0}),
        budget=table_spec.budget.model_copy(update={"trials": BUDGET}),
    )


def search(setting: Setting) -> Found:
    """Let a method search a world."""
    world = _world(setting.table, setting.world)
    spec, chance = spec_of(world.table.spec, setting), np.random.default_rng([setting.seed, 7])
    noise = world.table.ce_std if setting.noise is None else setting.noise
    suggester, history = Suggester(spec), History()
    given: set[int] = set()
    values: list[tuple[float, float]] = []
    found = Found(setting=setting, hypervolume=[], seconds=[], ask_ms=0.0)
    running: list[tuple[float, int, Any, Any]] = []
    now = ask_seconds = 0.0
    while True:
        while len(running) < setting.slots:
            begin = time.perf_counter()
            answer = suggester.suggest(history)
            ask_seconds += time.perf_counter() - begin
            if isinstance(answer, Exhausted):
                break
            suggestion = _of_table(world, answer, given) if setting.world == "lookup" else answer
            history = history.with_suggestion(suggestion)
            for arm in suggestion.arms:
                end = now + training_cost(arm.candidate.config).work / 1e9
                running += [(end, len(history.suggestions), trial, arm.candidate) for trial in arm.trials]
        if not running:
            return dataclasses.replace(found, ask_ms=1000 * ask_seconds / len(found.seconds))
        running.sort(key=lambda one: one[:2])
        now, _, trial, candidate = running.pop(0)
        values.append(world.values(candidate))
        found.hypervolume.append(world.hypervolume(values))
        found.seconds.append(now)
        ce, size = values[-1][0] + noise * chance.normal(), values[-1][1] * math.exp(BYTES_NOISE * chance.normal())
        seen = {"ce": ce, "artifact_bytes": size, "total_bytes": size + 45_000}
        told = Told(trial_id=trial.trial_id, status="completed", values=seen)
        history = dataclasses.replace(history, told=(*history.told, told))


def _of_table(world: World, suggestion: Suggestion, given: set[int]) -> Suggestion:
    """In a look-up, the nearest real trial takes the place of what was suggested."""
    arms = []
    for arm in suggestion.arms:
        index = world.nearest(arm.candidate, given)
        given.add(index)
        arms.append(dataclasses.replace(arm, candidate=world.table.candidates[index]))
    return dataclasses.replace(suggestion, arms=tuple(arms))


_WORLDS: dict[tuple[str, str], World] = {}


def _world(table: str, kind: str) -> World:
    if (table, kind) not in _WORLDS:
        _WORLDS[table, kind] = World(load_table(Path(table)), kind)
    return _WORLDS[table, kind]


def first_reach(curve: Sequence[float], target: float) -> int:
    """How many trials until a curve reaches a target; one more than there are if it never does."""
    return next((index + 1 for index, value in enumerate(curve) if value >= target - 1e-12), len(curve) + 1)


def compared(found: Sequence[Found]) -> list[dict[str, Any]]:
    """One row for each world, slots and method: against random with the same seed."""
    by = {(f.setting.table, f.setting.world, f.setting.slots, f.setting.method, f.setting.seed): f for f in found}
    rows = []
    for key, group in itertools.groupby(sorted(by), key=lambda key: key[:4]):
        runs = [by[one] for one in group]
        twins = [by[(*key[:3], "random", run.setting.seed)] for run in runs]
        reach = [first_reach(run.hypervolume, twin.hypervolume[-1]) for run, twin in zip(runs, twins, strict=True)]
        reach_random = [first_reach(twin.hypervolume, twin.hypervolume[-1]) for twin in twins]
        ratios = [math.log(one / other) for one, other in zip(reach, reach_random, strict=True)]
        clock = [
            math.log(run.seconds[min(n, len(run.seconds)) - 1] / twin.seconds[m - 1])
            for run, n, twin, m in zip(runs, reach, twins, reach_random, strict=True)
        ]
        final = [run.hypervolume[-1] / twin.hypervolume[-1] for run, twin in zip(runs, twins, strict=True)]
        rows.append(
            {
                "table": Path(key[0]).name, "world": key[1], "slots": key[2], "method": key[3], "seeds": len(runs),
                "median_trials": float(np.median(reach)),
                "log_trials_ratio": ratios, "log_seconds_ratio": clock, "final_ratio": final,
                "ask_ms": float(np.mean([run.ask_ms for run in runs])),
            }
        )  # fmt: skip
    return rows


def _interval(values: Sequence[float], *, is_log: bool) -> str:
    """Mean and 95 % interval over seeds; of logarithms, their geometric mean."""
    of = estimate(list(values))
    half = of.half_width or 0.0
    low, middle, high = of.mean - half, of.mean, of.mean + half
    if is_log:
        low, middle, high = math.exp(low), math.exp(middle), math.exp(high)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table, with the rows of all worlds pooled at the end."""
    names = ("table", "world", "slots", "method", "trials", "of random's trials", "of random's time")
    header = " | ".join(("", *names, "final hypervolume", "ms an ask", "")).strip()
    lines = [header, "| --- | --- | ---: | --- | ---: | --- | --- | --- | ---: |"]
    pooled: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["method"] != "random":
            pooled.setdefault((row["slots"], row["method"]), []).append(row)
        lines.append(_line(row))
    for (slots, method), group in sorted(pooled.items()):
        lines.append(_line({**_pooled(group), "table": "all", "world": "all", "slots": slots, "method": method}))
    return "\n".join(lines)


def _pooled(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    columns = ("log_trials_ratio", "log_seconds_ratio", "final_ratio")
    joined = {column: [value for row in group for value in row[column]] for column in columns}
    medians = {column: float(np.mean([row[column] for row in group])) for column in ("median_trials", "ask_ms")}
    return {**joined, **medians}


def _line(row: dict[str, Any]) -> str:
    cells = [
        row["table"], row["world"], str(row["slots"]), row["method"], f"{row['median_trials']:.0f}",
        _interval(row["log_trials_ratio"], is_log=True), _interval(row["log_seconds_ratio"], is_log=True),
        _interval(row["final_ratio"], is_log=False), f"{row['ask_ms']:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def picture(found: Sequence[Found], path: Path) -> None:
    """Hypervolume over trials, of random's last with the same seed: mean over seeds, one panel for each world."""
    from search_picture import draw

    draw(found, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, action="append", help="a run folder; default: the shipped tables")
    parser.add_argument("--world", action="append", choices=("trees", "gp", "lookup"), help="default: all three")
    parser.add_argument("--method", action="append", choices=METHODS, help="default: all; random is always there")
    parser.add_argument("--slots", type=int, action="append", help="default: 1 and 16")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument(
        "--noise", type=float, help="standard deviation of ce between seeds, in nats; default: the table's"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("build/search"))
    parser.add_argument(
        "--keep", type=Path, nargs="+", help="run folders of one sweep to make a table of, and no search"
    )
    parser.add_argument("--as", dest="keep_as", type=Path, help="folder of that table")
    options = parser.parse_args()
    if options.keep:
        return keep_table(options.keep, options.keep_as)
    tables = options.table or sorted(path.parent for path in TABLES.glob("*/sweep.yaml"))
    methods = list(dict.fromkeys(["random", *(options.method or METHODS)]))
    settings = [
        Setting(table=str(table), world=world, slots=slots, method=method, seed=seed, noise=options.noise)
        for table in tables
        for slots in options.slots or (1, 16)
        for world in options.world or ("trees", "gp", "lookup")
        for seed in range(options.seeds)
        for method in methods
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    found = _searched(settings, options.workers)
    (options.out / "search.json").write_text(json.dumps([dataclasses.asdict(one) for one in found]))
    text = markdown(compared(found))
    (options.out / "search.md").write_text(text + "\n")
    picture(found, options.out / "search.png")
    print(text)


def _searched(settings: Sequence[Setting], num_workers: int) -> list[Found]:
    from rich.console import Console
    from rich.progress import track

    # one thread each: there is a process for every core
    with ProcessPoolExecutor(num_workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        results = pool.map(search, settings, chunksize=1)
        return list(track(results, "searching", total=len(settings), console=Console(stderr=True)))


if __name__ == "__main__":
    main()
