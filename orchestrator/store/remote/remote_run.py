"""A run in an object store: its lock, the local copy that the driver works in, and the sending of what changes."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from orchestrator.errors import MachineError, UsageError
from orchestrator.repeating import repeating
from orchestrator.store.remote.driver_lock import SECONDS_BETWEEN_RENEWALS, DriverLock
from orchestrator.store.remote.object_store import ObjectStore
from orchestrator.store.remote.run_mirror import RunMirror, all_sent, file_clock
from orchestrator.store.run_folder import RunFolder, one_driver
from orchestrator.store.run_store import TransferError, download
from orchestrator.store.workplace import cache_folder
from results.errors import ResultsError
from results.object_store import LOCK_FILE, NUM_AT_ONCE, in_one_line, open_bucket
from trainer.files import write_atomically
from trainer.trial_files import TrialFiles

SECONDS_BETWEEN_PASSES = 5.0
SECONDS_TO_SEND_THE_REST = 180.0  # at the end, to a store that does not answer
SECONDS_TO_SEND_AFTER_AN_ERROR = 20.0
COPY_FILE = ".copy"  # the id of a local copy; there when it is whole


class RemoteRun:
    """The run as the driver sees it: a folder, and what becomes of the sending."""

    def __init__(self, folder: RunFolder, mirror: RunMirror) -> None:
        self.folder, self.mirror = folder, mirror
        self._said: str | None = None

    def report(self, note: Callable[[str], None], stop: Callable[[str], None]) -> None:
        """Say when sending fails and when it works again; end the sweep when another driver has the run."""
        lost, problem = self.mirror.lock.lost, self.mirror.problem
        if lost is not None:
            stop(lost)
        elif problem is not None and self._said is None:
            note(f"{problem}; the sweep goes on, and what it leaves is sent when the store answers again")
        elif problem is None and self._said is not None:
            note(f"{self.folder.uri} answers again, and all is sent")
        self._said = problem

    def send_the_rest(self, note: Callable[[str], None], patience_seconds: float | None = None) -> str | None:
        """Send all that there is, checkpoints too; None, or why that could not be done and where the files are."""
        patience_seconds = SECONDS_TO_SEND_THE_REST if patience_seconds is None else patience_seconds
        began, is_said = time.monotonic(), False
        while True:
            try:
                self.mirror.send(with_checkpoints=True)
                return None
            except (TransferError, OSError) as error:
                if self.mirror.lock.lost is not None:
                    return self.mirror.lock.lost
                if time.monotonic() > began + patience_seconds:
                    where = f"What could not be sent is in {self.folder.root}: the same command sends it"
                    return f"{error}. {where}"
                if not is_said:
                    note(f"{error}; trying to send the rest for {patience_seconds:.0f} s")
                is_said = True
                time.sleep(1)


@contextmanager
def remote_run(uri: str, console: Console) -> Iterator[RemoteRun]:
    """Open a run in an object store for this driver; when the block ends, all that it left is there.

    The driver works in a local copy, in the cache folder. Where this copy was the last that a driver worked in, it is
    gone on with; otherwise it is fetched, without artifacts.

    Raises:
        UsageError: if another driver is at work there, or it is no store that can be used.
        MachineError: if the store does not answer or refuses; at the end, with the folder where the files are.
    """
    try:
        bucket = open_bucket(uri)
    except ResultsError as error:
        raise UsageError(str(error)) from None
    uri, root = uri.rstrip("/"), local_copy(uri)
    store, known_copy = ObjectStore(bucket, uri), _copy_id(root)
    lock = DriverLock(bucket, uri, known_copy or secrets.token_hex(8))
    before = lock.acquire(console.print)
    with repeating(lock.renew, SECONDS_BETWEEN_RENEWALS):
        try:
            with one_driver(root):
                if before is None or before.copy != known_copy:
                    _fetch(store, root, console)
                    write_atomically(root / COPY_FILE, lock.holder.copy.encode())
            mirror = RunMirror(root, store, lock)
            yield from _mirrored(RemoteRun(RunFolder(root, uri), mirror), console)
        except TransferError as error:
            raise MachineError(str(error)) from None
        finally:
            lock.release()


def check_store(uri: str) -> None:
    """Do below a URI what a driver does there: the lock with its conditional writes, and a file written, read, removed.

    Raises:
        UsageError, MachineError: saying what does not work.
    """
    try:
        place = f"{uri.rstrip('/')}/.probe-{secrets.token_hex(4)}"
        store = ObjectStore(open_bucket(place), uri)
        DriverLock(store.bucket, uri, "probe").acquire(lambda _: None)
        content = secrets.token_bytes(1_000)
        store.put("probe", io.BytesIO(content))
        if store.read("probe", 0, 2_000) != content:
            raise MachineError(f"{uri}: what was written is not what is read")
        for name in ("probe", LOCK_FILE):
            store.remove(name)
    except ResultsError as error:
        raise UsageError(str(error)) from None
    except TransferError as error:
        raise MachineError(str(error)) from None


def local_copy(uri: str) -> Path:
    """Where the driver of a run in an object store works."""
    name = uri.rstrip("/").rpartition("/")[2]
    return cache_folder() / "runs" / f"{name}-{hashlib.sha256(uri.rstrip('/').encode()).hexdigest()[:12]}"


def is_newest_copy(uri: str) -> bool:
    """Whether the last driver of the run worked in the local copy of this machine.

    Raises:
        UsageError: if the store does not answer, or refuses.
    """
    try:
        content = bytes(obstore.get(open_bucket(uri), LOCK_FILE).bytes())
        return bool(json.loads(content)["copy"] == _copy_id(local_copy(uri)))
    except FileNotFoundError:
        return False
    except (ResultsError, BaseError, PermissionError, ValueError, KeyError) as error:
        raise UsageError(f"{uri}: {in_one_line(error)}") from None


def _mirrored(run: RemoteRun, console: Console) -> Iterator[RemoteRun]:
    try:
        with repeating(run.mirror.look, SECONDS_BETWEEN_PASSES):
            yield run
    except BaseException:
        run.send_the_rest(_plain(console), SECONDS_TO_SEND_AFTER_AN_ERROR)
        raise
    with console.status(f"sending the rest to {run.folder.uri}"):
        problem = run.send_the_rest(_plain(console))
    if problem is not None:
        raise MachineError(problem)


def _plain(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, markup=False, highlight=False)


def _fetch(store: ObjectStore, root: Path, console: Console) -> None:
    """Make a local copy of what lies in the store, in place of an earlier one."""
    (root / COPY_FILE).unlink(missing_ok=True)
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()
    files = {name: size for name, size in store.sizes("").items() if _is_needed(name)}
    columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not files) as bar:
        task = bar.add_task(store.uri, total=sum(files.values()))

        def fetch(name: str) -> None:
            download(store, name, root / name)
            if (root / name).stat().st_size != files[name]:
                raise TransferError(f"{store.uri}: {name} did not come whole")
            bar.advance(task, files[name])

        with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
            list(pool.map(fetch, files))
    all_sent(root, file_clock(root))


def _is_needed(name: str) -> bool:
    """Artifacts are large, and no trial that goes on reads one."""
    return name != LOCK_FILE and not name.endswith(f"/{TrialFiles(Path()).artifact_file.name}")


def _copy_id(root: Path) -> str | None:
    try:
        return (root / COPY_FILE).read_text()
    except (OSError, ValueError):
        return None
