"""Run folders for tests of the page, with an account, curves and a forecast; and the page of a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from account_rows import at, make_attempt, make_node
from trial_builder import make_curve, make_trial, quickstart_trials, write_run

from results.page.build import write_page
from results.page.page_info import PageInfo, read_page_info
from results.tables.account import attempts_table, nodes_table

SWEEP = "name: demo\nobjectives: {ce: min, artifact_bytes: min}\nconstraints: ['artifact_bytes <= 500_000']\n"
HOSTILE = "</script><script>window.hacked=1</script>"
HOSTILE_IMAGE = "<img src=x onerror=window.hacked=2>"
FORMULA = "=cmd()"


def dated(trials: Iterable[dict[str, Any]], seconds: float = 60.0) -> list[dict[str, Any]]:
    """The trials one after the other, each with half of its time in steps."""
    return [
        {
            **one,
            "started_at": at(i * seconds),
            "finished_at": at((i + 1) * seconds),
            "train_seconds": seconds / 2,
            "total_seconds": seconds,
            "accelerator": "H100",
        }
        for i, one in enumerate(trials)
    ]


def night_trials() -> list[dict[str, Any]]:
    """Two recipes, three sizes, two seeds, and one trial each that failed, was stopped early and was too large."""
    lost = [
        make_trial(layers=9, ce=None, artifact_bytes=None, status="failed", error="Traceback:\nValueError: step 3"),
        make_trial(layers=8, ce=None, artifact_bytes=None, status="stopped_early", stop_step=10),
    ]
    refused = make_trial(layers=7, ce=None, artifact_bytes=None, status="infeasible", error="expected to be too large")
    return [*dated([*quickstart_trials(), *lost]), {**refused, "accelerator": None, "started_at": None}]


def hostile_trials() -> list[dict[str, Any]]:
    """Texts that are markup, scripts and formulas in every place that a user, a machine or an error can fill."""
    names = {"sweep": HOSTILE, "data": HOSTILE_IMAGE, "device_name": HOSTILE, "host": HOSTILE_IMAGE}
    good = [
        make_trial("selective", 4, 64 * i, seed, 3.0 + 0.1 * i, cfg_freeze_matrices=text, **names)
        for i, text in enumerate((HOSTILE, HOSTILE_IMAGE, FORMULA), start=1)
        for seed in (1, 2)
    ]
    for i, one in enumerate(good):
        one["trial_id"] = f"{HOSTILE}-{i}"
    bad = make_trial(layers=9, ce=None, status="failed", error=f"x\n{FORMULA} {HOSTILE_IMAGE}", **names)
    return dated([*good, bad])


def write_night(folder: Path, trials: Sequence[dict[str, Any]], sweep: str = SWEEP) -> Path:
    """A run folder with all its tables: every trial had the one machine for its time."""
    curves = [point for one in trials if one["ce"] is not None for point in make_curve(one)]
    write_run(folder, list(trials), curves, sweep)
    names = {"sweep": trials[0]["sweep"], "host": trials[0].get("host") or "host"}
    attempts = [
        make_attempt(one["trial_id"], i * 60, (i + 1) * 60, i, outcome=one["status"], **names)
        for i, one in enumerate(trials)
        if one["status"] != "infeasible"
    ]
    nodes = [make_node(0, 60 * len(trials) + 90, **names)]
    for name, table in (("attempts", attempts_table(attempts)), ("nodes", nodes_table(nodes))):
        path = folder / "tables" / name / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    write_forecast(folder)
    return folder


def write_forecast(folder: Path, end: str = "finished") -> None:
    """A forecast that held for the trials, and not for the time."""
    expected = {"low": 10.0, "middle": 12.0, "high": 14.0}
    forecast = {"num_nights": 100, "counts": {"completed": expected}, "seconds": expected, "usd": None}
    lines = [
        {"kind": "forecast", "at": "2026-01-01T22:00:00+00:00", "forecast": forecast},
        {"kind": "truth", "truth": {"counts": {"completed": 12}, "seconds": 900.0, "usd": 0.2, "end": end}},
    ]
    (folder / "forecasts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def page_info(*folders: Path, **changes: Any) -> PageInfo:
    """What the sections of the page of these folders are given."""
    return read_page_info(folders, folders[0] / "report", **changes)


def page_of(*folders: Path, **changes: Any) -> Path:
    """The written page of these folders."""
    return write_page(page_info(*folders, **changes))
