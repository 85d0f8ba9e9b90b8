"""The table of sentinels: one control that every node trains again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from results.tables.columns import FLOAT, STRING, TIME, WORD, Column, schema_of, table_of

SENTINELS: tuple[Column, ...] = (
    Column("sweep", WORD, "", "name of the sweep", 7),
    Column("node", WORD, "", "the cluster's id of the node", 7),
    Column("host", WORD, "", "host name of that node", 7),
    Column("accelerator", WORD, "", "kind of device", 7),
    Column("device_name", WORD, "", "what the device calls itself", 7),
    Column("torch_version", WORD, "", "version of torch it ran with", 7),
    Column("control", WORD, "", "the trial that was trained, with its seed; only equal ones are compared", 7),
    Column("status", WORD, "", "that it ended with; lost if it left none", 7),
    Column("error", STRING, "", "why it did not complete", 7),
    Column("ce", FLOAT, "nats/token", "as in the table of trials", 7),
    Column("tokens_per_s", FLOAT, "tokens/s", "as in the table of trials", 7),
    Column("step_seconds", FLOAT, "s", "median over its steps", 7),
    Column("started_at", TIME, "UTC", "when it was given its slot", 7),
    Column("finished_at", TIME, "UTC", "when it had ended", 7),
    Column("suspect", STRING, "", "what was wrong with the node then; null where nothing was", 7),
    Column("explanation", STRING, "", "what a user said to that; its rows count again", 7),
)


def sentinels_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows by column name → the table of sentinels."""
    return table_of(rows, SENTINELS)


def sentinels_schema() -> pa.Schema:
    """Schema of the table of sentinels."""
    return schema_of(SENTINELS)
