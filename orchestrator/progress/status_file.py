"""`status.json` of a run: what a sweep does now, written by its driver every two seconds for `frostline status`."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from orchestrator.ledger.events import MICRO_USD
from orchestrator.progress.running_trial import Running
from orchestrator.run_context import RunContext
from trainer.files import write_atomically

SECONDS_BETWEEN_WRITES = 2.0

# running: a driver is at work; stopped: it ended before all was done; finished: nothing is left to do
State = Literal["running", "stopped", "finished"]


class StatusFile:
    """Writes the file of one run while this driver is at work."""

    def __init__(self, run: RunContext) -> None:
        self.run, self._next_seconds = run, -math.inf

    def write_now_and_then(self) -> None:
        """Call it as often as you like. A disk that is full is no reason to end a sweep."""
        if time.monotonic() >= self._next_seconds:
            self._next_seconds = time.monotonic() + SECONDS_BETWEEN_WRITES
            self.write("running")

    def write(self, state: State) -> None:
        with suppress(OSError):
            write_atomically(self.run.folder.status_file, json.dumps(self.facts(state), indent=1).encode())

    def facts(self, state: State) -> dict[str, Any]:
        """All that is known now, as plain values; times are UTC, seconds and US dollars where the name says so."""
        run, status = self.run, self.run.status
        left = run.timed.reached or run.timed.left()
        now = datetime.now(UTC)
        since = now - timedelta(seconds=time.monotonic() - status.started_seconds)
        front = [status.front.text()] if status.front and status.front.is_shown else []
        return {
            "sweep": run.spec.name,
            "state": state,
            "driver": {"host": platform.node(), "process": os.getpid(), "since": since.isoformat()},
            "updated_at": now.isoformat(),
            "reason": status.stop_reason or ("; ".join(status.pauses) or None),
            "trials": {
                "all": status.num_trials,
                "done": status.num_finished,
                "running": len(status.running),
                "waiting": status.num_waiting,
                **{name: count for name, count in status.counts.items() if count},
            },
            "running": [_running(one) for one in status.running.values()],
            "remaining_seconds": status.remaining_seconds() if state == "running" else None,
            "best": None if status.best is None else {**vars(status.best), "column": status.objective[0]},
            "bests": [{**vars(best), "column": status.objective[0]} for best in status.bests.values()],
            "notes": [*status.details, *front, *status.suspects],
            "spent_usd": run.books.spent_usd or None,
            "usd_per_hour": run.books.usd_per_hour or None,
            "unseen_usd": run.books.ledger.unseen_micro_usd() / MICRO_USD,
            "budget": run.timed.budget.model_dump(exclude_none=True),
            "budget_left_seconds": None if math.isinf(left.seconds) else left.seconds,
            "budget_limit": left.limit,
        }


def _running(one: Running) -> dict[str, Any]:
    ce = None if math.isnan(one.ce) else one.ce
    return {**vars(one), "ce": ce}
