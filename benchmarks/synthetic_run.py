"""A run folder of any number of made-up trials: for benchmarks and tests of what reads tables.

    python benchmarks/synthetic_run.py OUT --trials 10000

Nothing in it was trained. It looks like a night of `search_spaces/overnight.yaml` on H100 and A40: cross-entropy falls
with bytes, has a best learning rate, and differs by recipe and by seed; trials stop early, diverge, fail or run out of
memory, attempts are lost.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from synthetic_night import PRICES, moments, night_of

from orchestrator.store.table_files import most_trials, write_table
from results.tables.account import attempts_schema, nodes_schema
from results.tables.schema import curves_schema, flatten_config, trials_schema
from trainer.config.trial import TrialConfig

SWEEP = Path(__file__).parents[1] / "search_spaces" / "overnight.yaml"
NAME = "synthetic"
RECIPES = ("baseline", "selective", "full_adapter")
STEPS = 2_000
TOKENS_A_STEP = 32 * 1_024
CODE_BYTES = 46_000
MOST_BYTES = 16_000_000
STATUS_SHARES = {"diverged": 0.02, "out_of_memory": 0.01, "failed": 0.01, "deadline": 0.002}
ERRORS = {
    "diverged": "the loss is not finite at step {step}",
    "out_of_memory": "CUDA out of memory. Tried to allocate 2.00 GiB",
    "failed": "Traceback (most recent call last):\n  …\nRuntimeError: the worker of step {step} has died",
    "infeasible": "expected at over 2 × the limit total_bytes <= 16,000,000",
    "deadline": "the hours of the budget were used up",
}


def write_synthetic_run(
    folder: Path, num_trials: int, points: int = 100, seed: int = 0, trials_a_file: int | None = None
) -> Path:
    """Write `sweep.yaml` and the tables `trials`, `curves`, `attempts` and `nodes`; the folder.

    Args:
        points: of the curve of a trial that runs to its end.
        trials_a_file: of each file of a table; None: as many as the driver puts into each.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    _write_sweep(folder / "sweep.yaml", num_trials)
    trials, attempts, nodes = _finished_trials(num_trials, rng)
    _write(folder, "attempts", 0, attempts, attempts_schema(), name="attempts.parquet")
    _write(folder, "nodes", 0, nodes, nodes_schema(), name="nodes.parquet")
    start = 0
    for number in itertools.count():
        part = trials.iloc[start : start + (trials_a_file or most_trials(number))]
        if not len(part):
            return folder
        _write(folder, "curves", number, _curves(part, points, rng), curves_schema())
        _write(folder, "trials", number, part, trials_schema())
        start += len(part)


def _write_sweep(path: Path, num_trials: int) -> None:
    spec = yaml.safe_load(SWEEP.read_text())
    spec["name"], spec["prices"] = NAME, dict(PRICES)
    spec["budget"] = {"trials": num_trials, "hours": 10, "usd": num_trials / 5}
    spec["notes"] = "Made up by benchmarks/synthetic_run.py: nothing in it was trained."
    path.write_text(yaml.safe_dump(spec, sort_keys=False))


def _write(folder: Path, table: str, index: int, columns: Any, schema: pa.Schema, name: str = "") -> None:
    path = folder / "tables" / table / (name or f"{table}-{index:06d}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(_table(columns, schema), path)


def _table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Columns by name → a table; a column that is missing is null, and NaN is null but in curves."""
    num = len(columns["sweep"])
    return pa.table([_array(columns.get(field.name), field, num) for field in schema], schema=schema)


def _array(values: Any, field: pa.Field, num: int) -> pa.Array:
    if values is None:
        return pa.nulls(num, field.type)
    if isinstance(values, pa.Array):
        return values
    found = pa.array(values, from_pandas=isinstance(values, pd.Series))
    if pa.types.is_dictionary(field.type):
        return found.cast(pa.string()).dictionary_encode()
    return found.cast(field.type)


def _finished_trials(num_trials: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    num_confirming = min(num_trials // 12, 100) // 10 * 10
    configs = _configs(num_trials, rng)
    trials = _outcomes(configs.loc[_replicates(len(configs), num_trials, rng)].assign(stage="search"), rng)
    if num_confirming:
        confirming = _confirming(trials.iloc[: num_trials - num_confirming], num_confirming, rng)
        trials = pd.concat([trials.iloc[: num_trials - len(confirming)], confirming], ignore_index=True)
    trials["trial_id"] = [
        f"{recipe}-{layers}L{dim}d-s{seed}-{_digest(config, seed)}"
        for recipe, layers, dim, seed, config in zip(
            trials.recipe, trials.layers, trials.dim, trials.seed, trials.config_id, strict=True
        )
    ]
    night = night_of(trials.pop("seconds").to_numpy(), trials.status.to_numpy(), rng)
    trials = trials.join(night.trials)
    trials["finished_at"] = trials.finished_at.fillna(moments(np.zeros(len(trials))))  # those that were not started
    trials["tokens_per_s"] = trials.tokens / trials.train_seconds
    attempts = night.attempts.assign(trial_id=trials.trial_id.to_numpy()[night.attempts.trial], sweep=NAME)
    order = trials.finished_at.argsort(kind="stable")
    return trials.iloc[order], attempts, night.nodes.assign(sweep=NAME)


def _configs(num: int, rng: np.random.Generator) -> pd.DataFrame:
    """Configs in threes of one shape: one of each recipe, most of them with one learning rate, as controls have it."""
    point = np.arange(num) // 3
    layers, dim = rng.choice([4, 6, 8, 9, 10, 12], num)[point], rng.choice([256, 320, 384, 448, 512, 576], num)[point]
    own = rng.random(num) < 0.4
    rates = np.exp(rng.uniform(np.log(0.01), np.log(0.08), num))
    found = pd.DataFrame(
        {
            "recipe": np.asarray(RECIPES)[np.arange(num) % 3],
            "layers": layers,
            "dim": dim,
            "matrix_bits": rng.choice([4, 6, 8], num)[point],
            "variant": rng.integers(0, 3, num),
            "learning_rate": np.round(np.where(own, rates, rates[point]), 5),
        }
    )
    found["config_id"] = [_digest(*row) for row in found.itertuples(index=False)]
    found = found.drop_duplicates("config_id", ignore_index=True)
    return pd.concat([found, _settings(found)], axis=1)


def _settings(configs: pd.DataFrame) -> pd.DataFrame:
    """The columns `cfg_*` of all configs: those of one config of each recipe, and what differs."""
    base = yaml.safe_load(SWEEP.read_text())["base"]
    parts = []
    for (recipe, variant), part in configs.groupby(["recipe", "variant"], sort=False):
        section: dict[str, Any] = {}
        if recipe == "selective":
            section = {"freeze": {"matrices": [["fc"], ["fc", "q"], ["fc", "q", "k"]][variant]}}
        if recipe == "full_adapter":
            section = {"adapter": {"rank": [16, 32, 64][variant]}}
        config = TrialConfig.model_validate({**base, "recipe": recipe, "seed": 1, **section})
        flat = flatten_config(config.model_dump(mode="json"))
        parts.append(pd.DataFrame({name: [value] * len(part) for name, value in flat.items()}, index=part.index))
    found = pd.concat(parts).sort_index()
    return found.assign(
        cfg_model_num_layers=configs.layers,
        cfg_model_dim=configs.dim,
        cfg_artifact_matrix_bits=configs.matrix_bits,
        cfg_optimizer_learning_rate=configs.learning_rate,
    )


def _replicates(num_configs: int, num_trials: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of configs: each once, twice or three times in a row, cut to the number of trials. Shape (trials,)."""
    found = np.repeat(np.arange(num_configs), rng.choice([1, 2, 3], num_configs, p=[0.4, 0.2, 0.4]))
    return found[:num_trials]


def _outcomes(trials: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """What became of trials, from their settings; rows of one config follow each other."""
    trials = trials.assign(sweep=NAME, seed=trials.groupby(level=0).cumcount() + 1)
    trials = trials.reset_index(drop=True).assign(
        data="fineweb10B_sp1024", data_sha256=_digest("data") * 5, accelerator_wanted="any", device="cuda",
        num_gpus=1.0, compiled=True, torch_version="2.9.0", python_version="3.12.3", num_neighbours=0,
        eval_tokens=1_000_000, eval_bytes=2_434_000, code_bytes=CODE_BYTES, steps_planned=STEPS,
    )  # fmt: skip
    blocks = 12 * trials.layers * trials.dim**2
    frozen = blocks * np.select([trials.recipe == "selective", trials.recipe == "full_adapter"], [0.4, 0.8], 0.0)
    trials["num_params_seeded"] = frozen.astype(np.int64)
    trials["num_params_learned"] = (blocks - frozen + 1_024 * trials.dim).astype(np.int64)
    trials["num_params"] = trials.num_params_learned + trials.num_params_seeded
    size = (blocks - frozen) * trials.matrix_bits / 8 * 0.93 + 1_024 * trials.dim * 0.9 + 20_000
    jitter = rng.normal(0, 400, len(trials))
    trials["artifact_bytes"] = np.round(size + jitter)
    trials["status"] = _statuses(trials, size.to_numpy(), rng)
    trials = _scores(trials, size + 0.1 * frozen * trials.matrix_bits / 8, rng)
    share = np.select(
        [trials.status.isin(["completed"]), trials.status == "infeasible"],
        [1.0, 0.0],
        np.where(
            trials.status == "stopped_early", rng.choice([0.125, 0.25, 0.5], len(trials)), rng.random(len(trials))
        ),
    )
    trials["steps"] = np.floor(share * STEPS).astype(np.int64)
    trials["tokens"] = trials.steps * TOKENS_A_STEP
    trials["seconds"] = share * (40 + trials.num_params / 1e6 * 12) * rng.uniform(0.97, 1.05, len(trials))
    return _without_score(trials)


def _statuses(trials: pd.DataFrame, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    names = ["completed", *STATUS_SHARES]
    shares = [1 - sum(STATUS_SHARES.values()), *STATUS_SHARES.values()]
    found = rng.choice(names, len(trials), p=shares).astype(object)
    far = np.abs(np.log(trials.learning_rate / 0.03)) > 0.6
    found = np.where((found == "completed") & far & (rng.random(len(trials)) < 0.7), "stopped_early", found)
    found = np.where((trials.stage == "confirm") & (rng.random(len(trials)) < 0.95), "completed", found)
    return np.where(size + CODE_BYTES > 2 * MOST_BYTES, "infeasible", found)


def _scores(trials: pd.DataFrame, worth: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """Cross-entropies: better with more bytes, with a best learning rate, and other for each recipe and seed."""
    recipe = trials.recipe.map({"baseline": 0.0, "selective": -0.02, "full_adapter": 0.03})
    rate = 0.05 * np.log(trials.learning_rate / 0.03) ** 2
    ce = 1.45 + 1.25 * (worth / 1e6) ** -0.2 + recipe + rate + rng.normal(0, 0.004, len(trials))
    bits = trials.matrix_bits.map({4: 0.05, 6: 0.008, 8: 0.002})
    bpb = (ce + bits) / np.log(2) * 1_000_000 / 2_434_000
    total_bytes = trials.artifact_bytes + CODE_BYTES
    return trials.assign(
        ce=ce + bits, ce_raw=ce, bpb=bpb, train_ce=ce - 0.05, total_bytes=total_bytes,
        feasible=total_bytes <= MOST_BYTES, peak_memory_bytes=np.round(trials.num_params * 16 + 2e9),
    )  # fmt: skip


def _without_score(trials: pd.DataFrame) -> pd.DataFrame:
    """Take from trials that did not complete what only a completed one has."""
    lost = (trials.status != "completed").to_numpy()
    for name in ("ce", "ce_raw", "bpb", "artifact_bytes", "total_bytes"):
        trials.loc[lost, name] = np.nan
    trials["end_ce"] = trials.train_ce
    trials["feasible"] = trials.feasible.astype("boolean").mask(lost)
    steps = trials.steps.astype(str)
    errors = trials.status.map(ERRORS).fillna("")
    trials["error"] = [error.replace("{step}", step) or None for error, step in zip(errors, steps, strict=True)]
    stopped = trials.status == "stopped_early"
    return trials.assign(
        stop_step=trials.steps.where(stopped),
        stop_predicted=trials.end_ce.where(stopped),
        stop_best_case=(trials.end_ce - 0.02).where(stopped),
        stop_band=np.where(stopped, "conformal", None),
        stop_audited=pd.Series(False, trials.index, "boolean").where(stopped),
    )


def _confirming(trials: pd.DataFrame, number: int, rng: np.random.Generator) -> pd.DataFrame:
    """Fresh seeds of the best frozen configs, and of the best learned one near each in bytes: at most `number` rows."""
    means = trials[trials.status == "completed"].groupby("config_id").agg(
        ce=("ce", "mean"), size=("artifact_bytes", "max"), recipe=("recipe", "first")
    )  # fmt: skip
    means = means[means["size"] <= MOST_BYTES].sort_values("size")
    learned, rivals = means[means.recipe == "baseline"], dict[str, str | None]()
    frozen = means[means.recipe != "baseline"]
    for part in np.array_split(np.arange(len(frozen)), number // 10):
        best = frozen.iloc[part].ce.idxmin()
        near = learned[np.abs(np.log(learned["size"] / frozen["size"][best])) < 0.2]
        rivals[best] = near.ce.idxmin() if len(near) else None
    rivals.update({rival: None for rival in list(rivals.values()) if rival is not None})
    rows = trials.drop_duplicates("config_id").set_index("config_id", drop=False).loc[list(rivals)]
    rows = rows.assign(stage="confirm", confirm_against=list(rivals.values())).reset_index(drop=True)
    rows = _outcomes(rows.loc[np.repeat(np.arange(len(rows)), 5)], rng)
    ce_test = rows.ce + 0.01 + rng.normal(0, 0.001, len(rows))
    bpb_test, seeds = ce_test / np.log(2) * 0.41, rows.seed + 100
    return rows.assign(seed=seeds, ce_test=ce_test, bpb_test=bpb_test, test_tokens=500_000)


def _curves(trials: pd.DataFrame, points: int, rng: np.random.Generator) -> dict[str, Any]:
    """Points of curves, columns by name: the loss falls by a power law to its end, and rises where it diverged."""
    counts = np.ceil(trials.steps.to_numpy() / STEPS * points).astype(int)
    which = np.repeat(np.arange(len(trials)), counts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    step = np.minimum(np.round(number * STEPS / points).astype(np.int64), trials.steps.to_numpy()[which])
    share = step / STEPS
    end = trials.end_ce.to_numpy()[which]
    train_ce = end + (6.9 - end) * ((1 + 300 * share) ** -0.75 - 301**-0.75) + rng.normal(0, 0.02, len(which))
    is_last, diverged = number == counts[which], (trials.status == "diverged").to_numpy()[which]
    train_ce = np.where(diverged & (number > counts[which] - 3), train_ce * 3, train_ce)
    rate = trials.learning_rate.to_numpy()[which] * np.minimum(1, np.minimum(step / 20, (STEPS - step) / 800))
    seconds = trials.train_seconds.fillna(0).to_numpy()[which] * step / np.maximum(trials.steps.to_numpy()[which], 1)
    is_look = np.isin(number, np.round(np.asarray([0.125, 0.25, 0.5]) * points))
    return {
        "sweep": pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(which), np.int32)), pa.array([NAME])),
        "trial_id": pa.DictionaryArray.from_arrays(pa.array(which.astype(np.int32)), pa.array(trials.trial_id)),
        "seed": trials.seed.to_numpy()[which],
        "step": step,
        "tokens": step * TOKENS_A_STEP,
        "train_ce": train_ce,
        "val_ce": np.where(is_last, train_ce + 0.05, np.nan),
        "learning_rate": rate,
        "train_seconds": seconds,
        "look_ce": np.where(is_look, train_ce + 0.06, np.nan),
    }


def _digest(*values: Any) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the run folder to write")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100, help="of each curve")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.perf_counter()
    write_synthetic_run(given.out, given.trials, given.points, given.seed)
    print(f"{given.out}: {given.trials} trials in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
