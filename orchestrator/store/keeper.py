"""Applies the section `keep` of a sweep to its run folder. Only removes; what a crash leaves, the next call removes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from orchestrator.run_context import RunContext
from orchestrator.scheduling.keep import far_checkpoints, removable_artifacts, to_come
from orchestrator.store.removal import Removed


def keep_after(run: RunContext, row: Mapping[str, Any], under_way: Collection[str]) -> None:
    """Remove what need not stay now that a trial was recorded. `under_way`: ids of trials that wait or run."""
    if row["status"] == "stopped_early":
        _remove_checkpoints(run, under_way, run.removed)
    elif row["status"] == "completed" and run.spec.keep.artifacts == "none":
        run.removed.artifacts(run.folder, [row["trial_id"]])
    else:  # whatever a trial ended as, nothing may be left of its config that is still to come
        keep_artifacts(run, run.removed)


def keep_all(run: RunContext, under_way: Collection[str]) -> Iterator[str]:
    """Bring the folder to what the sweep keeps today, where an earlier call kept more; a line of what was removed."""
    found = Removed()
    keep_artifacts(run, found)
    _remove_checkpoints(run, under_way, found)
    if text := found.text():
        yield f"removed {text} of earlier calls, by {run.spec.keep.text()}"


def keep_artifacts(run: RunContext, removed: Removed) -> None:
    """Remove the artifacts that need not stay; all others are left as they are."""
    if run.spec.keep.artifacts == "all":
        return
    rows, is_over = run.recorder.rows, run.search.end is not None
    coming = to_come(run.spec, run.trials, rows, run.recorder.confirmed, is_over=is_over)
    removed.artifacts(run.folder, removable_artifacts(run.spec, rows, coming))


def _remove_checkpoints(run: RunContext, under_way: Collection[str], removed: Removed) -> None:
    """Of the trials that early stopping ended, keep the checkpoints of those that came nearest to the front."""
    rows = [row for row in run.recorder.rows if row["status"] == "stopped_early"]
    stopped = [row["trial_id"] for row in rows if row["trial_id"] not in under_way]
    removed.checkpoints(run.folder, far_checkpoints(stopped, run.recorder.verdicts, run.spec.keep.checkpoints))
