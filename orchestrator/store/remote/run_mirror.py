"""Keeps a run in an object store equal to the local copy that the driver works in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.store.remote.driver_lock import DriverLock
from orchestrator.store.remote.object_store import ObjectStore
from orchestrator.store.trial_sync import OUTCOMES, PASSING, SHARE_OF_CHECKPOINTS, Version, version_of_file
from results.object_store import NUM_AT_ONCE
from trainer.files import write_atomically

SENT_FILE = ".sent"  # when the last complete pass began, by the clock of the files
CHECKPOINTS = "/checkpoint/"
# The last file of a table grows, and is written again and again: a larger one is sent as rarely as checkpoints are.
LARGE_TABLE_BYTES = 1_000_000

State = tuple[int, ...]


class RunMirror:
    """Sends what changes in a run folder; takes away what the run folder removes.

    A pass looks at trials first and then sends the files of the run, the files of trials, their outcomes, the tables,
    in this order: what lies in the store is always a run folder that a driver can go on from, at most a pass behind.

    What an earlier driver of this copy has sent, up to its last complete pass, is not sent again.
    """

    def __init__(
        self, root: Path, store: ObjectStore, lock: DriverLock, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.root, self.store, self.lock, self.clock = root, store, lock, clock
        self.problem: str | None = None  # of the last pass
        self._ended: dict[str, State] = {}  # folders of ended trials, as they were when all was sent
        self._next_checkpoints_seconds = 0.0
        self._one_at_a_time = threading.Lock()
        self._sent = dict(self._sent_before())

    def look(self) -> None:
        """One pass; what went wrong is in `problem`, and is tried again by the next."""
        try:
            self.send(with_checkpoints=self.clock() >= self._next_checkpoints_seconds)
            self.problem = None
        except Exception as error:  # a night's results must not be lost to one error, whatever it is
            self.problem = str(error) or type(error).__name__

    def send(self, *, with_checkpoints: bool) -> None:
        """Send all that has changed.

        Raises:
            TransferError: if the store does not answer or refuses, or another driver has the run now.
        """
        with self._one_at_a_time:
            began = file_clock(self.root)
            trials, ended = self._trials()  # first: what a trial leaves was in the records of the run before
            seen = {**trials, **dict(self._own_files())}
            changed = {name: path for name, path in seen.items() if self._has_changed(name, path)}
            large = {name for name, path in changed.items() if _is_large(name, path)}
            for names in _in_order(changed.keys() - large):
                self._send_all({name: changed[name] for name in names})
            if with_checkpoints and large:
                self._send_large({name: changed[name] for name in large})
            self._remove(seen)
            if with_checkpoints or not large:  # else some wait for a later pass
                self._ended.update(ended)
                all_sent(self.root, began)

    def _send_large(self, files: Mapping[str, Path]) -> None:
        """Checkpoints and large tables may take a tenth of the time, and so of the link."""
        began = self.clock()
        self._send_all(files)
        ended = self.clock()
        self._next_checkpoints_seconds = ended + (ended - began) * (1 / SHARE_OF_CHECKPOINTS - 1)

    def _send_all(self, files: Mapping[str, Path]) -> None:
        with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
            list(pool.map(self._send, files.keys(), files.values()))

    def _send(self, name: str, path: Path) -> None:
        try:
            version = version_of_file(path)
            file = path.open("rb")  # what replaces it meanwhile is another file
        except FileNotFoundError:
            return
        with file:
            self.lock.require()
            self.store.put(name, file)
        self._sent[name] = version

    def _remove(self, seen: Mapping[str, Path]) -> None:
        """Remove in the store what this driver has sent, and what is here no more."""
        folders = {_folder_of(name) for name in seen}
        gone = [name for name in self._sent if name not in seen and _folder_of(name) in folders]
        for name in [name for name in gone if not (self.root / name).exists()]:
            self.lock.require()
            self.store.remove(name)
            self._sent.pop(name)

    def _has_changed(self, name: str, path: Path) -> bool:
        try:
            return self._sent.get(name) != version_of_file(path)
        except FileNotFoundError:
            return False

    def _trials(self) -> tuple[dict[str, Path], dict[str, State]]:
        """Files of the trials that may have changed, and the folders among them that have ended."""
        files: dict[str, Path] = {}
        ended: dict[str, State] = {}
        trials = self.root / "trials"
        for folder in sorted(trials.iterdir()) if trials.is_dir() else ():
            state = _state_of(folder)
            if self._ended.get(folder.name) == state:
                continue
            found = _visible_files(folder, f"trials/{folder.name}")
            files.update(found)
            if any(f"trials/{folder.name}/{name}" in found for name in OUTCOMES):
                ended[folder.name] = state
        return files, ended

    def _own_files(self) -> Iterator[tuple[str, Path]]:
        """The files of the run beside its trials."""
        for entry in sorted(self.root.iterdir()):
            if entry.name != "trials" and not entry.name.startswith("."):
                found = _visible_files(entry, entry.name) if entry.is_dir() else {entry.name: entry}
                yield from found.items()

    def _sent_before(self) -> Iterator[tuple[str, Version]]:
        """Files older than the last complete pass; those that have gone since are removed in the store."""
        try:
            began = int((self.root / SENT_FILE).read_text())
        except (OSError, ValueError):
            return
        for name, path in {**self._trials()[0], **dict(self._own_files())}.items():
            if path.stat().st_ctime_ns < began:
                yield name, version_of_file(path)
        for folder in (self.root / "trials").glob("*/"):
            if not (folder / "result.json").exists():  # what it removed when nobody was there to send that
                for name in self.store.sizes(f"trials/{folder.name}"):
                    if name in {*PASSING, *OUTCOMES} and not (folder / name).exists():
                        yield f"trials/{folder.name}/{name}", (0, 0, 0)


def file_clock(root: Path) -> int:
    """Now, as the file system says it, in nanoseconds: times of change are compared with it."""
    path = root / f"{SENT_FILE}-clock"
    path.write_bytes(b"")
    os.utime(path)
    return path.stat().st_ctime_ns


def all_sent(root: Path, began: int) -> None:
    """Note that a local copy is what the store holds, but for files that have changed since `began`."""
    write_atomically(root / SENT_FILE, str(began).encode())


def _is_large(name: str, path: Path) -> bool:
    """Whether a file takes long to send, and changes often."""
    if CHECKPOINTS in name:
        return True
    try:
        return name.startswith("tables/") and path.stat().st_size > LARGE_TABLE_BYTES
    except FileNotFoundError:
        return False


def _in_order(names: Iterable[str]) -> list[list[str]]:
    """Groups of files; one is sent whole before the next: the spec after what it needs, a result after its files."""
    groups: list[list[str]] = [[], [], [], [], []]
    for name in sorted(names):
        if name.startswith("trials/"):
            groups[3 if name.rpartition("/")[2] in OUTCOMES else 2].append(name)
        elif name.startswith("tables/"):
            groups[4].append(name)
        else:
            groups[1 if name == "sweep.yaml" else 0].append(name)
    return [group for group in groups if group]


def _folder_of(name: str) -> str:
    """What is looked at as a whole: a trial, or all that lies beside the trials."""
    return name.split("/")[1] if name.startswith("trials/") else ""


def _state_of(folder: Path) -> State:
    """Changes when a file of the folder appears, goes or is replaced; a log that grows changes nothing."""
    return tuple(path.stat().st_mtime_ns for path in (folder, folder / "checkpoint") if path.exists())


def _visible_files(folder: Path, prefix: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inner = Path(root).relative_to(folder).as_posix()
        start = prefix if inner == "." else f"{prefix}/{inner}"
        found.update({f"{start}/{name}": Path(root) / name for name in names if not name.startswith(".")})
    return found
