"""A world that searches are told of in tests: quick, without noise, and with a known best place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.search.planner import PlannedTrial
from search_spaces.spec import yaml_document
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.artifact.size_bounds import roughly_expected_bytes

# A space with a case, a list of lists, a mapping, and numbers of each kind.
SPACE: dict[str, Any] = {
    "name": "searched",
    "search": {"method": "tpe", "seed": 5},
    "budget": {"trials": 30},
    "replicates": {"when": "always"},
    "base": {"model": {"num_heads": 2, "num_layers": 1}, "train": {"steps": 20}},
    "space": {
        "recipe": {"choice": ["baseline", "selective", "full_adapter"]},
        "model": {"choice": [{"dim": 32}, {"dim": 64}, {"dim": 48, "num_layers": 2}]},
        "optimizer.learning_rate": {"log_range": [1e-4, 1e-1]},
        "train.batch_sequences": {"range": [4, 16]},
        "artifact.matrix_bits": {"choice": [4, 6, 8]},
    },
    "cases": [
        {"when": {"recipe": "selective"}, "space": {"freeze.matrices": {"choice": [["gate"], ["gate", "up"]]}}},
        {"when": {"recipe": "full_adapter"}, "space": {"adapter.rank": {"choice": [2, 4, 8]}}},
    ],
}

# The same on a mixed pool: some recipes need one kind of device, some configs run anywhere.
MIXED: dict[str, Any] = {
    "resources": {"cpus": 1},
    "space": SPACE["space"],
    "cases": [
        {"when": {"recipe": "baseline"}, "space": {"resources.accelerator": {"choice": ["H100", "A40", "any"]}}},
        {
            "when": {"recipe": "selective"},
            "space": {**SPACE["cases"][0]["space"], "resources.accelerator": {"choice": ["A40"]}},
        },
        {
            "when": {"recipe": "full_adapter"},
            "space": {**SPACE["cases"][1]["space"], "resources.accelerator": {"choice": ["H100"]}},
        },
    ],
}


def load(folder: Path, values: Mapping[str, Any]) -> SweepSpec:
    """A spec of plain values, by way of a file."""
    path = folder / "sweep.yaml"
    path.write_text(yaml_document.dump(dict(values)), encoding="utf-8")
    return load_sweep(path)


def with_method(method: str, **changes: Any) -> dict[str, Any]:
    """The space above for one method; the keys of `changes` are replaced."""
    values = {**SPACE, **changes}
    search = {key: value for key, value in {**values["search"], "method": method}.items()}
    if method == "grid":
        search = {"method": "grid"}
        listed = {"optimizer.learning_rate": {"choice": [1e-3, 1e-2]}, "train.batch_sequences": {"choice": [8]}}
        values["space"] = {**values["space"], **listed}
    return {**values, "search": search}


def row_of(trial: PlannedTrial, **changes: Any) -> dict[str, Any]:
    """What the table would say of a trial: best at a learning rate of 0.01, and the better the more it learns."""
    size = roughly_expected_bytes(trial.config)
    off = math.log10(trial.config.optimizer.learning_rate / 0.01)
    ce = 6.0 - 0.3 * math.log(size / 10_000) + off * off
    row = {"trial_id": trial.trial_id, "status": "completed", "ce": ce, "bpb": ce / 3, "artifact_bytes": size}
    more = {"total_bytes": size + 45_000, "tokens_per_s": 1000.0, "total_seconds": 2.0, "finished_at": trial.trial_id}
    return {**row, **more, **changes}
