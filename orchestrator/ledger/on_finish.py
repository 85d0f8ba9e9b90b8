"""Runs the command of `on_finish`, once, when a sweep ends by itself."""

from __future__ import annotations

import os
import subprocess

from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.run_context import RunContext
from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.sections.budget import End, OnFinishConfig

LOG_NAME = "on_finish.log"
SECONDS_TO_RUN = 600.0
PREFIX = "FROSTLINE_"


def end_of(status: SweepStatus, limit: str | None) -> End | None:
    """How a sweep ended; None of one that a user ended. `limit`: of the budget that was used up, if one was."""
    if status.num_finished >= status.num_trials and not status.counts["deadline"]:
        return "finished"
    if status.stop_kind == "interrupt":
        return None
    if status.stop_kind == "budget":
        return "budget" if limit == "usd" else "deadline"
    if status.stop_kind is not None or status.pauses:
        return "failed"
    return "failed"


def end_so_far(run: RunContext) -> End | None:
    """How a run has ended, when its driver has come to the end of its work; None if its user ended it."""
    reached = run.timed.reached
    return end_of(run.status, None if reached is None else reached.limit)


def finish(run: RunContext, end: End | None) -> None:
    """Run the command if this end is one that it is for, and it has not run since a driver was last at work."""
    config, ledger = run.spec.on_finish, run.books.ledger
    if config is None or end is None or end not in config.ends or not ledger.has_begun or ledger.finished is not None:
        return
    if run.remote is not None:  # first: the command may stop this machine
        problem = run.remote.send_the_rest(run.display.note)
        if problem is not None:  # nor is it this driver's to stop machines where another one has the run
            run.display.note(f"on_finish ({end}) is not run: {problem}")
            return
    run.books.finish(end)
    run.display.note(run_command(config, end, run.folder, run.books.spent_usd))


def run_command(config: OnFinishConfig, end: End, folder: RunFolder, spent_usd: float) -> str:
    """Run it and keep what it says in the run folder; how it ended, in one line. It gets ten minutes."""
    facts = {"END": end, "RUN": folder.shown, "RUN_FOLDER": str(folder.root), "USD": f"{spent_usd:.6f}"}
    environment = {**os.environ, **{PREFIX + name: value for name, value in facts.items()}}
    path = folder.root / LOG_NAME
    try:
        with path.open("ab") as log:
            done = subprocess.run(
                config.command,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=SECONDS_TO_RUN,
            )
        how = f"exit code {done.returncode}"
    except (OSError, subprocess.SubprocessError) as error:
        how = str(error)
    return f"on_finish ({end}): {' '.join(config.command)}: {how}; what it said is in {folder.shown}/{LOG_NAME}"
