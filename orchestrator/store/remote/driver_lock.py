"""One driver at a time for a run in an object store: a small file there, taken and renewed by conditional writes."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, PreconditionError
from obstore.store import ObjectStore as Bucket

from orchestrator.errors import MachineError, UsageError
from orchestrator.store.run_store import TransferError
from results.object_store import LOCK_FILE, in_one_line

SECONDS_BETWEEN_RENEWALS = 5.0
# A driver that has renewed nothing for this long counts as dead. No clocks are compared: who waits looks whether the
# file changes.
SECONDS_OF_LEASE = 60.0
SECONDS_BETWEEN_LOOKS = 1.0
WRONG_VERSION = {"e_tag": '"0"', "version": "1"}

Version = dict[str, Any]  # the ETag, or the generation, of what was read
Mode = Literal["create"] | Version


@dataclasses.dataclass(frozen=True, kw_only=True)
class Holder:
    """Who drives a run, or drove it last.

    Args:
        copy: the id of the local copy of the run folder that it works in.
        machine: of the process number: what it is counted in.
        number: grows with every renewal.
    """

    session: str
    copy: str
    host: str
    machine: str
    process: int
    since: str
    number: int = 0
    is_released: bool = False

    def text(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since}"

    def is_gone(self) -> bool:
        """Whether it has ended for certain: it said so, or it was a process of this machine that is no more."""
        return self.is_released or (self.machine == _machine() and not os.path.exists(f"/proc/{self.process}"))


def seconds_since_boot() -> float:
    """A clock that goes on while the machine sleeps, unlike `time.monotonic`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class DriverLock:
    """The lock of one driver on one run.

    Args:
        copy: the id of the local copy of the run folder. Where another one was the last to be worked in, `acquire`
            gives a new id.
    """

    def __init__(
        self,
        bucket: Bucket,
        uri: str,
        copy: str,
        clock: Callable[[], float] = seconds_since_boot,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.bucket, self.uri, self.clock, self.sleep = bucket, uri, clock, sleep
        self.holder = Holder(
            session=secrets.token_hex(8),
            copy=copy,
            host=platform.node(),
            machine=_machine(),
            process=os.getpid(),
            since=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        )
        self.lost: str | None = None  # why this driver may write no more
        self._version: Version = {}
        self._renewed_seconds = 0.0
        self._problem = f"{uri} does not answer"  # by the last renewal that failed
        self._one_at_a_time = threading.Lock()

    def acquire(self, note: Callable[[str], None]) -> Holder | None:
        """Take the lock; who had it before.

        Where that driver did not say that it ended, this waits for a minute to see whether it still renews its lock.

        Raises:
            UsageError: if another driver is at work, or the store has no conditional writes.
            MachineError: if the store does not answer, or refuses.
        """
        try:
            before = self._acquire(note)
            self._require_conditions()
        except NotSupportedError:
            raise UsageError(self._no_conditions()) from None
        except TransferError as error:
            self.release()
            raise MachineError(str(error)) from None
        except BaseException:
            self.release()
            raise
        return before

    def renew(self) -> None:
        """Say that this driver lives. A store that does not answer is asked again next time."""
        with self._one_at_a_time:
            if self.lost is not None or not self._version:
                return
            try:
                self._write(self._version)
            except (PreconditionError, AlreadyExistsError, FileNotFoundError):
                self.lost = f"another driver works on {self.uri} now ({self._who()}): this one writes there no more"
            except Exception as error:  # whatever it is, it is tried again; what is sent meanwhile asks `require`
                self._problem = str(error)

    def require(self) -> None:
        """Make sure that this driver still has the lock, however long it was frozen.

        Raises:
            TransferError: if it has not, or if that cannot be known now.
        """
        if self.clock() - self._renewed_seconds > SECONDS_OF_LEASE / 2:
            self.renew()
        if self.lost is not None:
            raise TransferError(self.lost)
        if self.clock() - self._renewed_seconds > SECONDS_OF_LEASE / 2:
            raise TransferError(self._problem)

    def release(self) -> None:
        """Let the next driver begin at once."""
        with self._one_at_a_time:
            self.holder = dataclasses.replace(self.holder, is_released=True)
        self.renew()
        with self._one_at_a_time:
            self._version = {}

    def _acquire(self, note: Callable[[str], None]) -> Holder | None:
        seen, deadline = Version(), 0.0
        while True:
            found = self._read()
            if found is not None and not found[0].is_gone():
                holder, version = found
                if not seen:
                    note(f"{self.uri}: is {holder.text()} still at work? This takes up to {SECONDS_OF_LEASE:.0f} s")
                    seen, deadline = version, self.clock() + SECONDS_OF_LEASE
                if version != seen:
                    raise UsageError(
                        f"{self.uri} is in use by {holder.text()}: one driver at a time; wait for it, or choose "
                        "another --out"
                    )
                if self.clock() < deadline:
                    self.sleep(SECONDS_BETWEEN_LOOKS)
                    continue
            if found is None or found[0].copy != self.holder.copy:
                # the copy here is not what lies there: from now on it is another one, until it is fetched
                self.holder = dataclasses.replace(self.holder, copy=secrets.token_hex(8))
            try:
                self._write("create" if found is None else found[1])
            except (PreconditionError, AlreadyExistsError):
                seen = Version()  # another one was quicker
                continue
            return None if found is None else found[0]

    def _read(self) -> tuple[Holder, Version] | None:
        try:
            answer = obstore.get(self.bucket, LOCK_FILE)
            holder = Holder(**json.loads(bytes(answer.bytes())))
        except FileNotFoundError as error:
            if in_one_line(error) == "there is no such bucket":
                raise TransferError(f"{self.uri}: there is no such bucket") from error
            return None
        except (BaseError, PermissionError) as error:
            raise TransferError(f"{self.uri}: {in_one_line(error)}") from error
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.uri}/{LOCK_FILE} is damaged: remove it if no driver is at work there") from error
        return holder, _version_of(answer.meta)

    def _write(self, mode: Mode) -> None:
        """Write the lock if it is as `mode` says; a write whose answer was lost counts as done."""
        holder = dataclasses.replace(self.holder, number=self.holder.number + 1)
        began = self.clock()
        try:
            content = json.dumps(dataclasses.asdict(holder)).encode()
            version = _version_of(obstore.put(self.bucket, LOCK_FILE, content, mode=mode))  # type: ignore[arg-type]
        except (PreconditionError, AlreadyExistsError):
            found = self._read()
            if found is None or found[0] != holder:
                raise
            version = found[1]
        except (NotSupportedError, FileNotFoundError):
            raise
        except (BaseError, PermissionError) as error:
            raise TransferError(f"{self.uri}: {in_one_line(error)}") from error
        self.holder, self._version, self._renewed_seconds = holder, version, began

    def _require_conditions(self) -> None:
        """Refuse a store that would let two drivers write: by trying what must fail."""
        modes: tuple[Mode, ...] = ("create", WRONG_VERSION)
        for mode in modes:
            try:
                self._write(mode)
            except (PreconditionError, AlreadyExistsError):
                continue
            raise UsageError(self._no_conditions())

    def _no_conditions(self) -> str:
        return (
            f"{self.uri}: this store has no conditional writes (If-None-Match, If-Match), and without them two drivers "
            "could write one run. Choose another store, or a local --out"
        )

    def _who(self) -> str:
        try:
            found = self._read()
        except (TransferError, UsageError):
            found = None
        return "its file is gone" if found is None else found[0].text()


def _version_of(meta: Any) -> Version:
    return {key: meta[key] for key in ("e_tag", "version") if meta[key] is not None}


def _machine() -> str:
    """What numbers of processes are counted in: this boot of this machine, and in it this container."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return secrets.token_hex(8)  # unknown: the same as no other
