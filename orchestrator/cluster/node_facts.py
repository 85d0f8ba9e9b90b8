"""What is asked of a node before it is given trials, and the facts that it answers with. Free of Ray."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path

from orchestrator.cluster.dead_man_switch.label import StopsItself


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One machine of a cluster as the cluster lists it, or the driver's own.

    Args:
        name: the beginning of its Ray id; `driver` or `this` for this machine.
        kind: of its accelerator, or CPU; None if it runs no trials.
        gpus: by Ray's account.
        object_store_bytes: of shared memory that Ray takes there.
        usd_per_hour: its price; None: unknown.
        stops_itself: by what its machine ends itself; None: it does not.
    """

    name: str
    host: str
    kind: str | None = None
    is_driver: bool = False
    is_head: bool = False
    gpus: float = 0.0
    object_store_bytes: int = 0
    usd_per_hour: float | None = None
    stops_itself: StopsItself | None = None

    @property
    def label(self) -> str:
        """Its host, what it is for, and its name: the beginning of every line about it."""
        words = (self.kind, "head" if self.is_head else None, self.name)
        return f"{self.host} ({', '.join(word for word in words if word)})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WantedData:
    """A dataset as the driver has it: its fingerprint, and bytes of each file by its path below the data folder."""

    sha256: str
    files: Mapping[str, int]

    @property
    def num_bytes(self) -> int:
        return sum(self.files.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What a node is to look at.

    Args:
        folder: a folder for the probe's files below the run folder; None if the driver could make none.
        session: its mark, see `begin_session`.
        data: the driver's datasets by their name.
        runs_trials: look at torch, the cache and the data, too.
        num_gpus: how many GPUs torch must see; None where they are all in use, and nothing can be said.
    """

    folder: Path | None
    session: str
    data_root: Path
    data: Mapping[str, WantedData] = dataclasses.field(default_factory=dict)
    runs_trials: bool = True
    num_gpus: float | None = 0.0


class DataState(enum.StrEnum):
    """What a data folder has of a dataset."""

    WHOLE = "yes"
    UNREAD = "yes, by size"  # too large to read now; a trial reads it all before it begins
    CACHED = "copied"  # the node has none of its own, but a copy of the driver's
    ABSENT = "will be copied"
    OTHER = "another"  # of the same name: the driver's will be copied
    DAMAGED = "damaged"
    MISSING = "missing"  # with the driver itself, from whom others copy


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataFacts:
    """One dataset on one node. `problem` says what is wrong with a damaged one."""

    name: str
    state: DataState
    num_bytes: int = 0
    problem: str = ""

    @property
    def bytes_to_copy(self) -> int:
        return self.num_bytes if self.state in (DataState.ABSENT, DataState.OTHER) else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchFacts:
    """What torch has to compute with: the device's name, how many CUDA devices (None: not looked), and what failed."""

    device: str
    num_cuda: int | None
    error: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of memory, by the container's limit where there is one."""

    total_bytes: int
    free_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disk:
    """The disk of a folder. `error` says why the folder cannot be used."""

    folder: str
    free_bytes: int
    error: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClockFacts:
    """How far a clock is ahead of the driver's, and the round trip in which that was measured."""

    skew_seconds: float
    round_trip_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreFacts:
    """The run's files as a node reaches them: in the run folder that it sees, or through the driver.

    `error` says why a probe could not be written, read back and removed.
    """

    is_shared: bool
    error: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinkFacts:
    """The way to the driver's file server: its clock and bandwidth, or why it does not answer."""

    clock: ClockFacts | None = None
    bytes_per_second: float | None = None
    error: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What one node has. None where it was not looked at, or does not exist there.

    Args:
        gpu_driver: version of NVIDIA's driver; empty if there is none.
        shm_bytes: size of /dev/shm.
    """

    host: str
    versions: Mapping[str, str]
    gpu_driver: str
    memory: Memory
    shm_bytes: int | None
    cache: Disk
    torch: TorchFacts | None = None
    store: StoreFacts | None = None
    link: LinkFacts | None = None
    data: tuple[DataFacts, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Silence:
    """A node that has given no facts, and why."""

    reason: str


Answer = NodeFacts | Silence
