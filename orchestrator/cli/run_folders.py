"""What the argument RUN of a command stands for: a run folder, or a run in an object store."""

from __future__ import annotations

from pathlib import Path

from results.object_store import is_uri


def readable_folder(run: str, to: Path | None = None) -> Path:
    """The run's folder, or a copy of a run in an object store without its trials.

    Args:
        to: where that copy is to lie; by default it is removed at the end.

    Raises:
        UsageError: if there is no such run in the store, or it does not answer.
    """
    if not is_uri(run):
        return Path(run)
    from orchestrator.errors import UsageError
    from results.errors import ResultsError
    from results.object_store import fetch_run

    try:
        return fetch_run(run, to)
    except ResultsError as error:
        raise UsageError(str(error)) from None


def driven_folder(run: str) -> Path:
    """The folder that the driver of a run works in on this machine.

    Raises:
        UsageError: if the run lies in an object store, and no driver of this machine has worked on it.
    """
    if not is_uri(run):
        return Path(run)
    from orchestrator.errors import UsageError
    from orchestrator.store.remote.remote_run import is_newest_copy, local_copy

    if not is_newest_copy(run):
        raise UsageError(f"{run} is not driven from this machine: give this command where its driver runs")
    return local_copy(run)


def local_folder(run: str) -> Path:
    """The run's folder, for commands that read trials. Raises UsageError for a run in an object store."""
    if not is_uri(run):
        return Path(run)
    from orchestrator.errors import UsageError

    raise UsageError(
        f"{run} is in an object store, and this command reads trials: copy the run to a local folder first"
    )
