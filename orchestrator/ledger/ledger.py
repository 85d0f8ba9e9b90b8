"""The account of a run: from what happened to who used which machine when, and what that cost. Pure.

A machine costs from when a driver of the run first sees it until it leaves: in use or not, whether a driver lives or
not. Where no driver was there to see it leave, it counts until it was last seen; `unseen_micro_usd` bounds the rest.

Trials, what was lost, and idle time add up to what the machines cost, to the millionth of a dollar: a trial pays its
share of a machine for the time that it holds it, rounded down, and idle is the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from orchestrator.ledger.events import MICROSECONDS, Event, Machine, Start, Stop

MICROSECONDS_PER_HOUR = 3_600 * MICROSECONDS
WHOLE = 1_000_000  # a machine in millionths
LOST = "lost"

Span = tuple[int, int]


@dataclasses.dataclass(kw_only=True)
class Lease:
    """A machine, and when it was there; at another price it is another span."""

    machine: Machine
    spans: list[tuple[Machine, Span]] = dataclasses.field(default_factory=list)
    since: int | None = None  # when it joined, while it is there
    unseen: int = 0  # microseconds that it may have been there longer

    def end(self, now: int) -> None:
        if self.since is not None:
            self.spans.append((self.machine, (self.since, max(self.since, now))))
        self.since = None

    def microseconds(self, now: int) -> int:
        return sum(end - start for _, (start, end) in self._all_spans(now))

    def micro_usd(self, now: int) -> int:
        return sum(price(machine, end - start) for machine, (start, end) in self._all_spans(now))

    def _all_spans(self, now: int) -> list[tuple[Machine, Span]]:
        return self.spans if self.since is None else [*self.spans, (self.machine, (self.since, now))]


@dataclasses.dataclass(kw_only=True)
class Attempt:
    """One attempt at a trial: where, from when until when, and what came of it. `end` is None while it runs."""

    start: Start
    machine: Machine
    begin: int
    end: int | None = None
    outcome: str | None = None
    lost_from: int | None = None

    def microseconds(self, now: int) -> int:
        return (now if self.end is None else self.end) - self.begin

    def device_seconds(self, now: int) -> float:
        return self.start.devices * self.microseconds(now) / MICROSECONDS

    def micro_usd(self, now: int) -> int:
        """What it cost, lost or not."""
        return price(self.machine, self.microseconds(now), self.start.millionths)

    def lost_micro_usd(self, now: int) -> int:
        """The part of it that was done in vain."""
        if self.lost_from is None or self.end is None:
            return 0
        return price(self.machine, self.end - max(self.begin, self.lost_from), self.start.millionths)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Totals:
    """Of a run or of a machine, in millionths of a US dollar. `machines` = `trials` + `lost` + `idle`, always."""

    machines: int
    trials: int
    lost: int

    @property
    def idle(self) -> int:
        return self.machines - self.trials - self.lost


def price(machine: Machine, microseconds: int, millionths: int = WHOLE) -> int:
    """What a share of a machine costs for some time, rounded down; 0 where its price is not known."""
    rate = machine.micro_usd_per_hour or 0
    return rate * microseconds * millionths // (MICROSECONDS_PER_HOUR * WHOLE)


def totals_of(leases: Sequence[Lease], attempts: Sequence[Attempt], now: int) -> Totals:
    """Of machines, and of all attempts on them."""
    lost = sum(one.lost_micro_usd(now) for one in attempts)
    used = sum(one.micro_usd(now) for one in attempts)
    return Totals(machines=sum(one.micro_usd(now) for one in leases), trials=used - lost, lost=lost)


class Ledger:
    """The account so far; every event moves it on."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.leases: dict[str, Lease] = {}  # by node
        self.attempts: dict[int, Attempt] = {}
        self.by_trial: dict[str, list[Attempt]] = {}
        self.now = self.num_events = 0
        self.driver_microseconds = 0  # of all drivers so far
        self.last_micro_usd_per_hour = 0  # when a trial last started
        self.has_begun = False
        self.finished: str | None = None  # the end for which `on_finish` was run, since a driver last began
        self._driver_since: int | None = None
        self._spent: tuple[int, int, int] | None = None  # until a machine comes or goes
        self._unclear: set[str] = set()  # machines that the last driver saw, and this one has not seen yet
        self._last_seen = 0  # by the last driver
        self._driver_began = 0
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Move on. Raises TypeError, KeyError or ValueError for an event that makes no sense."""
        now = max(self.now, event.at)
        self.num_events += 1
        self._spent = self._spent if event.kind in ("alive", "start", "stop", "finish") else None
        if event.kind == "begin":
            self._begin(now)
        elif event.kind == "join":
            self._join(Machine(**event.values), now)
        elif event.kind == "leave":
            self._leave(event.values["node"], now)
        elif event.kind == "start":
            self._start(Start(**event.values), now)
            self.last_micro_usd_per_hour = self.micro_usd_per_hour()
        elif event.kind == "move" and event.values["attempt"] in self.attempts:
            self._move(self.attempts[event.values["attempt"]], event.values["node"])
        elif event.kind == "stop":
            self._stop(Stop(**event.values), now)
        elif event.kind == "finish":
            self.finished = event.values["end"]
        elif event.kind == "end":
            self._end_driver(now)
        self.now = now

    @property
    def open_attempts(self) -> list[Attempt]:
        """Those that run."""
        return [attempt for attempt in self.attempts.values() if attempt.end is None]

    @property
    def unknown_losses(self) -> list[Attempt]:
        """Those that ended with their driver or machine, and of which nobody has said yet what was lost."""
        return [one for one in self.attempts.values() if one.outcome == LOST and one.lost_from is None]

    def driver_seconds(self, now: int) -> float:
        """How long drivers of this run have been at work."""
        here = 0 if self._driver_since is None else now - self._driver_since
        return (self.driver_microseconds + here) / MICROSECONDS

    def micro_usd_per_hour(self) -> int:
        """What all machines that are there cost an hour, in use or not."""
        return sum(lease.machine.micro_usd_per_hour or 0 for lease in self.leases.values() if lease.since is not None)

    def spent(self, now: int) -> int:
        """As `totals` has it, to a millionth of a dollar for each machine; quick, however many there are."""
        if self._spent is None:
            here = [lease for lease in self.leases.values() if lease.since is not None]
            spans = (span for lease in self.leases.values() for span in lease.spans)
            gone = sum(price(machine, end - start) for machine, (start, end) in spans)
            rates = [(lease.machine.micro_usd_per_hour or 0, lease.since or 0) for lease in here]
            self._spent = gone, sum(rate for rate, _ in rates), sum(rate * since for rate, since in rates)
        gone, per_hour, begun = self._spent
        return gone + (per_hour * now - begun) // MICROSECONDS_PER_HOUR

    def unseen_micro_usd(self) -> int:
        """At most so much more, for machines that nobody has seen leave."""
        return sum(price(lease.machine, lease.unseen) for lease in self.leases.values())

    def without_price(self) -> list[Machine]:
        machines = [lease.machine for lease in self.leases.values() if lease.since is not None]
        return [machine for machine in machines if machine.micro_usd_per_hour is None]

    def totals(self, now: int, node: str | None = None) -> Totals:
        """Of the run, or of one machine."""
        leases = [lease for name, lease in self.leases.items() if node in (None, name)]
        attempts = [one for one in self.attempts.values() if node in (None, one.start.node)]
        return totals_of(leases, attempts, now)

    def of_trial(self, trial_id: str, now: int) -> tuple[float, int | None]:
        """Device-seconds of all attempts at a trial, and what they cost; None where a price is not known."""
        attempts = self.by_trial.get(trial_id, [])
        is_known = all(one.machine.micro_usd_per_hour is not None for one in attempts)
        seconds = sum(one.device_seconds(now) for one in attempts)
        return seconds, sum(one.micro_usd(now) for one in attempts) if attempts and is_known else None

    def _begin(self, now: int) -> None:
        """A new driver: machines that it sees again were there all the time; of the others nobody knows."""
        self._last_seen, self.has_begun, self.finished = self.now, True, None
        if self._driver_since is not None:  # the last one was killed
            self._end_driver(self.now)
        for attempt in self.open_attempts:
            attempt.end, attempt.outcome = self.now, LOST
        self._unclear = {node for node, lease in self.leases.items() if lease.since is not None}
        self._driver_since = self._driver_began = now

    def _end_driver(self, now: int) -> None:
        if self._driver_since is not None:
            self.driver_microseconds += now - self._driver_since
        self._driver_since = None

    def _join(self, machine: Machine, now: int) -> None:
        lease = self.leases.setdefault(machine.node, Lease(machine=machine))
        if machine != lease.machine:
            lease.end(now)
        lease.machine = machine
        self._unclear.discard(machine.node)
        lease.since = now if lease.since is None else lease.since

    def _leave(self, node: str, now: int) -> None:
        """It left: now, or, where only an earlier driver has seen it, some time after that one's last event."""
        lease = self.leases[node]
        if node in self._unclear:
            self._unclear.discard(node)
            lease.unseen += now - self._last_seen
            now = self._last_seen
        lease.end(now)
        for attempt in self.open_attempts:
            if attempt.start.node == node:
                attempt.end, attempt.outcome = now, LOST

    def _start(self, start: Start, now: int) -> None:
        if start.attempt in self.attempts:  # written twice, by a disk that failed in between
            return
        attempt = Attempt(start=start, machine=self.leases[start.node].machine, begin=now)
        self.attempts[start.attempt] = attempt
        self.by_trial.setdefault(start.trial_id, []).append(attempt)

    def _stop(self, stop: Stop, now: int) -> None:
        """What came of an attempt, and where, may be known only after its machine, or its driver, has gone."""
        attempt = self.attempts.get(stop.attempt)
        if attempt is None:
            return
        self._move(attempt, stop.node)
        if attempt.end is None:
            attempt.end = self._last_moment(attempt.start.node, attempt.begin, now)
        attempt.outcome, attempt.lost_from = stop.outcome, stop.lost_from

    def _move(self, attempt: Attempt, node: str | None) -> None:
        """Ray may have chosen another of several equal nodes."""
        if node not in self.leases or node == attempt.start.node:
            return
        if attempt.end is not None and attempt.begin >= self._driver_began:  # the other machine went, not its own
            attempt.end = None
        attempt.start = dataclasses.replace(attempt.start, node=node)
        attempt.machine = self.leases[node].machine

    def _last_moment(self, node: str, begin: int, now: int) -> int:
        """Now, or when the machine left."""
        lease = self.leases[node]
        if lease.since is not None or not lease.spans:
            return now
        return max(begin, min(now, lease.spans[-1][1][1]))
