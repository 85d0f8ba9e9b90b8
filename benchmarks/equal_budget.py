"""Two or more finished runs of one space by what they spent: hypervolume over steps of training.

    python benchmarks/equal_budget.py runs/random runs/default

Every trial counts in what was spent, those that were stopped early with the steps they did, replicates and confirmation
too. The front is that of shrunken means over seeds, so that a config with one lucky seed counts as little as it should.
Seconds are of training, summed over slots.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import results
from orchestrator.confirmation.choose import Found, believed
from orchestrator.search.warm_start import in_order
from results.analysis.replicate_groups import to_rows
from results.analysis.search_history import front_hypervolume
from search_spaces.spec.load import load_sweep

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Row = Mapping[str, Any]


def read(run: Path) -> list[Row]:
    """The rows of a run in the order in which they ended."""
    return in_order(to_rows(results.load(run).trials))


def front_points(run: Path, rows: Sequence[Row]) -> list[Found]:
    spec = load_sweep(run / "sweep.yaml")
    return believed(spec, [row for row in rows if row["stage"] != "confirm" and row["status"] != "stopped_early"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    runs: list[Path] = parser.parse_args().runs
    rows = {run: read(run) for run in runs}
    spent = {run: np.cumsum([row["steps"] or 0 for row in rows[run]]) for run in runs}
    budget = min(int(steps[-1]) for steps in spent.values())
    known = [one for run in runs for one in front_points(run, rows[run])]
    reference = max(one.score for one in known), max(one.artifact_bytes for one in known)
    print(f"hypervolume in nats × ln bytes, up to ce {reference[0]:.3f} and {reference[1]:,.0f} bytes")
    print(f"| steps | {' | '.join(run.name for run in runs)} |")
    print(f"| ---: | {' | '.join('---:' for _ in runs)} |")
    for share in SHARES:
        cells = []
        for run in runs:
            done = int(np.searchsorted(spent[run], share * budget, side="right"))
            points = [(one.score, one.artifact_bytes) for one in front_points(run, rows[run][:done])]
            cells.append(f"{front_hypervolume(points, reference):.3f}")
        print(f"| {share * budget:,.0f} | {' | '.join(cells)} |")
    for run in runs:
        seconds, steps = sum(row["train_seconds"] or 0.0 for row in rows[run]), int(spent[run][-1])
        print(f"{run.name}: {len(rows[run])} trials, {steps:,} steps, {seconds:,.0f} s of training in all")


if __name__ == "__main__":
    main()
