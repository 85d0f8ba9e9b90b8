"""Rows of the tables of attempts and nodes, as the account of a run would write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from trial_builder import make_tables

from results.tables import account
from results.tables.load import Tables

BEGIN = datetime(2026, 1, 1, 22, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A moment of the night, which begins at 22:00 UTC."""
    return BEGIN + timedelta(seconds=seconds)


def make_attempt(trial_id: str, begin: float, end: float | None, number: int = 1, **changes: Any) -> dict[str, Any]:
    """An attempt on the whole of the machine `n1`, at a dollar an hour; times in seconds of the night."""
    seconds = (end if end is not None else begin) - begin
    return {
        "sweep": "demo",
        "trial_id": trial_id,
        "attempt": number,
        "node": "n1",
        "host": "host",
        "accelerator": "H100",
        "share": 1.0,
        "started_at": at(begin),
        "finished_at": None if end is None else at(end),
        "outcome": "completed",
        "device_seconds": seconds,
        "usd": int(seconds * 1e6 // 3600) / 1e6,
        "usd_lost": 0.0,
        **changes,
    }


def make_node(begin: float, end: float | None, node: str = "n1", **changes: Any) -> dict[str, Any]:
    """A machine with one GPU at a dollar an hour."""
    seconds = (end if end is not None else begin) - begin
    return {
        "sweep": "demo",
        "node": node,
        "host": "host",
        "accelerator": "H100",
        "cpus": 8.0,
        "num_gpus": 1.0,
        "usd_per_hour": 1.0,
        "joined_at": at(begin),
        "left_at": None if end is None else at(end),
        "up_seconds": seconds,
        "lost_seconds": 0.0,
        "usd": int(seconds * 1e6 // 3600) / 1e6,
        **changes,
    }


def with_account(
    trials: Iterable[Mapping[str, Any]], attempts: Iterable[Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]]
) -> Tables:
    """Tables in memory, through the schemas."""
    found = make_tables(trials)
    return Tables(
        trials=found.trials,
        curves=found.curves,
        attempts=account.attempts_table(attempts).to_pandas(),
        nodes=account.nodes_table(nodes).to_pandas(),
    )
