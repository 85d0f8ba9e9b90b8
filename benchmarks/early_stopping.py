"""What early stopping saves and what it loses: on tables of real trials that all ran to their end.

    python benchmarks/early_stopping.py                              # the shipped tables, 1 and 16 slots
    python benchmarks/early_stopping.py --table runs/night --orders 10
    python benchmarks/early_stopping.py --keep runs/night --as benchmarks/curve_tables/night

A table is a run with `early_stopping: {method: best_case, audit_share: 1}`: every trial was looked at, and none was
stopped. Its trials are played again in random orders, on slots that take a trial when they are free, and each rule says
which would have been stopped. Lost is the hypervolume of what the stopped ones would have added. A stop is wrong where
the trial ended better than the best case it was stopped for.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import heapq
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import binomtest

import results
from orchestrator.early_stopping.asha import Asha
from orchestrator.early_stopping.best_case import BestCase
from orchestrator.early_stopping.kinds import kind_of
from orchestrator.early_stopping.rule import Ended, Looked, StoppingRule, Verdict
from orchestrator.search.warm_start import config_of_row
from results.analysis.pareto import hypervolume, pareto_mask
from results.analysis.replicate_groups import to_rows
from results.tables.schema import curves_table, trials_table
from search_spaces.configs.agreeing import found_again
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec

TABLES = Path(__file__).parent / "curve_tables"
RISKS = (0.01, 0.05, 0.2)
AUDIT_SHARE = 0.1
RULES = ("none", *(f"best_case {risk}" for risk in RISKS), "asha", "median")
KEPT = (
    *("sweep", "trial_id", "config_id", "seed", "recipe", "data", "data_sha256", "status", "finished_at", "steps"),
    *("ce", "artifact_bytes", "total_bytes", "tokens_per_s", "train_seconds", "total_seconds"),
)


@dataclasses.dataclass(frozen=True)
class Table:
    """A run whose trials all ended: each as a rule is told of it, with its steps and seconds of training."""

    spec: SweepSpec
    trials: tuple[Ended, ...]
    steps: tuple[int, ...]
    seconds: tuple[float, ...]


class Median:
    """The rule of many tools, to compare with: stop what is worse than the median of its kind at that look."""

    def __init__(self) -> None:
        self._scores: dict[Any, list[float]] = {}

    def tell(self, ended: Ended) -> None: ...

    def look(self, looked: Looked) -> Verdict:
        score = looked.looks[looked.step]
        scores = self._scores.setdefault((kind_of(looked.candidate.config), looked.step), [])
        is_worse = len(scores) >= 5 and not score <= float(np.median(scores))
        scores.append(score)
        return Verdict(action="stop" if is_worse else "go_on", step=looked.step)


class Never:
    """The rule `none`."""

    def tell(self, ended: Ended) -> None: ...

    def look(self, looked: Looked) -> Verdict:
        return Verdict(action="go_on", step=looked.step)


def rule_of(name: str, spec: SweepSpec) -> StoppingRule:
    """A rule by the name that the table shows."""
    kind, _, risk = name.partition(" ")
    changes = {"audit_share": AUDIT_SHARE, **({"risk": float(risk)} if risk else {})}
    spec = dataclasses.replace(spec, early_stopping=spec.early_stopping.model_copy(update=changes))
    return {"none": Never, "median": Median, "asha": lambda: Asha(spec), "best_case": lambda: BestCase(spec)}[kind]()


@functools.cache
def load_table(folder: Path) -> Table:
    """A run folder, or one of `curve_tables`."""
    spec, tables = load_sweep(folder / "sweep.yaml"), results.load([str(folder)])
    curves = tables.curves[tables.curves.look_ce.notna()]
    looks = {
        str(trial_id): dict(zip(of.step, of.look_ce, strict=True))
        for trial_id, of in curves.groupby("trial_id", observed=True)
    }
    trials, steps, seconds = [], [], []
    for row in to_rows(tables.trials):
        if row["status"] != "completed":
            continue
        config = config_of_row(row)
        candidate = "its settings cannot be read back" if config is None else found_again(spec, config)
        if isinstance(candidate, str) or row["trial_id"] not in looks:
            print(f"{row['trial_id']} is left out: {candidate if isinstance(candidate, str) else 'it has no looks'}")
            continue
        trials.append(
            Ended(
                trial_id=row["trial_id"], candidate=candidate, looks=looks[row["trial_id"]], score=row["ce"],
                artifact_bytes=row["artifact_bytes"],
            )
        )  # fmt: skip
        steps.append(max(row["steps"] or 0, *looks[row["trial_id"]]))
        seconds.append(row["train_seconds"])
    return Table(spec, tuple(trials), tuple(steps), tuple(seconds))


def keep_table(folder: Path, out: Path) -> None:
    """Make a small table of a run folder: its trials, and of its curves the looks."""
    tables = results.load([str(folder)])
    for name, rows, table in (
        ("trials", to_rows(tables.trials), trials_table),
        ("curves", to_rows(tables.curves[tables.curves.look_ce.notna()]), curves_table),
    ):
        (out / "tables" / name).mkdir(parents=True, exist_ok=True)
        kept = [{k: v for k, v in row.items() if name == "curves" or k in KEPT or k.startswith("cfg_")} for row in rows]
        pq.write_table(table(kept), out / "tables" / name / f"{name}-000000.parquet", compression="zstd")
    shutil.copyfile(folder / "sweep.yaml", out / "sweep.yaml")
    print(f"{len(tables.trials)} trials in {out}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One replay: a table's trials in one order, on some slots, under a rule."""

    table: str
    slots: int
    rule: str
    order: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it. Shares are of all that the trials of the table took and gave."""

    setting: Setting
    steps_saved: float
    seconds_saved: float
    hypervolume_lost: float
    front_lost: int
    front: int
    stopped: int
    audited: int
    wrong: int
    trials: int


def replay(setting: Setting) -> Outcome:
    """Play a table's trials in one order, and stop what the rule says."""
    table = load_table(Path(setting.table))
    rule, total = rule_of(setting.rule, table.spec), sum(table.steps)
    waiting = [int(index) for index in np.random.default_rng(setting.order).permutation(len(table.trials))]
    events: list[tuple[float, int, int]] = []  # seconds, trial, step
    stopped: dict[int, Verdict] = {}
    audited: dict[int, Verdict] = {}
    steps_done, seconds_done, now = 0, 0.0, 0.0

    def start(index: int) -> None:
        pace = table.seconds[index] / table.steps[index]
        for step in [*table.trials[index].looks, table.steps[index]]:
            heapq.heappush(events, (now + pace * step, index, step))

    for _ in range(min(setting.slots, len(waiting))):
        start(waiting.pop(0))
    while events:
        now, index, step = heapq.heappop(events)
        trial = table.trials[index]
        if index in stopped:
            continue
        if step < table.steps[index]:
            seen = {at: ce for at, ce in trial.looks.items() if at <= step}
            # another name in each order, so that others are audited
            looked = Looked(trial_id=f"{trial.trial_id}/{setting.order}", candidate=trial.candidate, looks=seen)
            if index in audited or (verdict := rule.look(looked)).action == "go_on":
                continue
            if verdict.action == "audit":
                audited[index] = verdict
                continue
            stopped[index] = verdict
        else:
            rule.tell(dataclasses.replace(trial, was_to_stop=index in audited))
        steps_done += step
        seconds_done += table.seconds[index] * step / table.steps[index]
        if waiting:
            start(waiting.pop(0))
    values = np.array([(one.score, math.log(one.artifact_bytes)) for one in table.trials])
    is_kept = np.array([index not in stopped for index in range(len(values))])
    reference = values.max(axis=0)
    front = pareto_mask(values, ["min", "min"])
    whole = hypervolume(values, reference, ["min", "min"])
    wrong = sum(
        verdict.best_case is not None and table.trials[index].score < verdict.best_case
        for index, verdict in {**stopped, **audited}.items()
    )
    return Outcome(
        setting=setting,
        steps_saved=1 - steps_done / total,
        seconds_saved=1 - seconds_done / sum(table.seconds),
        hypervolume_lost=1 - hypervolume(values[is_kept], reference, ["min", "min"]) / whole,
        front_lost=int((front & ~is_kept).sum()),
        front=int(front.sum()),
        stopped=len(stopped),
        audited=len(audited),
        wrong=wrong,
        trials=len(values),
    )


def markdown(outcomes: Sequence[Outcome]) -> str:
    """A line for each table, number of slots and rule, and one for each rule over all."""
    names = ("table", "slots", "rule", "steps saved", "time saved", "hypervolume lost", "95 %", "front lost", "wrong")
    lines = ["| " + " | ".join(names) + " |", "| --- | ---: | --- |" + " ---: |" * 6]

    def key(one: Outcome) -> tuple[str, int, int]:
        return Path(one.setting.table).name, one.setting.slots, RULES.index(one.setting.rule)

    for (table, slots, _), group in itertools.groupby(sorted(outcomes, key=key), key=key):
        lines.append(_line(table, str(slots), list(group)))
    for _, group in itertools.groupby(sorted(outcomes, key=lambda one: key(one)[2]), key=lambda one: key(one)[2]):
        lines.append(_line("all", "", list(group)))
    return "\n".join(lines)


def _line(table: str, slots: str, group: Sequence[Outcome]) -> str:
    lost = [one.hypervolume_lost for one in group]
    cells = [
        table, slots, group[0].setting.rule,
        f"{np.mean([one.steps_saved for one in group]):.0%}", f"{np.mean([one.seconds_saved for one in group]):.0%}",
        f"{np.mean(lost):.2%}", f"{np.quantile(lost, 0.95):.2%}",
        f"{sum(one.front_lost for one in group)} of {sum(one.front for one in group)}",
        _wrong(group) if group[0].setting.rule.startswith("best_case") else "",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _wrong(group: Sequence[Outcome]) -> str:
    """Of all trials, with its interval as if every order had trials of its own; and of those to be stopped."""
    wrong, trials = sum(one.wrong for one in group), sum(one.trials for one in group)
    to_stop = sum(one.stopped + one.audited for one in group)
    interval = binomtest(wrong, trials).proportion_ci()
    of_trials = f"{wrong / trials:.1%} of trials ({interval.low:.1%} to {interval.high:.1%})"
    return f"{of_trials}, {wrong / max(to_stop, 1):.1%} of stops"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="append", type=Path, help="a run folder; by default the shipped tables")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rule", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--orders", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("build/early_stopping"))
    parser.add_argument("--keep", type=Path, help="a run folder to make a small table of")
    parser.add_argument("--as", dest="name", type=Path, help="where that table goes")
    options = parser.parse_args()
    if options.keep:
        keep_table(options.keep, options.name)
        return
    tables = [str(path.resolve()) for path in options.table or sorted(TABLES.iterdir())]
    settings = [
        Setting(table=table, slots=slots, rule=rule, order=order)
        for table, slots, rule, order in itertools.product(tables, options.slots, options.rule, range(options.orders))
    ]
    print(markdown(outcomes := _all(settings)))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "early_stopping.md").write_text(markdown(outcomes) + "\n")
    (options.out / "early_stopping.json").write_text(json.dumps([dataclasses.asdict(one) for one in outcomes]))


def _all(settings: Sequence[Setting]) -> list[Outcome]:
    """On every core, with the count on the way."""
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        found: Iterable[Outcome] = pool.map(replay, settings)
        for outcome in found:
            outcomes.append(outcome)
            if len(outcomes) % 20 == 0:
                print(f"{len(outcomes)} of {len(settings)} replays", flush=True)
    return outcomes


if __name__ == "__main__":
    main()
