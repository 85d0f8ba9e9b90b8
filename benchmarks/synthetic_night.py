"""When and where the trials of `synthetic_run.py` ran, and what that cost: its tables of attempts and nodes."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import pandas as pd

NIGHT_SECONDS = 8 * 3_600
NIGHT_BEGINS = np.datetime64("2026-03-01T20:00:00", "us")
PRICES = {"H100": 2.99, "A40": 0.44}  # US dollars an hour of one GPU
SPEED = {"H100": 1.0, "A40": 0.22}  # of steps
GPUS_A_NODE = 8
LOST_SHARE = 0.02  # of trials whose first attempt ends with its worker


class Night(NamedTuple):
    """Frames in the columns of the tables `attempts` and `nodes`; `trials` has what an attempt says of its trial."""

    attempts: pd.DataFrame
    nodes: pd.DataFrame
    trials: pd.DataFrame


def night_of(seconds: np.ndarray, statuses: np.ndarray, rng: np.random.Generator) -> Night:
    """Every trial in turn on the slot that is free first, on as many machines as the night needs.

    Args:
        seconds: of each trial on an H100; 0 is a trial that was not started. Shape (trials,).
        statuses: that each ended with, shape (trials,).
    """
    kinds = _machines(float(seconds.sum()))
    began = rng.uniform(0, 300, len(kinds)) + np.where(np.arange(len(kinds)) % 4 == 3, NIGHT_SECONDS / 6, 0)
    attempts = _attempts(seconds, kinds, began, rng)
    last = attempts.trial.duplicated(keep="last").to_numpy()
    attempts["outcome"] = np.where(last, "lost", statuses[attempts.trial])
    attempts["num"] = attempts.groupby("trial").cumcount() + 1
    attempts["accelerator"] = np.asarray(kinds)[attempts.machine]
    attempts["device_seconds"] = attempts.end - attempts.begin
    attempts["usd"] = attempts.device_seconds / 3_600 * attempts.accelerator.map(PRICES)
    attempts["usd_lost"] = np.where(last, attempts.usd * rng.uniform(0.02, 0.6, len(attempts)), 0.0)
    nodes = _nodes(attempts, kinds, began)
    for name in ("begin", "end"):
        attempts[f"{'started' if name == 'begin' else 'finished'}_at"] = moments(attempts[name].to_numpy())
    for name in ("node", "host"):
        attempts[name] = nodes[name].to_numpy()[attempts.machine]
    attempts["attempt"], attempts["share"] = np.arange(len(attempts)), 1 / GPUS_A_NODE
    return Night(attempts, nodes, _trials(attempts))


def moments(seconds: np.ndarray) -> pd.Series:
    """Seconds since the night began → times in UTC."""
    return pd.Series(NIGHT_BEGINS + (seconds * 1e6).astype("timedelta64[us]")).dt.tz_localize("UTC")


def _machines(seconds: float) -> list[str]:
    """Kinds of the machines: a quarter of them with H100, and together as fast as the night asks."""
    number = max(2, round(seconds / NIGHT_SECONDS / GPUS_A_NODE / 0.415 * 1.1))
    return ["H100" if index % 4 == 0 else "A40" for index in range(number)]


def _attempts(seconds: np.ndarray, kinds: list[str], began: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    free = [(float(began[machine]), machine, gpu) for machine in range(len(kinds)) for gpu in range(GPUS_A_NODE)]
    heapq.heapify(free)
    num = len(seconds)
    gaps, is_lost, parts = rng.exponential(8, 2 * num), rng.random(num) < LOST_SHARE, rng.uniform(0.1, 0.9, num)
    rows: list[tuple[int, int, int, float, float]] = []
    for trial in np.flatnonzero(seconds):
        for share in (parts[trial], 1.0) if is_lost[trial] else (1.0,):
            at, machine, gpu = heapq.heappop(free)
            start = at + gaps[len(rows) % len(gaps)]
            end = start + seconds[trial] * share / SPEED[kinds[machine]]
            heapq.heappush(free, (end, machine, gpu))
            rows.append((int(trial), machine, gpu, start, end))
    return pd.DataFrame(rows, columns=["trial", "machine", "gpu", "begin", "end"])


def _nodes(attempts: pd.DataFrame, kinds: list[str], began: np.ndarray) -> pd.DataFrame:
    num = len(kinds)
    ended = attempts.groupby("machine").end.max().reindex(range(num)).fillna(attempts.end.max()).to_numpy() + 60
    rate = np.asarray([PRICES[kind] * GPUS_A_NODE for kind in kinds])

    def total(values: pd.Series) -> np.ndarray:
        return np.bincount(attempts.machine, values, minlength=num)

    lost_seconds = total(attempts.usd_lost) / rate * 3_600
    busy_seconds = total(attempts.device_seconds) / GPUS_A_NODE - lost_seconds
    up_seconds = ended - began
    spent = {"usd_trials": busy_seconds, "usd_lost": lost_seconds, "usd_idle": up_seconds - busy_seconds - lost_seconds}
    usd = {name: values * rate / 3_600 for name, values in spent.items()}
    return pd.DataFrame(
        {
            "node": [f"node{index:04d}" for index in range(num)],
            "host": [f"worker-{index}" for index in range(num)],
            "accelerator": kinds,
            "cpus": 64.0,
            "num_gpus": float(GPUS_A_NODE),
            "usd_per_hour": rate,
            "price_from": "prices",
            "joined_at": moments(began),
            "left_at": moments(ended),
            "up_seconds": up_seconds,
            "busy_seconds": busy_seconds,
            "lost_seconds": lost_seconds,
            "idle_seconds": spent["usd_idle"],
            "usd": sum(usd.values()),
            **usd,
        }
    )


def _trials(attempts: pd.DataFrame) -> pd.DataFrame:
    """By trial: where its last attempt was, and what all of them took."""
    found = attempts.groupby("trial")
    last = found.last()
    return pd.DataFrame(
        {
            "accelerator": last.accelerator,
            "node": last.node,
            "host": last.host,
            "worker": last.node + "-" + last.gpu.astype(str),
            "started_at": found.started_at.first(),
            "finished_at": last.finished_at,
            "num_attempts": found.size(),
            "num_resumes": found.size() - 1,
            "device_seconds": found.device_seconds.sum(),
            "usd": found.usd.sum(),
            "train_seconds": 0.93 * last.device_seconds,
            "eval_seconds": 0.04 * last.device_seconds,
            "total_seconds": last.device_seconds,
        }
    )
