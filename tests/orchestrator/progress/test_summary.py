"""The last lines of a call: each trial's dollars stand under what came of that trial."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ledger_nights import H100, HOUR, event, start, stop
from trial_builder import make_trial, write_run

from orchestrator.ledger.ledger import Ledger
from orchestrator.progress.summary import money_lines
from orchestrator.run_context import RunContext


def run_of(folder: Path, rows: list[dict[str, Any]], ledger: Ledger) -> RunContext:
    """A run of the tables and the account alone."""
    write_run(folder, rows)
    found = SimpleNamespace(
        folder=SimpleNamespace(root=folder),
        recorder=SimpleNamespace(rows=rows),
        spec=SimpleNamespace(
            objectives={"ce": "min", "artifact_bytes": "min"}, constraints=["artifact_bytes <= 9_000"]
        ),
        status=SimpleNamespace(counts=Counter(row["status"] for row in rows)),
        books=SimpleNamespace(ledger=ledger),
    )
    return cast(RunContext, found)


def test_each_trial_is_paid_under_its_own_state(tmp_path: Path) -> None:
    """A suspect seed of a front config is not the front, and what is over the limit is not dominated."""
    values: list[dict[str, Any]] = [
        {"config_id": "a", "artifact_bytes": 5_000},
        {"config_id": "a", "artifact_bytes": 5_000, "suspect": "slow"},
        {"config_id": "b", "artifact_bytes": 9_999},
        {"config_id": "c", "artifact_bytes": None, "ce": None, "status": "failed"},
    ]
    rows = [make_trial(trial_id=f"t{i}", seed=i, **one) for i, one in enumerate(values)]
    events = [event("begin", 0), event("join", 0, H100)]
    for i in range(5):  # t4 has no row yet
        events += [start(i, H100, 1.0, i * HOUR, f"t{i}"), stop(i, (i + 1) * HOUR)]
    run = run_of(tmp_path, rows, Ledger([*events, event("leave", 6 * HOUR, node="h")]))
    uses = "front 2.99, on a suspect node 2.99, over a limit 2.99, failed 2.99, not finished 2.99, idle 2.99"
    assert list(money_lines(run)) == [f"spent 17.94 USD: {uses}"]
