"""Reading a run's tables beside pandas alone: seconds, and peak memory.

    python benchmarks/tables.py                              # 1,000, 10,000 and 100,000 made-up trials of 100 points
    python benchmarks/tables.py --trials 10000 --rounds 9
    python benchmarks/tables.py --run runs/night             # a real run

Bare is `pd.read_parquet` of each table. In one process, each round does all in turn, so that what else the machine does
hits all alike; ratios are of the medians. Peak memory is of a process of its own for each, with its imports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from synthetic_run import write_synthetic_run

import results
from results.analysis.objectives import read_goals
from results.analysis.pareto_info import pareto_info
from results.page.build import write_page
from results.page.page_info import read_page_info
from results.report.markdown_report import write_report_of

TABLES = ("trials", "curves", "attempts", "nodes", "sentinels")


def bare(run: Path) -> None:
    for table in TABLES:
        if (run / "tables" / table).is_dir():
            pd.read_parquet(run / "tables" / table)


def pareto(run: Path) -> None:
    goals = read_goals([run])
    pareto_info(results.load(run), goals.objectives, goals.constraints)


def report(run: Path) -> None:
    page = read_page_info([run])
    write_page(page)
    write_report_of(run, page.tables, page.info)


WORK: dict[str, Callable[[Path], object]] = {
    "bare": bare,
    "load": results.load,
    "pareto": pareto,
    "report": report,
}


def seconds_of(run: Path, num_rounds: int) -> dict[str, float]:
    """Medians by name. One round beforehand is not counted: it loads packages and the files."""
    taken: dict[str, list[float]] = {name: [] for name in WORK}
    for number in range(num_rounds + 1):
        for name, work in WORK.items():
            began = time.perf_counter()
            work(run)
            if number:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in taken.items()}


def peak_megabytes(name: str, run: Path) -> float:
    command = [sys.executable, __file__, "--once", name, "--run", str(run)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(run: Path, num_rounds: int) -> None:
    files = [path for path in (run / "tables").rglob("*.parquet") if path.is_file()]
    print(f"{run.name}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB", flush=True)
    seconds = seconds_of(run, num_rounds)
    for name in WORK:
        ratio = seconds[name] / seconds["bare"]
        memory = peak_megabytes(name, run)
        print(f"  {name:8}{seconds[name]:9.3f} s {ratio:7.2f} × bare {memory:9.0f} MB at most", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--points", type=int, default=100, help="of each curve")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", type=Path, help="a run folder, instead of made-up ones; its report is written anew")
    parser.add_argument("--once", choices=WORK, help="do this to --run, and print the peak memory in MB")
    given = parser.parse_args()
    if given.once is not None:
        WORK[given.once](given.run)
        print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1e3)
        return
    if given.run is not None:
        compare(given.run, given.rounds)
        return
    for num_trials in given.trials:
        with tempfile.TemporaryDirectory() as folder:
            compare(write_synthetic_run(Path(folder) / f"trials-{num_trials}", num_trials, given.points), given.rounds)


if __name__ == "__main__":
    main()
