"""Are all kinds of devices busy? Trials that need an H100 or an A40, on one H100 and three A40; beside Ray Tune itself.

    python benchmarks/mixed_pool.py                                   # three arms, about eight minutes
    python benchmarks/mixed_pool.py --arms frostline --window 60
    python benchmarks/mixed_pool.py --workload makespan               # how long 26 trials take; about six minutes

A real Ray with four nodes that say they have a card, and trials that sleep; which card a config needs is known only
when the config is. Arms: frostline with its adaptive search (`frostline`) or with a random plan (`plan`); on bare Ray
Tune `OptunaSearch` with two objectives (`optuna`) or random search (`random`).

`--workload window`: a trial takes 8 seconds, three in five configs need the H100, the rest an A40. For 110 seconds from
the first trial on, what completed is counted, and how long each kind was busy. At most 13 trials fit on each card: 52.

`--workload makespan`: half of the configs need the H100, for 6 seconds, the others an A40, for 12. From the first start
to the last end of 26 trials, over the least that is possible with whole trials on that kind of card: the longest, by
kind, of ceil(trials / cards) times the seconds of a trial.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = {"H100": 1, "A40": 3}
LOG = "MIXED_POOL_LOG"  # the file to which trials write when they start and end
WORKLOAD = "MIXED_POOL_WORKLOAD"  # for the workers
MAX_SECONDS = 600.0  # of 26 trials


@dataclasses.dataclass(frozen=True)
class Workload:
    """Trials of 1 to `num_layers` layers: up to `num_layers_h100` they need the H100, beyond an A40."""

    seconds: dict[str, float]
    num_layers_h100: int
    num_layers: int
    num_trials: int
    arms: tuple[str, ...]

    def kind_of(self, num_layers: int) -> str:
        return "H100" if num_layers <= self.num_layers_h100 else "A40"

    def sweep(self, method: str) -> dict[str, Any]:
        """The sweep file."""
        layers: dict[str, list[int]] = {kind: [] for kind in KINDS}
        for number in range(1, self.num_layers + 1):
            layers[self.kind_of(number)].append(number)
        return {
            "name": "mixed_pool",
            "search": {"method": method},
            "early_stopping": {"method": "none"},
            "replicates": {"when": "always"},
            "confirm": {"configs": 0},
            "sentinel": "off",
            "seeds": [1],
            "budget": {"trials": self.num_trials},
            "resources": {"cpus": 1, "gpus": 1},
            "base": {"data": "stdlib", "device": "cpu", "model": {"dim": 32, "num_heads": 2}, "train": {"steps": 10}},
            "space": {
                "model.num_layers": {"choice": list(range(1, self.num_layers + 1))},
                "optimizer.learning_rate": {"log_range": [1e-4, 1e-1]},
            },
            "cases": [
                {"when": {"model.num_layers": numbers}, "space": {"resources.accelerator": {"choice": [kind]}}}
                for kind, numbers in layers.items()
            ],
        }


WORKLOADS = {
    "window": Workload({"H100": 8.0, "A40": 8.0}, 3, 5, 400, ("frostline", "optuna", "random")),
    "makespan": Workload({"H100": 6.0, "A40": 12.0}, 2, 4, 26, ("frostline", "plan", "optuna")),
}


def workload() -> Workload:
    return WORKLOADS[os.environ[WORKLOAD]]


def score(num_layers: int, learning_rate: float) -> tuple[float, int]:
    """A made-up ce and size: no kind of device is better."""
    return 4.0 + abs(math.log10(learning_rate / 0.01)) - 0.1 * num_layers, 20_000 + 8_000 * num_layers


def sleep_as_a_trial(kind: str, name: str) -> None:
    """Write the start, sleep, write the end: short lines, which the system appends whole."""
    began = time.time()
    for event in ("start", "end"):
        with open(os.environ[LOG], "a") as log:
            log.write(
                json.dumps({"event": event, "kind": kind, "trial": name, "start": began, "at": time.time()}) + "\n"
            )
        if event == "start":
            time.sleep(workload().seconds[kind])


def frostline_arm(address: str, folder: Path, data_root: Path, method: str) -> None:
    """`frostline run`, with trials that sleep."""
    import yaml
    from rich.console import Console

    from orchestrator.ray_backend.environment import prepare_ray_environment
    from orchestrator.run_context import RunOptions
    from orchestrator.run_sweep import run_sweep

    prepare_ray_environment(is_embedded=False)
    from orchestrator.ray_backend import driver

    driver.run_job = sleeping_job  # sent to the workers in place of the trainer
    (folder / "mixed_pool.yaml").write_text(yaml.safe_dump(workload().sweep(method), sort_keys=False))
    options = RunOptions(out=folder / "run", data_root=data_root, address=address, canary=False)
    run_sweep(folder / "mixed_pool.yaml", options, Console())


def sleeping_job(job: Any, *, node: str, channel: Any, report: Any, call: Any = None) -> None:
    """As `run_job`: leaves the files of a completed trial."""
    from trainer.result import TrialResult, utc_now

    folder, config = job.folder, job.config
    folder.write_placement(job.placement(node))
    folder.write_config(config)
    began = utc_now()
    sleep_as_a_trial(job.accelerator, job.trial_id)
    ce, size = score(config["model"]["num_layers"], config["optimizer"]["learning_rate"])
    more = {"steps": 10, "started_at": began, "finished_at": utc_now(), "worker": str(os.getpid())}
    done = {
        "ce": ce,
        "artifact_bytes": size,
        "total_bytes": size + 45_000,
        "total_seconds": workload().seconds[job.accelerator],
    }
    TrialResult(status="completed", **done, **more).save(folder.result_file)


def ray_arm(address: str, folder: Path, search: str) -> None:
    """Bare Ray Tune: its OptunaSearch with two objectives, or random search; workers are reused, as in frostline."""
    import ray
    from ray import tune

    ray.init(address=address, log_to_driver=False)
    load = workload()
    layers = tune.choice(list(range(1, load.num_layers + 1)))
    space: dict[str, Any] = {"layers": layers, "lr": tune.loguniform(1e-4, 1e-1)}

    def trial(config: dict[str, Any]) -> None:
        sleep_as_a_trial(load.kind_of(config["layers"]), str(tune.get_context().get_trial_id()))
        ce, size = score(config["layers"], config["lr"])
        tune.report({"ce": ce, "size": size})

    def needs(config: dict[str, Any]) -> Any:
        return tune.PlacementGroupFactory([{"CPU": 1, "GPU": 1, load.kind_of(config["layers"]): 1}])

    options: dict[str, Any] = {"num_samples": load.num_trials, "reuse_actors": True}
    if search == "optuna":
        from ray.tune.search.optuna import OptunaSearch

        options["search_alg"] = OptunaSearch(metric=["ce", "size"], mode=["min", "min"], seed=1)
    tuner = tune.Tuner(
        tune.with_resources(trial, needs),
        param_space=space,
        tune_config=tune.TuneConfig(**options),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    tuner.fit()


def measure(arm: str, window: float | None, data_root: Path) -> str:
    """Run an arm on a cluster of its own, for the window or to its end; what came of it in one line."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "trials.jsonl"
        os.environ[LOG] = str(log)  # before the nodes start: their workers have it
        cluster = Cluster()
        for kind, number in KINDS.items():
            for _ in range(number):
                labels = {"ray.io/accelerator-type": kind}
                cluster.add_node(num_cpus=1, num_gpus=1, labels=labels, resources={kind: 1})
        command = [sys.executable, __file__, "--arm", arm, "--address", cluster.address, "--folder", folder]
        with open(Path(folder) / "arm.log", "wb") as output:
            process = subprocess.Popen(
                [*command, "--data-root", str(data_root)], stdout=output, stderr=output, start_new_session=True
            )
        try:
            began = wait_for_start(log, process, Path(folder) / "arm.log")
            if window is None:
                process.wait(timeout=MAX_SECONDS)
            else:
                time.sleep(max(0.0, began + window + 1 - time.time()))
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            cluster.shutdown()
        events = [json.loads(line) for line in log.read_text().splitlines()]
        return makespan(arm, events) if window is None else summary(arm, events, began, window)


def wait_for_start(log: Path, process: subprocess.Popen[bytes], output: Path) -> float:
    """When the first trial started, in seconds since 1970."""
    while not (log.exists() and log.read_text().count("\n")):
        if process.poll() is not None:
            raise RuntimeError(output.read_text()[-2_000:])
        time.sleep(0.1)
    return float(json.loads(log.read_text().splitlines()[0])["start"])


def summary(arm: str, events: list[dict[str, Any]], began: float, window: float) -> str:
    ends = {one["trial"]: one["at"] for one in events if one["event"] == "end"}
    completed = [one for one in events if one["event"] == "end" and one["at"] <= began + window]
    busy = dict.fromkeys(KINDS, 0.0)
    for one in (one for one in events if one["event"] == "start"):
        end = min(ends.get(one["trial"], began + window), began + window)
        busy[one["kind"]] += max(0.0, end - one["start"])
    shares = ", ".join(f"{kind} busy {busy[kind] / (window * number):.2f}" for kind, number in KINDS.items())
    most = sum(int(window / workload().seconds[kind]) * number for kind, number in KINDS.items())
    return f"{arm}: {len(completed)} of at most {most} trials in {window:.0f} s; {shares}"


def makespan(arm: str, events: list[dict[str, Any]]) -> str:
    ends = [one for one in events if one["event"] == "end"]
    seconds = max(one["at"] for one in ends) - min(one["start"] for one in events)
    nums = {kind: sum(one["kind"] == kind for one in ends) for kind in KINDS}
    bound = max(math.ceil(nums[kind] / number) * workload().seconds[kind] for kind, number in KINDS.items())
    said = ", ".join(f"{number} on {kind}" for kind, number in nums.items())
    return f"{arm}: {len(ends)} trials ({said}) in {seconds:.1f} s, at least {bound:.0f} s: {seconds / bound:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, default="window")
    parser.add_argument("--arms", nargs="+", choices=["frostline", "plan", "optuna", "random"])
    parser.add_argument("--window", type=float, default=110, help="seconds (default: 110)")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="with the dataset stdlib, vocabulary 1024")
    for name in ("--arm", "--address", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm is None:
        os.environ[WORKLOAD] = options.workload
        window = options.window if options.workload == "window" else None
        for arm in options.arms or workload().arms:
            print(measure(arm, window, options.data_root.resolve()), flush=True)
        return
    address, folder = options.address, Path(options.folder)
    arms: dict[str, Callable[[], None]] = {
        "frostline": lambda: frostline_arm(address, folder, options.data_root, "ehvi"),
        "plan": lambda: frostline_arm(address, folder, options.data_root, "random"),
        "optuna": lambda: ray_arm(address, folder, "optuna"),
        "random": lambda: ray_arm(address, folder, "random"),
    }
    arms[options.arm]()


if __name__ == "__main__":
    main()
