"""Keeps the account of a run while a driver is at work: writes what happens, and knows what it has cost."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.ledger.events import MICRO_USD, MICROSECONDS, Event, Kind, Log, Machine, Start, Stop
from orchestrator.ledger.ledger import LOST, WHOLE, Attempt, Ledger
from orchestrator.ledger.neighbours import most_neighbours
from orchestrator.scheduling.placement import CPU, Slot

# A driver that is killed is known to have lived until its last event.
SECONDS_BETWEEN_SIGNS_OF_LIFE = 15.0
SECONDS_BETWEEN_TABLES = 30.0


def now_microseconds() -> int:
    return time.time_ns() // 1_000


class Bookkeeper:
    """The account of one run. Nothing is written before `begin`.

    Args:
        log: keeps every event; `ledger.jsonl` of a run.
        prices: US dollars an hour by accelerator, for machines whose label says none.
        write_tables: of an account at a time, in microseconds since 1970.

    Raises:
        UsageError: if the file is damaged.
    """

    def __init__(
        self,
        log: Log,
        prices: Mapping[str, float],
        write_tables: Callable[[Ledger, int], None] = lambda ledger, now: None,
        clock: Callable[[], int] = now_microseconds,
    ) -> None:
        self.log, self.prices, self.write_tables, self.clock = log, prices, write_tables, clock
        self._tables_written, self._has_begun = 0, False
        try:
            self.ledger = Ledger(self.log.read())
        except (TypeError, KeyError, ValueError) as error:
            raise UsageError(f"{log.path} is damaged ({error}): restore it, or choose another --out") from error
        self._here: frozenset[str] = frozenset()
        self._neighbours: dict[int, int] = {}  # of attempts that have ended
        self._unwritten: deque[Event] = deque()
        self._one_at_a_time = threading.Lock()

    def begin(self, checkpoint_of: Callable[[str], float | None]) -> None:
        """A driver begins. Args: `checkpoint_of`: when a trial's checkpoint was written, in seconds since 1970."""
        self._add("begin")
        self._has_begun = True
        for attempt in self.ledger.unknown_losses:
            self._say_loss(attempt, checkpoint_of(attempt.start.trial_id))

    def saw(self, machines: Iterable[Machine]) -> None:
        """The machines that are there now; call it every second."""
        found = {machine.node: self.priced(machine) for machine in machines}
        for node, machine in found.items():
            if node not in self._here:
                self._add("join", dataclasses.asdict(machine))
        left = {node for node, lease in self.ledger.leases.items() if lease.since is not None} - found.keys()
        for node in sorted(left):
            self._add("leave", {"node": node})
        self._here = frozenset(found)
        now = self.clock()
        if now - self.ledger.now > SECONDS_BETWEEN_SIGNS_OF_LIFE * MICROSECONDS:
            self._add("alive")
        if now - self._tables_written > SECONDS_BETWEEN_TABLES * MICROSECONDS:
            self._tables_written = now
            with contextlib.suppress(OSError):
                self.write_tables(self.ledger, now)

    def started(self, attempt: int, trial_id: str, slot: Slot) -> None:
        """A trial holds a slot from now on."""
        if slot.node_id not in self._here:  # it joined this very second
            seen = Machine(node=slot.node_id, host="", accelerator=slot.kind, cpus=slot.cpus, gpus=slot.gpus)
            self._add("join", dataclasses.asdict(self.priced(seen)))
            self._here |= {slot.node_id}
        machine = self.ledger.leases[slot.node_id].machine
        share = slot.gpus / machine.gpus if machine.gpus else slot.cpus / machine.cpus
        millionths = min(WHOLE, int(share * WHOLE))
        devices = slot.gpus if machine.gpus else share
        made = Start(attempt=attempt, trial_id=trial_id, node=slot.node_id, millionths=millionths, devices=devices)
        self._add("start", dataclasses.asdict(made))

    def runs_on(self, attempt: int, node: str) -> None:
        """Its worker says on which node it runs; of several equal ones Ray may have chosen another."""
        known = self.ledger.attempts.get(attempt)
        if known is not None and known.end is None and node in self.ledger.leases and node != known.start.node:
            self._add("move", {"attempt": attempt, "node": node})

    def stopped(
        self, attempt: int, outcome: str | None, *, node: str | None = None, checkpoint_seconds: float | None = None
    ) -> None:
        """It holds it no more.

        Args:
            outcome: None if the attempt left none.
            node: where it ran, if that is known.
            checkpoint_seconds: as in `begin`.
        """
        lost_from = None if outcome else self._lost_from(self.ledger.attempts[attempt], checkpoint_seconds)
        made = Stop(attempt=attempt, outcome=outcome or LOST, node=node, lost_from=lost_from)
        self._add("stop", dataclasses.asdict(made))

    def end(self) -> None:
        """The driver ends in good order: from here on the machines are not this run's."""
        for node in sorted(self._here):
            self._add("leave", {"node": node})
        self._add("end")
        self.write_tables(self.ledger, self.ledger.now)

    def finish(self, end: str) -> None:
        """`on_finish` was run."""
        self._add("finish", {"end": end})

    def columns(self, trial_id: str) -> dict[str, Any]:
        """What the table says of a trial's cost, and of the trials beside it."""
        # before this driver begins, what an earlier one left open ended with its last sign of life
        seconds, micro_usd = self.ledger.of_trial(trial_id, self.clock() if self._has_begun else self.ledger.now)
        attempts = self.ledger.by_trial.get(trial_id, [])
        if not attempts:
            return dict.fromkeys(("device_seconds", "usd", "num_attempts", "num_neighbours"))
        usd = None if micro_usd is None else micro_usd / MICRO_USD
        found = {"device_seconds": seconds, "usd": usd, "num_attempts": len(attempts)}
        return {**found, "num_neighbours": self._most_neighbours(attempts)}

    def _most_neighbours(self, attempts: Sequence[Attempt]) -> int:
        """Of all attempts at one trial. What is found out of others that have ended is kept for their rows."""
        unknown = [one.begin for one in attempts if one.start.attempt not in self._neighbours]
        if not unknown:
            return max(self._neighbours[one.start.attempt] for one in attempts)
        # before a driver begins the rows of all trials are asked for: one sweep finds them all
        since = min(unknown) if self._has_begun else 0
        late = [one for one in self.ledger.attempts.values() if one.end is None or max(one.begin, one.end - 1) >= since]
        found = most_neighbours(late, {node: lease.machine.host for node, lease in self.ledger.leases.items()})
        whole = (one for one in late if one.end is not None and one.begin >= since)
        self._neighbours |= {one.start.attempt: found[one.start.attempt] for one in whole}
        return max((found | self._neighbours)[one.start.attempt] for one in attempts)

    @property
    def spent_usd(self) -> float:
        return self.ledger.spent(self.clock() if self._has_begun else self.ledger.now) / MICRO_USD

    @property
    def usd_per_hour(self) -> float:
        return self.ledger.micro_usd_per_hour() / MICRO_USD

    @property
    def last_usd_per_hour(self) -> float:
        """When a trial last started, where no machine is there now."""
        return self.usd_per_hour or self.ledger.last_micro_usd_per_hour / MICRO_USD

    @property
    def driver_seconds(self) -> float:
        return self.ledger.driver_seconds(self.clock() if self._has_begun else self.ledger.now)

    def priced(self, machine: Machine) -> Machine:
        return priced(machine, self.prices)

    def _say_loss(self, attempt: Attempt, checkpoint_seconds: float | None) -> None:
        lost_from = self._lost_from(attempt, checkpoint_seconds)
        self._add("stop", dataclasses.asdict(Stop(attempt=attempt.start.attempt, outcome=LOST, lost_from=lost_from)))

    def _lost_from(self, attempt: Attempt, checkpoint_seconds: float | None) -> int:
        at = 0 if checkpoint_seconds is None else int(checkpoint_seconds * MICROSECONDS)
        end = self.clock() if attempt.end is None else attempt.end
        return min(max(attempt.begin, at), end)

    def _add(self, kind: Kind, values: Mapping[str, Any] | None = None) -> None:
        with self._one_at_a_time:
            event = Event(kind=kind, at=max(self.clock(), self.ledger.now), values=dict(values or {}))
            self.ledger.add(event)
            self._unwritten.append(event)
            with contextlib.suppress(OSError):  # a full disk must not end the sweep: it is written when there is room
                while self._unwritten:
                    self.log.append(self._unwritten[0])
                    self._unwritten.popleft()


def priced(machine: Machine, prices: Mapping[str, float]) -> Machine:
    """With its price: by its label, else by accelerator; of a machine with several cards, of all of them.

    Args:
        prices: US dollars an hour, by accelerator.
    """
    if machine.micro_usd_per_hour is not None:
        return dataclasses.replace(machine, price_from="label")
    if machine.accelerator not in prices:
        return machine
    number = machine.gpus if machine.accelerator != CPU else 1
    micro_usd = round(prices[machine.accelerator] * number * MICRO_USD)
    return dataclasses.replace(machine, micro_usd_per_hour=micro_usd, price_from="prices")
