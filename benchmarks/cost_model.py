"""What is expected of a trial beside what it takes: seconds in steps, seconds beside them, and peak memory.

Short real trials of many configs, each in a fresh process: widths 32 to 512, 1 to 6 layers, batches of 512 to 16,384
tokens, all recipes, AdamW and Muon, both families, fp32 and bf16, one thread and two. Each is run several times and its
smallest seconds count. What is measured goes to a file as it comes, so that the same command goes on after a break.

On a busy machine `--clock processor` counts processor seconds, which say with one thread what a core of one's own would
take, but for caches that are shared; configs of two threads are then left out.

    frostline data prepare stdlib --root DATA
    nice python benchmarks/cost_model.py --data-root DATA --out build/cost_model.jsonl --repeats 3
    python benchmarks/cost_model.py --out build/cost_model.jsonl --report --fit
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from orchestrator.estimates.cpu_speed import measured_cpu
from orchestrator.estimates.memory import peak_memory_bytes
from orchestrator.estimates.speeds import MEASURED_CPU
from orchestrator.scheduling.cost_model import training_cost
from trainer.config.trial import TrialConfig
from trainer.recipes.variants import RECIPES

BATCHES = ((8, 64), (16, 64), (32, 128), (64, 256))  # rows and their tokens
SHAPES = ((32, 2, 16, 64), (64, 4, 16, 64), (128, 2, 32, 128), (256, 4, 16, 128), (128, 6, 8, 64))
KEPT = ("status", "steps", "train_seconds", "compile_seconds", "eval_seconds", "checkpoint_seconds", "pack_seconds")
KEPT += ("total_seconds", "peak_memory_bytes")


def config_of(dim: int, layers: int, rows: int, length: int, *, seconds: float, **settings: Any) -> TrialConfig:
    """A trial of about `seconds` in its steps."""
    recipe, heads = settings.pop("recipe", "baseline"), max(2, dim // 32)
    model = {"num_layers": layers, "dim": dim, "num_heads": heads, **settings.pop("model", {})}
    model |= {"mlp": "gelu"} if recipe == "low_rank" else {}
    train = {"steps": 3, "batch_sequences": rows, "sequence_tokens": length, **settings.pop("train", {})}
    values = {
        "recipe": recipe,
        "data": "stdlib",
        "model": model,
        "train": train,
        "eval": {"tokens": 16_384},
        **settings,
    }
    if recipe == "distill":
        values["distill"] = {"teacher_layers": layers, "teacher_dim": 2 * dim, "teacher_heads": heads}
    cost = training_cost(TrialConfig.model_validate({**values, "train": {**train, "steps": 103}}))
    steps = int(min(400, max(8, 100 * seconds / cost.seconds(MEASURED_CPU).steps)))
    return TrialConfig.model_validate({**values, "train": {**train, "steps": steps}})


def configs(seconds: float) -> Iterator[TrialConfig]:
    """Every config once: plain ones of all sizes, then recipes, optimizers, families, threads, precisions, codecs."""
    for dim in (32, 64, 128, 256):
        for layers in (1, 2, 4, 6):
            for rows, length in BATCHES:
                if dim * layers * rows * length <= 256 * 4 * 64 * 256:
                    yield config_of(dim, layers, rows, length, seconds=seconds)
    for shape in SHAPES:
        for settings in variants():
            yield config_of(*shape, seconds=seconds, **settings)
    large: tuple[tuple[tuple[int, int, int, int], dict[str, Any]], ...] = (
        ((256, 4, 64, 128), {"train": {"micro_batches": 4}}),
        ((64, 2, 16, 512), {}),
        ((128, 2, 8, 1024), {}),
        ((512, 6, 16, 256), {"optimizer": {"name": "muon"}}),
        ((512, 6, 16, 256), {"optimizer": {"name": "muon"}, "num_threads": 2}),
        ((512, 4, 64, 256), {}),
        ((512, 4, 64, 256), {"num_threads": 2}),
        ((256, 6, 32, 256), {"train": {"precision": "bf16"}}),
    )
    for shape, settings in large:
        yield config_of(*shape, seconds=seconds, **settings)
    for codec in ("zlib", "zstd", "brotli", "lzma"):
        yield config_of(256, 2, 16, 64, seconds=seconds, artifact={"codec": codec})


def variants() -> Iterator[dict[str, Any]]:
    """What is run on each of `SHAPES`."""
    muon, competition = {"optimizer": {"name": "muon"}}, {"model": {"family": "competition", "num_kv_heads": 2}}
    yield from ({"recipe": recipe} for recipe in RECIPES if recipe != "baseline")
    yield from (muon, competition, {**muon, **competition}, {"train": {"precision": "bf16"}})
    yield from ({"num_threads": 2}, {**muon, "recipe": "selective", "num_threads": 2})
    yield {"eval": {"tokens": 65_536}, "artifact": {"codec": "zlib"}}


def measure(config: TrialConfig, data_root: Path, clock: str) -> dict[str, Any]:
    """Run one trial in this process, which is thrown away afterwards."""
    if clock == "processor":
        time.perf_counter = time.process_time  # before the trainer is imported, which keeps it as a default
    from trainer.run import run
    from trainer.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        result = run(config, Workspace(folder=Path(folder) / "trial", data_root=data_root))
    values = dataclasses.asdict(result)
    return {name: values[name] for name in KEPT}


def measure_all(options: argparse.Namespace) -> None:
    """Add to the file what is missing of every config."""
    chosen = [c for c in configs(options.seconds) if options.clock == "wall" or c.num_threads == 1]
    have = Counter(row["trial_id"] for row in rows_of(options.out))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for repeat in range(options.repeats):
        for number, config in enumerate(chosen, start=1):
            if have[config.trial_id] > repeat:
                continue
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                row = pool.submit(measure, config, options.data_root, options.clock).result()
            values = {"trial_id": config.trial_id, "config": config.model_dump(mode="json", exclude_none=True), **row}
            with options.out.open("a") as file:
                file.write(json.dumps(values) + "\n")
            print(f"{repeat + 1}/{options.repeats} {number}/{len(chosen)} {config.trial_id}", flush=True)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def best_rows(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each trial the smallest of each figure."""
    by_trial: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_trial.setdefault(row["trial_id"], []).append(row)
    for trials in by_trial.values():
        total_beside = min(row["total_seconds"] - row["train_seconds"] for row in trials)
        steps = min(row["train_seconds"] for row in trials)
        peak = min(row["peak_memory_bytes"] for row in trials)
        yield {**trials[0], "train_seconds": steps, "beside_seconds": total_beside, "peak_memory_bytes": peak}


def report(path: Path) -> None:
    """Expected beside measured, and the spread of the logarithm of their ratio."""
    speed = measured_cpu()
    ratios: dict[str, list[float]] = {"steps": [], "beside": [], "memory": []}
    print(f"{'config':<58}{'steps s':>16}{'beside s':>16}{'peak MB':>16}   (measured / expected)")
    for row in best_rows(rows_of(path)):
        config = TrialConfig.model_validate(row["config"])
        expected, peak = training_cost(config).seconds(speed), peak_memory_bytes(config, on_card=False)
        pairs = {
            "steps": (row["train_seconds"], expected.steps),
            "beside": (row["beside_seconds"], expected.beside),
            "memory": (row["peak_memory_bytes"] / 1e6, peak / 1e6),
        }
        for name, (measured, predicted) in pairs.items():
            ratios[name].append(math.log(measured / predicted))
        cells = "".join(f"{f'{a:.4g} / {b:.4g}':>16}" for a, b in pairs.values())
        print(f"{label(config):<58}{cells}")
    for name, logs in ratios.items():
        logs.sort()
        low, high = logs[len(logs) // 20], logs[-1 - len(logs) // 20]
        print(
            f"{name}: {len(logs)} configs, median ratio {math.exp(statistics.median(logs)):.2f}, standard deviation of "
            f"its logarithm {statistics.pstdev(logs):.3f}, nine in ten in {math.exp(low):.2f} to {math.exp(high):.2f}"
        )


def fit(path: Path) -> None:
    """The constants of `speeds.MEASURED_CPU` that fit best: least squares of the logarithm.

    Of one thread and fp32 alone. The rates are drawn a little towards those in use, as few configs tell them apart.
    """
    import numpy as np
    from scipy.optimize import least_squares

    found = []
    for row in best_rows(rows_of(path)):
        config = TrialConfig.model_validate(row["config"])
        if config.num_threads == 1 and config.train.precision == "fp32":
            steps = training_cost(config).steps
            products = (steps.flops, steps.update_flops, steps.bytes_moved, steps.large_bytes, steps.launches)
            found.append((*products, row["train_seconds"]))
    work, used = np.array(found), MEASURED_CPU
    rates = (used.fp32_flops, used.bf16_flops, used.bytes_per_second, used.large_bytes_per_second)
    now = np.array([*(1 / rate for rate in rates), used.seconds_per_launch])

    def of_seconds(logs: np.ndarray) -> np.ndarray:
        return np.concatenate([np.log(work[:, 5] / (work[:, :5] @ (now * np.exp(logs)))), 0.05 * logs])

    best = now * np.exp(least_squares(of_seconds, np.zeros(5)).x)
    names = ("fp32_flops", "bf16_flops (of the update)", "bytes_per_second", "large_bytes_per_second")
    print(*(f"{name} {1 / value:.3g}" for name, value in zip(names, best, strict=False)), sep="\n")
    print(f"seconds_per_launch {best[4]:.3g}")


def label(config: TrialConfig) -> str:
    model, train = config.model, config.train
    parts = f"/{train.micro_batches}" if train.micro_batches > 1 else ""
    threads = " 2 threads" if config.num_threads == 2 else ""
    return (
        f"{config.recipe} {model.family[:5]} {model.num_layers}L{model.dim}d {train.batch_sequences}x"
        f"{train.sequence_tokens}{parts} {config.optimizer.name} {train.precision}{threads}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file of what was measured, a line a trial")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="with the dataset stdlib")
    parser.add_argument("--repeats", type=int, default=2, help="of each config, in turns")
    parser.add_argument("--seconds", type=float, default=2.0, help="in the steps of a trial, at least 8 steps")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--report", action="store_true", help="show what was measured before, and measure nothing")
    parser.add_argument("--fit", action="store_true", help="also show the constants that fit best")
    options = parser.parse_args()
    if not options.report:
        measure_all(options)
    report(options.out)
    if options.fit:
        fit(options.out)


if __name__ == "__main__":
    main()
