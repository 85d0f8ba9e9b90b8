"""Sweeps small enough for tests, on the dataset `tiny`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec


def write_sweep(folder: Path, **changes: Any) -> Path:
    """A sweep file of 2 recipes and 2 seeds; top-level keys may be replaced, `train` and `model` are merged."""
    train = {"steps": 20, "sequence_tokens": 32, "batch_sequences": 4, "checkpoint_every_seconds": 0.2}
    values: dict[str, Any] = {
        "name": "tiny-sweep",
        "seeds": [1, 2],
        "resources": {"accelerator": "any", "cpus": 1},
        "base": {
            "data": "tiny",
            "model": {"vocab_size": 512, "num_layers": 1, "dim": 32, "num_heads": 2, **changes.pop("model", {})},
            "train": {**train, **changes.pop("train", {})},
            "eval": {"tokens": 512},
            "artifact": {"codec": "zlib"},
        },
        "space": {"recipe": {"choice": ["baseline", "selective"]}},
        **changes,
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def tiny_sweep(folder: Path, **changes: Any) -> SweepSpec:
    return load_sweep(write_sweep(folder, **changes))
