"""How long the slots of a run were idle between two trials, and what the driver cost.

    frostline run SPEC --out RUN
    python benchmarks/slots.py RUN

Idle is the time from a trial's end to the start of the next one on the same worker process, from the table alone.
A worker's first trial has no gap before it; a gap in which nothing waited (the end of the sweep) is not counted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

import results


def gaps_seconds(trials: pd.DataFrame) -> pd.Series:
    """Seconds between consecutive trials of each worker, shape (number of trials - number of workers,)."""
    ordered = trials.sort_values("started_at")
    previous_end = ordered.groupby("worker", observed=True).finished_at.shift()
    return (ordered.started_at - previous_end).dt.total_seconds().dropna()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="run folders")
    paths = parser.parse_args().paths
    for run in paths:
        trials = results.load(run).trials
        trials = trials[trials.status != "infeasible"]  # these took no slot
        gaps = gaps_seconds(trials)
        print(
            f"{run}: {len(gaps)} gaps on {trials.worker.nunique()} workers: "
            f"median {gaps.median():.3f} s, p95 {gaps.quantile(0.95):.3f} s, max {gaps.max():.3f} s; "
            f"trials last {trials.total_seconds.median():.1f} s (median)"
        )
        for session in json.loads((run / "environment.json").read_text())["sessions"]:
            if "wall_seconds" in session:
                share = session["driver_cpu_seconds"] / session["wall_seconds"]
                print(f"  session of {session['wall_seconds']:.0f} s: the driver used {share:.1%} of one core")


if __name__ == "__main__":
    main()
