"""Asks the driver of a run to end it, or one of its trials, and waits until it has taken note."""

from __future__ import annotations

import time
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.stop_requests import StopRequest
from trainer.errors import Busy
from trainer.locks import sole_owner

SECONDS_TO_WAIT = 30.0


def stop_sweep(root: Path, trial: str | None, reason: str) -> str:
    """What was asked for, in one line.

    Raises:
        UsageError: if there is no such run or trial, if the trial is finished, or if no driver is at work or answers.
    """
    folder = RunFolder(root.resolve())
    if not folder.sweep_file.exists():
        raise UsageError(f"{root} is no run folder: it holds no sweep.yaml")
    trial_id = None if trial is None else _trial_id(folder, trial)
    if _is_idle(folder):
        raise UsageError(f"nothing runs in {root}: no driver is at work there")
    request = folder.stop_requests.add(StopRequest(trial_id, reason))
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while request.exists():
        if time.monotonic() > deadline:
            request.unlink(missing_ok=True)
            raise UsageError(f"the driver of {root} did not take the request in {SECONDS_TO_WAIT:.0f} s")
        time.sleep(0.1)
    if trial_id is None:
        return f"{root}: no more trials start, and running ones end at their checkpoints"
    return f"{trial_id}: ends at its checkpoint, with the status stopped_early, unless it is at its end already"


def _trial_id(folder: RunFolder, wanted: str) -> str:
    planned = folder.versions.planned() or [path.name for path in folder.root.glob("trials/*")]
    found = [trial_id for trial_id in planned if trial_id.startswith(wanted)]
    if wanted in found:
        found = [wanted]
    if len(found) != 1:
        known = ", ".join((found or planned)[:5])
        raise UsageError(f"{folder.root} has {len(found)} trials whose id begins with {wanted}; there are: {known}, …")
    [trial_id] = found
    if (result := folder.trial(trial_id).result()) is not None:
        raise UsageError(f"{trial_id} is finished already: {result.status}")
    return trial_id


def _is_idle(folder: RunFolder) -> bool:
    try:
        with sole_owner(folder.root):
            return True
    except Busy:
        return False
