"""The table of configs: what the trials of each say together, and what may be claimed. For pandas."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from results.analysis.claims import Claim
from results.analysis.objectives import read_goals
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.replicate_groups import Group
from results.analysis.statistics import Estimate
from results.files import write_atomically
from results.tables.columns import BOOL, FLOAT, INT, STRING, described
from results.tables.config_columns import CONFIGS
from results.tables.load import Tables

FILE_NAME = "configs.parquet"


def configs_frame(tables: Tables) -> pd.DataFrame:
    """One row per config with a score, best first; the objectives and limits are those of the runs' `sweep.yaml`.

    Columns: SCHEMA.md. Where an objective depends on the device, a config has a row, and a rank, for each accelerator.

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
    table = pa.Table.from_pandas(frame_of(info), preserve_index=False)
    pq.write_table(table.cast(described(table.schema, CONFIGS)), content)
    write_atomically(path, content.getvalue())
    return path


_PANDAS_TYPES = {STRING: "string", INT: "Int64", FLOAT: "float64", BOOL: "boolean"}
# Columns and their types: a table without a row has them too.
COLUMNS: dict[str, str] = {column.name: _PANDAS_TYPES[column.type] for column in CONFIGS}


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
