"""Where a worker runs a trial: in the run folder if it sees it, else in a scratch folder that is kept equal to it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from orchestrator.repeating import repeating
from orchestrator.store.dataset_copy import Wanted, Watch, local_data_root
from orchestrator.store.file_server import Call, ServedStore
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.trial_folder import TrialFolder
from orchestrator.store.trial_sync import SECONDS_BETWEEN_SENDS, TrialSync
from trainer.errors import Busy
from trainer.files import write_atomically
from trainer.locks import sole_owner

CACHE_VARIABLE = "FROSTLINE_CACHE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSource:
    """What a worker must know to find a trial's files.

    Args:
        session: of the driver; a run folder that holds the same is the driver's own, see `begin_session`.
        attempt: grows with every attempt at a trial.
    """

    run_folder: Path
    data_root: Path
    session: str
    attempt: int
    trial_id: str
    data: str
    data_sha256: str
    data_from: str | None = None  # see `Wanted`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workplace:
    """The folders in which a trial runs."""

    folder: TrialFolder
    data_root: Path
    is_shared: bool  # with the driver: nothing has to be sent


def begin_session(run_folder: Path) -> str:
    """Mark a run folder as the one of this driver, so that workers can tell whether they see it."""
    session = uuid.uuid4().hex
    write_atomically(_session_file(run_folder), session.encode())
    return session


def sees_run_folder(run_folder: Path, session: str) -> bool:
    """Whether this machine sees the folder that a driver has marked, and may write there."""
    try:
        return _session_file(run_folder).read_text() == session and os.access(run_folder, os.W_OK)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def workplace(source: FileSource, call: Call | None, watch: Watch) -> Iterator[Workplace]:
    """Folders for one attempt at a trial; when the block ends, all that it left is in the run folder.

    Args:
        call: reaches the file server beside the driver; None where every worker sees the run folder.

    Raises:
        TransferError: if the driver does not answer. What was not sent is lost.
        RunFolderFault: if the disk of the run folder is at fault.
        Superseded: if another attempt has begun since.
        DataError: if the data that came are not those of the sweep.
        CopyEnded: if the worker is told to end before the trial has begun.
    """
    folder = RunFolder(source.run_folder).trial(source.trial_id)
    if call is None:
        yield Workplace(folder=folder, data_root=source.data_root, is_shared=True)
        return
    cache, store = cache_folder(), ServedStore(call, source.attempt)
    store.claim(source.trial_id)
    wanted = Wanted(
        name=source.data,
        sha256=source.data_sha256,
        data_root=source.data_root,
        cache=cache,
        data_from=source.data_from,
    )
    data_root = local_data_root(wanted, store, watch)
    if sees_run_folder(source.run_folder, source.session):
        yield Workplace(folder=folder, data_root=data_root, is_shared=True)
        return
    _remove_left_folders(cache / "scratch")
    scratch = cache / "scratch" / f"{source.session}-{source.attempt}"
    with sole_owner(scratch):  # until all is sent: others remove what nobody owns
        sync = TrialSync(store, TrialFolder(scratch / source.trial_id))
        sync.fetch()
        try:
            with repeating(sync.send_changes, SECONDS_BETWEEN_SENDS):
                yield Workplace(folder=sync.files, data_root=data_root, is_shared=False)
            sync.finish()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def cache_folder() -> Path:
    """Where a worker keeps data and scratch folders: `FROSTLINE_CACHE`, else `~/.cache/frostline`."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "frostline")


def _session_file(run_folder: Path) -> Path:
    return run_folder / ".session"


def _remove_left_folders(scratch: Path) -> None:
    """Remove what workers have left when they were killed."""
    for folder in scratch.glob("*/"):
        with contextlib.suppress(Busy, OSError), sole_owner(folder):
            shutil.rmtree(folder, ignore_errors=True)
