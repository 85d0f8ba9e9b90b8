"""Keeps a run's trial folder equal to the scratch folder in which a worker runs the trial."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.store.run_store import RunStore, download
from orchestrator.store.trial_folder import TrialFolder

SECONDS_BETWEEN_SENDS = 5.0
# Of a worker's time that the sending of checkpoints may take, and so of the link: between two there is nine times as
# long as the last one took. A node that is lost costs the steps since its last checkpoint arrived.
SHARE_OF_CHECKPOINTS = 0.1
OUTCOMES = ("state.json", "result.json")  # sent last: a trial has ended when, and only when, one of them is there
# What a trial removes itself: with its outcome it goes in the run folder, too. Nothing else is ever removed there.
PASSING = ("checkpoint/state.pt", "state.json", "hang.txt")

Version = tuple[int, int, int]


class TrialSync:
    """Fetches a trial's files from a store, sends those that change, and at its end all of them.

    Args:
        files: the scratch folder.
    """

    def __init__(self, store: RunStore, files: TrialFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.files, self.clock = store, files, clock
        self.remote = f"trials/{files.trial_id}"
        self._sent: dict[str, Version] = {}
        self._next_checkpoint_seconds = 0.0
        self._lock = threading.Lock()  # one file after another: the end waits for what is under way

    def fetch(self) -> None:
        """Get what earlier attempts have left, all but an artifact: this attempt makes its own."""
        for name in self.store.sizes(self.remote):
            if name != self.files.artifact_file.name:
                download(self.store, f"{self.remote}/{name}", self.files.root / name)
                self._sent[name] = version_of_file(self.files.root / name)

    def send_changes(self) -> None:
        """Send what a running trial has written since: its checkpoint not too often, the small files each time.

        A store that does not answer is no reason to end a trial: what matters is sent at its end.
        """
        files = self.files
        with self._lock, contextlib.suppress(Exception):
            for path in (files.config_file, files.placement_file, files.log_file, files.progress_file):
                self._send(path)
            began = self.clock()
            if began >= self._next_checkpoint_seconds and self._send(files.checkpoint_file):
                ended = self.clock()
                self._next_checkpoint_seconds = ended + (ended - began) * (1 / SHARE_OF_CHECKPOINTS - 1)
                self._send(files.progress_file)  # once more: a large checkpoint takes minutes

    def finish(self) -> None:
        """Send all that the trial has left, its result or state last; then remove what it has removed itself."""
        with self._lock:
            here = {name: path for name, path in _files(self.files.root).items() if name not in OUTCOMES}
            for path in here.values():
                self._send(path)
            outcomes = [self.files.root / name for name in OUTCOMES if (self.files.root / name).exists()]
            for path in outcomes:
                self._send(path)
            for name in self.store.sizes(self.remote) if outcomes else ():
                if name in PASSING and not (self.files.root / name).exists():
                    self.store.remove(f"{self.remote}/{name}")

    def _send(self, path: Path) -> bool:
        """Send a file unless it was sent as it is; whether it was."""
        name = path.relative_to(self.files.root).as_posix()
        try:
            version = version_of_file(path)
            if self._sent.get(name) == version:
                return False
            file = path.open("rb")  # what replaces it meanwhile is another file
        except FileNotFoundError:
            return False
        with file:
            self.store.put(f"{self.remote}/{name}", file)
        self._sent[name] = version
        return True


def version_of_file(path: Path) -> Version:
    """Changes when the file is written or replaced."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _files(root: Path) -> dict[str, Path]:
    found = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    visible = {name: path for name, path in found.items() if not any(part.startswith(".") for part in name.parts)}
    return {name.as_posix(): path for name, path in visible.items()}
