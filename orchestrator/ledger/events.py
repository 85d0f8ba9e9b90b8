"""What happened to machines and trials, in order: the lines of `ledger.jsonl`, written before anything counts on them.

Times are microseconds since 1970, UTC, and never go back. Money is whole millionths of a US dollar.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from orchestrator.errors import UsageError
from orchestrator.store.json_lines import append_line

# begin, alive, end: of a driver; join, leave: a machine; start, move, stop: of an attempt at a trial, which is moved to
# the node where its worker says that it runs; finish: of `on_finish`
Kind = Literal["begin", "alive", "end", "join", "leave", "start", "move", "stop", "finish"]
MICROSECONDS = 1_000_000
MICRO_USD = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One line. `values` are the fields of what it is about: `Machine`, `Start`, `Stop`."""

    kind: Kind
    at: int
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """A node that is paid for while it is there.

    Args:
        micro_usd_per_hour: None: nobody said what it costs.
        price_from: `label` of the node, `prices` of the sweep file, or None.
    """

    node: str
    host: str
    accelerator: str
    cpus: float
    gpus: float
    micro_usd_per_hour: int | None = None
    price_from: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """An attempt at a trial on a machine.

    Args:
        attempt: unique in a run.
        millionths: share of the machine that it holds, in millionths: of its GPUs, else of its CPUs.
        devices: GPUs that it holds; of a machine without, the share of it.
    """

    attempt: int
    trial_id: str
    node: str
    millionths: int
    devices: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stop:
    """The end of an attempt.

    Args:
        outcome: the status that it left the trial in; `lost` if it left none, as when its worker died.
        lost_from: when what was lost began: the trial's last checkpoint; None: nothing was lost.
        node: where it really ran, which Ray chooses among equal nodes; None: not known.
    """

    attempt: int
    outcome: str
    node: str | None = None
    lost_from: int | None = None


class Log(Protocol):
    """Keeps events in order."""

    path: Path

    def append(self, event: Event) -> None: ...

    def read(self) -> Iterable[Event]: ...


class NoLog:
    """Of an account that nobody keeps, as of a simulated night."""

    path = Path("the ledger of a simulated night")

    def append(self, event: Event) -> None:
        """Nothing is kept."""

    def read(self) -> Iterable[Event]:
        return ()


class LedgerLog:
    """The file. It is only ever appended to; a line that a killed driver left unfinished counts as not written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Event) -> None:
        append_line(self.path, {"event": event.kind, "at": event.at, **event.values})

    def read(self) -> Iterator[Event]:
        """Every event, oldest first.

        Raises:
            UsageError: if the file is damaged.
        """
        if not self.path.exists():
            return
        for number, line in enumerate(self.path.read_bytes().split(b"\n"), start=1):
            if not line or not line.endswith(b"}"):  # a killed driver cuts a line
                continue
            try:
                values = json.loads(line)
                kind, at = values.pop("event"), values.pop("at")
                if kind not in get_args(Kind) or not isinstance(at, int):
                    raise ValueError(f"no event {kind} at {at}")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UsageError(f"{self.path}, line {number}, is damaged ({error}): remove that line") from error
            yield Event(kind=kind, at=at, values=values)
