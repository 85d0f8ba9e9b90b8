"""A builder of synthetic tables: rows as the recorder would write them, through the schema."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from results.tables import load, schema

Row = dict[str, Any]

SHA = "d" * 64
CODE_BYTES = 40_000

_CONFIG: dict[str, Any] = {
    "device": "auto",
    "num_threads": 1,
    "model": {
        "family": "study",
        "vocab_size": 1024,
        "num_layers": 6,
        "dim": 192,
        "num_heads": 6,
        "num_kv_heads": None,
        "mlp": "geglu",
        "dropout": 0.0,
        "linear_std": 0.02,
    },
    "freeze": None,
    "optimizer": {"name": "adamw", "learning_rate": 3e-4},
    "schedule": {"name": "cosine"},
    "train": {"steps": 300, "sequence_tokens": 256, "precision": "fp32", "compile": None},
    "eval": {"tokens": None},
    "artifact": {"matrix_bits": 8, "embedding_bits": 8, "codec": "auto"},
}


def make_trial(
    recipe: str = "baseline", layers: int = 6, dim: int = 192, seed: int = 1, ce: float | None = 3.2, **changes: Any
) -> Row:
    """One completed trial; `changes` replace columns. The config_id follows recipe, shape and changed cfg_* columns."""
    row: Row = schema.flatten_config(_CONFIG)
    row |= {"cfg_model_num_layers": layers, "cfg_model_dim": dim}
    if recipe == "selective":
        row |= {"cfg_freeze_matrices": "gate,up", "cfg_freeze_layers": "all", "cfg_freeze_scheme": "normal"}
    settings = {key: value for key, value in changes.items() if key.startswith("cfg_")}
    config_id = f"{recipe}-{layers}-{dim}-{settings}" if settings else f"{recipe}-{layers}-{dim}"
    num_params = 12 * layers * dim**2
    row |= {
        "sweep": "demo",
        "trial_id": f"{config_id}-s{seed}",
        "config_id": config_id,
        "seed": seed,
        "recipe": recipe,
        "data": "stdlib",
        "data_sha256": SHA,
        "status": "completed",
        "accelerator": "CPU",
        "device": "cpu",
        "device_name": "test processor",
        "torch_version": "2.9.0",
        "ce": ce,
        "bpb": ce / 2.4 / math.log(2) if ce is not None else None,
        "eval_tokens": 100_000,
        "eval_bytes": 240_000,
        "code_bytes": CODE_BYTES,
        "artifact_bytes": int(num_params * (0.57 if recipe == "selective" else 0.9)) + seed % 10,
        "tokens_per_s": 10_000.0,
        "started_at": "2025-01-02T03:04:05+00:00",
        "finished_at": "2025-01-02T03:05:05Z",
        **changes,
    }
    size = row["artifact_bytes"]
    return {"total_bytes": None if size is None else size + CODE_BYTES, **row}


def make_curve(trial: Mapping[str, Any], points: int = 20) -> list[Row]:
    """A curve that falls towards the trial's CE, with a validation score every fifth point."""
    return [
        {
            "sweep": trial["sweep"],
            "trial_id": trial["trial_id"],
            "seed": trial["seed"],
            "step": 15 * (i + 1),
            "tokens": 15 * (i + 1) * 64 * 256,
            "train_ce": trial["ce"] + 3 * math.exp(-4 * i / points) + 0.02 * math.sin(7 * i + trial["seed"]),
            "val_ce": trial["ce"] + 3 * math.exp(-4 * i / points) if i % 5 == 4 else math.nan,
            "learning_rate": 3e-4,
            "train_seconds": float(i),
        }
        for i in range(points)
    ]


def quickstart_trials() -> list[Row]:
    """Two recipes, three sizes, two seeds: what `make quickstart` leaves."""
    return [
        make_trial(
            recipe, layers, dim, seed, 4.4 - 0.25 * layers + (0.03 if recipe == "selective" else 0) + 0.01 * seed
        )
        for recipe in ("baseline", "selective")
        for layers, dim in ((2, 64), (3, 96), (4, 128))
        for seed in (1, 2)
    ]


def make_tables(trials: Iterable[Mapping[str, Any]], curves: Iterable[Mapping[str, Any]] = ()) -> load.Tables:
    """Tables in memory, through the schema."""
    return load.from_arrow(schema.trials_table(trials), schema.curves_table(curves))


def write_fragment(folder: Path, trials: Iterable[Mapping[str, Any]], number: int = 0) -> Path:
    """A fragment as the recorder names it."""
    path = folder / "tables" / "trials" / f"trials-{number:06d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(schema.trials_table(trials), path)
    return path


def write_run(folder: Path, trials: list[Row], curves: list[Row] | None = None, sweep: str = "") -> Path:
    """A run folder from rows: one fragment per five trials."""
    for number, start in enumerate(range(0, len(trials), 5)):
        write_fragment(folder, trials[start : start + 5], number)
    if curves:
        (folder / "tables" / "curves").mkdir(parents=True)
        pq.write_table(schema.curves_table(curves), folder / "tables" / "curves" / "curves-000000.parquet")
    if sweep:
        (folder / "sweep.yaml").write_text(sweep)
    return folder
