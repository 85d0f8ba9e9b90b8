"""What one terminal asks of a run that another one drives: to end it or a trial, or to go on with trials that ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.early_stopping.stop_log import StopLog
from orchestrator.errors import UsageError
from orchestrator.store.requests import Request
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.trial_folder import TO_RETRY
from trainer.errors import Busy
from trainer.locks import sole_owner

SECONDS_TO_WAIT = 30.0
RETRIED = "asked for by frostline retry"


def stop_sweep(root: Path, trial: str | None, reason: str) -> str:
    """What was asked for, in one line.

    Raises:
        UsageError: if there is no such run or trial, if the trial is finished, or if no driver is at work or answers.
    """
    folder = _run_folder(root)
    trial_id = None if trial is None else _trial_id(folder, trial)
    if trial_id is not None and (result := folder.trial(trial_id).result()) is not None:
        raise UsageError(f"{trial_id} is finished already: {result.status}")
    if _is_idle(folder):
        raise UsageError(f"nothing runs in {root}: no driver is at work there")
    _ask(folder, Request(trial_id, reason))
    if trial_id is None:
        return f"{root}: no more trials start, and running ones end at their checkpoints"
    return f"{trial_id}: ends at its checkpoint, with the status stopped_early, unless it is at its end already"


def retry_trials(root: Path, trials: Sequence[str]) -> list[str]:
    """Let trials that were stopped early or failed go on: now if a driver is at work, else with the next call.

    They are not stopped again.

    Returns:
        A line for each trial.

    Raises:
        UsageError: before anything is changed, if there is no such run or trial, or if a trial is in no such state.
    """
    folder = _run_folder(root)
    found = {trial_id: _status_to_retry(folder, trial_id) for trial_id in [_trial_id(folder, one) for one in trials]}
    try:
        with sole_owner(folder.root):
            log = StopLog(folder.early_stopping_file)
            for trial_id in found:
                log.spare(trial_id, RETRIED)
                folder.trial(trial_id).reopen()
        when = "the next frostline run goes on with it"
    except Busy:
        for trial_id in found:
            _ask(folder, Request(trial_id, RETRIED, "retry"))
        when = "it goes on as soon as a slot is free"
    return [f"{trial_id} was {status}: {when}" for trial_id, status in found.items()]


def _status_to_retry(folder: RunFolder, trial_id: str) -> str:
    trial = folder.trial(trial_id)
    outcome = trial.result() or trial.state()
    status = "not begun" if outcome is None else outcome.status
    if status not in TO_RETRY:
        raise UsageError(f"{trial_id} is {status}: only what is {' or '.join(TO_RETRY)} can be retried")
    return status


def _run_folder(root: Path) -> RunFolder:
    folder = RunFolder(root.resolve())
    if not folder.sweep_file.exists():
        raise UsageError(f"{root} is no run folder: it holds no sweep.yaml")
    return folder


def _trial_id(folder: RunFolder, wanted: str) -> str:
    # planned ones, and what a search has chosen since
    known: list[str] = sorted(
        {*(folder.versions.planned() or ()), *(path.name for path in folder.root.glob("trials/*"))}
    )
    found = [trial_id for trial_id in known if trial_id.startswith(wanted)]
    if wanted in found:
        found = [wanted]
    if len(found) != 1:
        some = ", ".join((found or known)[:5])
        raise UsageError(f"{folder.root} has {len(found)} trials whose id begins with {wanted}; there are: {some}, …")
    [trial_id] = found
    return trial_id


def _ask(folder: RunFolder, request: Request) -> None:
    """Ask the driver at work, and wait until it has taken note."""
    path = folder.requests.add(request)
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while path.exists():
        if time.monotonic() > deadline:
            path.unlink(missing_ok=True)
            raise UsageError(f"the driver of {folder.root} did not take the request in {SECONDS_TO_WAIT:.0f} s")
        time.sleep(0.1)


def _is_idle(folder: RunFolder) -> bool:
    try:
        with sole_owner(folder.root):
            return True
    except Busy:
        return False
