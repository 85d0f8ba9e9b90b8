"""The table of configs: what the trials of each say together, and what may be claimed. For pandas."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from results.analysis.claims import Claim
from results.analysis.objectives import read_goals
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.replicate_groups import Group
from results.analysis.statistics import Estimate
from results.files import write_atomically
from results.tables.load import Tables

FILE_NAME = "configs.parquet"


def configs_frame(tables: Tables) -> pd.DataFrame:
    """One row per config with a score, best first; the objectives and limits are those of the runs' `sweep.yaml`.

    Columns: `config_id, label, recipe, data, accelerator` (only where an objective depends on the device: then a config
    has a row, and a rank, for each), `num_seeds, ce, ce_half_width, bpb, artifact_bytes, feasible, rank,
    on_front, front_probability`; of what was confirmed `ce_test, ce_test_half_width, num_fresh_seeds`; and of claims
    `claim_against` (config_id), `claim_difference, claim_half_width, claim_p` (by Holm) and `claim_decided`. Half
    widths are of 95 % intervals. With bpb as an objective `ce_test` and the differences are in bits per byte.

    Raises:
        ResultsError: if the runs have other objectives or limits.
    """
    goals = read_goals(tables.folders)
    return frame_of(pareto_info(tables, goals.objectives, goals.constraints))


def frame_of(info: ParetoInfo) -> pd.DataFrame:
    """See `configs_frame`."""
    claims = {claim.config_id: claim for claim in info.claims}
    rows = [
        {**_row(group, claims.get(group.config_id)), "accelerator": group.kind if info.kinds else None}
        for group in info.groups
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def write_configs(folder: Path, info: ParetoInfo) -> Path:
    """Write the table beside those of trials and curves, whole or not at all; its path."""
    path, content = folder / "tables" / FILE_NAME, io.BytesIO()
    frame_of(info).to_parquet(content, index=False)
    write_atomically(path, content.getvalue())
    return path


# Columns and their types: a table without a row has them too.
COLUMNS: dict[str, str] = {
    **dict.fromkeys(("config_id", "label", "recipe", "data", "accelerator"), "string"),
    "num_seeds": "Int64",
    **dict.fromkeys(("ce", "ce_half_width", "bpb"), "float64"),
    "artifact_bytes": "Int64",
    "feasible": "boolean",
    "rank": "Int64",
    "on_front": "boolean",
    **dict.fromkeys(("front_probability", "ce_test", "ce_test_half_width"), "float64"),
    "num_fresh_seeds": "Int64",
    "claim_against": "string",
    **dict.fromkeys(("claim_difference", "claim_half_width", "claim_p"), "float64"),
    "claim_decided": "boolean",
}


def _row(group: Group, claim: Claim | None) -> dict[str, Any]:
    ce, bpb = group.ce, group.estimates.get("bpb")
    test = group.confirmed.test if group.confirmed else None
    difference = claim.test.difference if claim and claim.test else None
    return {
        "config_id": group.config_id,
        "label": group.label,
        "recipe": group.recipe,
        "data": group.data,
        "num_seeds": ce.num,
        "ce": ce.mean,
        "ce_half_width": ce.half_width,
        "bpb": _mean(bpb),
        "artifact_bytes": group.artifact_bytes,
        "feasible": group.feasible,
        "rank": group.rank,
        "on_front": group.on_front,
        "front_probability": group.front_probability,
        "ce_test": _mean(test),
        "ce_test_half_width": test.half_width if test else None,
        "num_fresh_seeds": test.num if test else None,
        "claim_against": claim.against if claim else None,
        "claim_difference": _mean(difference),
        "claim_half_width": difference.half_width if difference else None,
        "claim_p": claim.p_value if claim else None,
        "claim_decided": claim.is_decided if claim else None,
    }


def _mean(found: Estimate | None) -> float | None:
    return found.mean if found else None
