"""The tables of what a run has cost: attempts at trials, and machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from results.tables.columns import FLOAT, INT, STRING, TIME, WORD, Column, schema_of, table_of

ATTEMPTS: tuple[Column, ...] = (
    Column("sweep", WORD, "", "name of the sweep", 6),
    Column("trial_id", STRING, "", "the trial, as in the table of trials", 6),
    Column("attempt", INT, "", "unique in a run, and growing", 6),
    Column("node", WORD, "", "the cluster's id of the node it ran on", 6),
    Column("host", WORD, "", "host name of that node", 6),
    Column("accelerator", WORD, "", "kind of device", 6),
    Column("share", FLOAT, "", "of the machine that it held: of its GPUs, else of its CPUs", 6),
    Column("started_at", TIME, "UTC", "when it was given its slot", 6),
    Column("finished_at", TIME, "UTC", "when it gave it back; null while it runs", 6),
    Column("outcome", WORD, "", "the status it left the trial in; lost if none, as when its worker died", 6),
    Column("device_seconds", FLOAT, "s", "devices that it held, times how long", 6),
    Column("usd", FLOAT, "US dollars", "price of that; null where the machine has no price", 6),
    Column("usd_lost", FLOAT, "US dollars", "the part of it after the last checkpoint, of an attempt that was lost", 6),
)

NODES: tuple[Column, ...] = (
    Column("sweep", WORD, "", "name of the sweep", 6),
    Column("node", STRING, "", "the cluster's id of the node", 6),
    Column("host", WORD, "", "host name", 6),
    Column("accelerator", WORD, "", "kind of device; CPU where there is none", 6),
    Column("cpus", FLOAT, "", "CPUs for trials", 6),
    Column("num_gpus", FLOAT, "GPUs", "GPUs for trials", 6),
    Column("usd_per_hour", FLOAT, "US dollars", "of the whole machine; null if nobody said", 6),
    Column("price_from", WORD, "", "label of the node, or prices of the sweep file", 6),
    Column("joined_at", TIME, "UTC", "when a driver of this run first saw it", 6),
    Column("left_at", TIME, "UTC", "when it left, or the run ended; null while it is there", 6),
    Column("up_seconds", FLOAT, "s", "it was there, in all calls", 6),
    Column("busy_seconds", FLOAT, "s", "of these, of trials, by the share that they held", 6),
    Column("lost_seconds", FLOAT, "s", "of these, after the last checkpoint of attempts that were lost", 6),
    Column("idle_seconds", FLOAT, "s", "of these, the rest", 6),
    Column("usd", FLOAT, "US dollars", "price of up_seconds: usd_trials + usd_lost + usd_idle, exactly", 6),
    Column("usd_trials", FLOAT, "US dollars", "of busy_seconds", 6),
    Column("usd_lost", FLOAT, "US dollars", "of lost_seconds", 6),
    Column("usd_idle", FLOAT, "US dollars", "of idle_seconds", 6),
)


def attempts_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows by column name → the table of attempts."""
    return table_of(rows, ATTEMPTS)


def nodes_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows by column name → the table of nodes."""
    return table_of(rows, NODES)


def attempts_schema() -> pa.Schema:
    """Schema of the table of attempts."""
    return schema_of(ATTEMPTS)


def nodes_schema() -> pa.Schema:
    """Schema of the table of nodes."""
    return schema_of(NODES)
