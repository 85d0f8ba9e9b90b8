"""Does a forecast hold? Three real sweeps on this machine, each forecast before and set beside what came.

    python benchmarks/forecast.py --data-root data          # about ten minutes on two quiet cores

The sweeps are fixed below. *Cold*: what `frostline run` forecast when it began, before any trial had run. *Warm*: the
same forecast by the rows of the two other sweeps. For each: the middle, the range in which four in five nights end,
what came, whether it is within, and the middle over what came. Data: `frostline data prepare stdlib --vocab 1024`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import results
from orchestrator.estimates.cpu_speed import measured_cpu
from orchestrator.scheduling.durations import Durations
from orchestrator.simulator.chances import Chances
from orchestrator.simulator.fleet import read_fleet
from orchestrator.simulator.forecast import Effort, forecast, setting_of
from orchestrator.simulator.options import learn
from results.analysis.replicate_groups import to_rows
from search_spaces.spec.load import load_sweep

TRAIN = {"sequence_tokens": 64, "batch_sequences": 16}
BASE: dict[str, Any] = {"data": "stdlib", "device": "cpu", "eval": {"tokens": 20_000}}
MODEL = {"vocab_size": 1024, "num_heads": 4}
SWEEPS: dict[str, dict[str, Any]] = {
    "shapes": {
        "search": {"method": "random", "seed": 31},
        "budget": {"trials": 30},
        "base": {**BASE, "train": {**TRAIN, "steps": 220}, "model": MODEL},
        "space": {
            "recipe": {"choice": ["baseline", "selective"]},
            "model.num_layers": {"choice": [1, 2, 3]},
            "model.dim": {"choice": [40, 72, 120]},
            "optimizer.learning_rate": {"log_range": [0.001, 0.01]},
        },
    },
    "hours": {
        "search": {"method": "ehvi", "seed": 32},
        "budget": {"trials": 400, "hours": 0.05},
        "confirm": {"configs": 0},
        "base": {
            **BASE,
            "train": {**TRAIN, "steps": 160},
            "model": {"family": "competition", **MODEL, "num_kv_heads": 2},
        },
        "space": {
            "model.num_layers": {"choice": [1, 2, 4]},
            "model.dim": {"choice": [32, 56, 88, 128]},
            "optimizer.learning_rate": {"log_range": [0.0003, 0.03]},
        },
    },
    "dollars": {
        "search": {"method": "tpe", "seed": 33},
        "budget": {"trials": 400, "usd": 0.18},
        "prices": {"CPU": 3.6},
        "confirm": {"configs": 0},
        "base": {**BASE, "train": {**TRAIN, "steps": 180}, "model": MODEL},
        "space": {
            "recipe": {"choice": ["baseline", "full_adapter"]},
            "model.num_layers": {"choice": [1, 2, 3]},
            "model.dim": {"choice": [48, 96]},
            "optimizer.learning_rate": {"log_range": [0.0003, 0.03]},
        },
        "cases": [{"when": {"recipe": "full_adapter"}, "space": {"adapter.rank": {"choice": [4, 8]}}}],
    },
}


def run(name: str, folder: Path, data_root: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Run a sweep; the cold forecast and what came."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, **SWEEPS[name]}, sort_keys=False))
    command = ["-m", "orchestrator.cli", "run", str(path), "--out", str(folder / name), "--data-root", str(data_root)]
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (folder / name / "forecasts.jsonl").read_text().splitlines()]
    return lines[0]["forecast"], lines[1]["truth"]


def warm_forecast(name: str, folder: Path) -> Mapping[str, Any]:
    """By the rows of the other sweeps."""
    spec, durations, rows = load_sweep(folder / f"{name}.yaml"), Durations(measured_cpu()), []
    for other in SWEEPS.keys() - {name}:
        rows += list(to_rows(results.load(folder / other).trials))
    learn(rows, durations)
    setting = setting_of(spec, read_fleet("local"), durations, Chances().of_sweep(spec))
    return forecast(setting, Effort()).as_dict()


def table_row(name: str, kind: str, found: Mapping[str, Any], truth: Mapping[str, Any]) -> list[str]:
    """Of what is open: the trials of a sweep that its hours end, the minutes of one that ends by itself."""
    if truth["end"] == "finished":
        what, expected, came = "minutes", {k: v / 60 for k, v in found["seconds"].items()}, truth["seconds"] / 60
    else:
        what, expected = "trials completed", found["counts"]["completed"]
        came = truth["counts"].get("completed", 0)
    within = expected["low"] <= came <= expected["high"]
    low, middle, high = (f"{expected[key]:.1f}" for key in ("low", "middle", "high"))
    ratio = expected["middle"] / came
    return [name, kind, what, middle, f"{low} to {high}", f"{came:.1f}", "yes" if within else "no", f"{ratio:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--folder", type=Path, help="keep the runs here, and use those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ran = {name: run(name, folder, options.data_root) for name in SWEEPS}
        header = ("sweep", "model", "of", "middle", "four in five", "came", "within", "middle / came")
        print("| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
        for name, (cold, truth) in ran.items():
            for kind, found in (("cold", cold), ("warm", warm_forecast(name, folder))):
                print("| " + " | ".join(table_row(name, kind, found, truth)) + " |", flush=True)


if __name__ == "__main__":
    main()
