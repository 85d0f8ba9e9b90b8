"""The probe of a node's files and of its way to the driver: writes and reads back, measures clock and bandwidth."""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Callable
from typing import Any

from orchestrator.cluster.machine import first_line
from orchestrator.cluster.node_facts import ClockFacts, LinkFacts, Question, StoreFacts
from orchestrator.store.file_server import Call, NotReached, ServedStore
from orchestrator.store.run_store import CHUNK_BYTES, LocalStore, RunFolderFault, RunStore, TransferError
from orchestrator.store.workplace import sees_run_folder

NUM_LOOKS_AT_THE_CLOCK = 5  # the quickest counts: the first ones also open connections
# A slow link is measured with the first part alone, a fast one with all: 5 MB each way.
PART_BYTES = (2**16, 2**18, 2**20, 2**22)
SECONDS_OF_A_LARGE_PART = 0.5  # one that takes as long measures well enough

FILE_ERRORS = (OSError, TransferError, RunFolderFault)


def link_facts(call: Call, *, has_folder: bool) -> LinkFacts:
    """Clock and bandwidth of this machine against the driver's.

    Args:
        has_folder: the server has a folder to which files can be sent; else no bandwidth is measured.
    """
    try:
        clock = clock_facts(call)
        return LinkFacts(clock=clock, bytes_per_second=bandwidth(served(call)) if has_folder else None)
    except (NotReached, *FILE_ERRORS) as error:
        return LinkFacts(error=first_line(error))


def clock_facts(call: Call, now: Callable[[], float] = time.time) -> ClockFacts:
    """How far this clock is ahead of the driver's: at half of the round trip, the driver's clock was read."""
    looks = []
    for _ in range(NUM_LOOKS_AT_THE_CLOCK):
        begin, theirs, end = now(), float(call("now")), now()
        looks.append(ClockFacts(skew_seconds=(begin + end) / 2 - theirs, round_trip_seconds=end - begin))
    return min(looks, key=lambda look: look.round_trip_seconds)


def bandwidth(store: RunStore, clock: Callable[[], float] = time.perf_counter) -> float:
    """Bytes per second to the driver and back, by sending files of growing size and fetching them again.

    Raises:
        OSError, TransferError, RunFolderFault: if what was sent does not come back.
    """
    rate = 0.0
    for num_bytes in PART_BYTES:
        begin = clock()
        exchange(store, os.urandom(num_bytes))
        seconds = max(clock() - begin, 1e-6)
        rate = 2 * num_bytes / seconds
        if seconds >= SECONDS_OF_A_LARGE_PART:
            break
    return rate


def store_facts(question: Question, call: Call | None, link: LinkFacts | None) -> StoreFacts:
    """Whether this machine can write, read and remove a file of the run, by the way that its trials will use."""
    assert question.folder is not None
    is_shared = sees_run_folder(question.folder, question.session)
    if not is_shared and (call is None or link is None or link.error):
        return StoreFacts(is_shared=False, error="" if link and link.error else "the run folder cannot be written")
    try:
        exchange(
            LocalStore(question.folder, question.data_root) if is_shared or call is None else served(call), b"probe"
        )
    except FILE_ERRORS as error:
        return StoreFacts(is_shared=is_shared, error=first_line(error))
    return StoreFacts(is_shared=is_shared)


def exchange(store: RunStore, content: bytes) -> None:
    """Write a file of a trial, read it back, and remove it.

    Raises:
        OSError: if what came back is not what was written, or the disk is at fault.
        TransferError, RunFolderFault: as the store's.
    """
    path = f"trials/probe-{uuid.uuid4().hex}/probe"
    store.put(path, io.BytesIO(content))
    found = b""
    while chunk := store.read(path, len(found), CHUNK_BYTES):
        found += chunk
    store.remove(path)
    if found != content:
        raise OSError("what was read back is not what was written")


def served(call: Call) -> ServedStore:
    """The store through the driver, without the patience that a trial has."""

    def once(method: str, *arguments: Any) -> Any:
        try:
            return call(method, *arguments)
        except NotReached as error:
            raise TransferError(first_line(error)) from error

    return ServedStore(once, attempt=0)
