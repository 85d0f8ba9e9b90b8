"""The tables `attempts` and `nodes` of a run, made from its account."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from orchestrator.ledger.events import MICRO_USD, MICROSECONDS
from orchestrator.ledger.ledger import Attempt, Lease, Ledger, totals_of
from orchestrator.store.run_folder import RunFolder
from results.tables.account import attempts_table, nodes_table
from trainer.files import replacing


def write_tables(folder: RunFolder, sweep: str, ledger: Ledger, now: int) -> None:
    """Write both tables whole. `now`: microseconds since 1970, for what is still going on."""
    attempts = [_attempt_row(one, sweep, now) for one in ledger.attempts.values()]
    by_node: dict[str, list[Attempt]] = {}
    for attempt in ledger.attempts.values():
        by_node.setdefault(attempt.start.node, []).append(attempt)
    nodes = [_node_row(lease, by_node.get(node, []), sweep, now) for node, lease in ledger.leases.items()]
    for name, table in (("attempts", attempts_table(attempts)), ("nodes", nodes_table(nodes))):
        with replacing(folder.tables / name / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary)


def _attempt_row(attempt: Attempt, sweep: str, now: int) -> dict[str, Any]:
    is_priced = attempt.machine.micro_usd_per_hour is not None
    return {
        "sweep": sweep,
        "trial_id": attempt.start.trial_id,
        "attempt": attempt.start.attempt,
        "node": attempt.start.node,
        "host": attempt.machine.host,
        "accelerator": attempt.machine.accelerator,
        "share": attempt.start.millionths / 1_000_000,
        "started_at": _moment(attempt.begin),
        "finished_at": None if attempt.end is None else _moment(attempt.end),
        "outcome": attempt.outcome,
        "device_seconds": attempt.device_seconds(now),
        "usd": attempt.micro_usd(now) / MICRO_USD if is_priced else None,
        "usd_lost": attempt.lost_micro_usd(now) / MICRO_USD if is_priced else None,
    }


def _node_row(lease: Lease, attempts: list[Attempt], sweep: str, now: int) -> dict[str, Any]:
    totals, rate = totals_of([lease], attempts, now), lease.machine.micro_usd_per_hour
    spans = [span for _, span in lease.spans]
    lost = sum(_lost_seconds(one) * one.start.millionths / 1_000_000 for one in attempts)
    used = sum(one.microseconds(now) * one.start.millionths / 1_000_000 for one in attempts) / MICROSECONDS
    up = lease.microseconds(now) / MICROSECONDS
    money = {"usd": totals.machines, "usd_trials": totals.trials, "usd_lost": totals.lost, "usd_idle": totals.idle}
    return {
        "sweep": sweep,
        "node": lease.machine.node,
        "host": lease.machine.host,
        "accelerator": lease.machine.accelerator,
        "cpus": lease.machine.cpus,
        "num_gpus": lease.machine.gpus,
        "usd_per_hour": None if rate is None else rate / MICRO_USD,
        "price_from": lease.machine.price_from,
        "joined_at": _moment(min([start for start, _ in spans] + ([] if lease.since is None else [lease.since]))),
        "left_at": None if lease.since is not None else _moment(max(end for _, end in spans)),
        "up_seconds": up,
        "busy_seconds": used - lost,
        "lost_seconds": lost,
        "idle_seconds": up - used,
        **{name: None if rate is None else micro_usd / MICRO_USD for name, micro_usd in money.items()},
    }


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC)


def _lost_seconds(attempt: Attempt) -> float:
    if attempt.lost_from is None or attempt.end is None:
        return 0.0
    return (attempt.end - max(attempt.begin, attempt.lost_from)) / MICROSECONDS
