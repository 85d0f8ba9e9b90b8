"""One night on a virtual clock: trials that only take time, with the driver's own dispatcher, budget and ledger.

Drawn from a seed: how long trials take, which are stopped early, which machines are slow or lost. What is decided is
decided by the code that the driver runs.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import random
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.ledger.events import MICROSECONDS, Machine, NoLog
from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.progress.running_trial import Running
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.scheduling.dispatcher import SECONDS_FOR_NODES_TO_JOIN, Dispatcher, Start
from orchestrator.scheduling.placement import Pool
from orchestrator.search.planner import PlannedTrial
from orchestrator.simulator.fleet import nodes_of
from orchestrator.simulator.setting import NightResult, Setting, what_ended
from orchestrator.simulator.simulated_search import SimulatedSearch

SECONDS_BETWEEN_CHECKPOINTS = 60.0
# A worker's first trial waits until torch and Ray are imported; between two trials the driver records and sends. As
# measured on two cores: 3.1 s, and .027 s in the median.
FIRST_START_SECONDS, START_SECONDS = 3.5, 0.05
# A trial that is told to end writes its checkpoint and its state.
LEAST_SECONDS_TO_END, MOST_SECONDS_TO_END = 0.5, 4.0
SECONDS_BETWEEN_LOOKS = 1.0


@dataclasses.dataclass(kw_only=True)
class _Attempt:
    """A trial that holds a slot. `train` and `beside` are the seconds it takes from where it began."""

    number: int
    trial: PlannedTrial
    machine: Machine
    kind: str
    begin: float
    train: float
    beside: float
    first_share: float  # of the steps, done before
    last_share: float  # of the steps, at which it ends
    outcome: str
    is_told: bool = False
    is_frozen: bool = False  # its machine is lost, and nobody has noticed

    def share(self, now: float) -> float:
        """Of all steps, those that are done."""
        if self.train <= 0:
            return self.last_share
        done = min(1.0, max(0.0, (now - self.begin) / self.train))
        return self.first_share + (self.last_share - self.first_share) * done


class Night:
    """See the module; `run` gives the result."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.rng, self.now = setting, random.Random(f"night/{seed}"), 0.0
        spec = setting.spec
        self.books = Bookkeeper(NoLog(), spec.prices, clock=lambda: round(self.now * MICROSECONDS))
        self.timed = TimedBudget(
            setting.budget,
            lambda budget: budget,
            self.books,
            lambda: setting.begin + timedelta(seconds=self.now),
            setting.durations.copy(),
        )
        self.timed.costs = setting.costs
        self.timed.done = dict(setting.done)
        self.world = setting.durations.draw_world(self.rng)
        chances = setting.chances
        cheaper = self.rng.gauss(chances.cheaper, chances.cheaper_sigma)
        self.search = SimulatedSearch(spec, setting.trials, setting.costs, self.rng, cheaper)
        self.stopped_share = self.rng.uniform(*chances.stopped_shares)
        self.all_work = sorted(setting.costs.of(trial).work for trial in setting.trials.all)
        self.status = SweepStatus(num_trials=0, objective=("ce", "min"), started_seconds=0.0)
        self.examples: Sequence[PlannedTrial] = setting.trials.all
        self.machines = {one.node: one for one in setting.machines}
        pool = Pool(nodes_of(setting.machines))
        self.dispatcher = Dispatcher(self, pool, list(self.search.trials), SECONDS_FOR_NODES_TO_JOIN)
        self.dispatcher.one_kind.config_of = self.search.config_of
        self.slow = {one.node: self._speed() for one in setting.machines}
        self.attempts: dict[str, _Attempt] = {}  # that hold a slot, by trial id
        self.fates: dict[str, tuple[float, str]] = {}  # by trial id: the share of its steps at which it ends, and how
        self.warm: Counter[str] = Counter()  # processes that have run a trial, by node
        self.first_result_seconds = math.inf
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)
        self._next_look = math.inf

    def run(self) -> NightResult:
        self.books.begin(lambda trial_id: None)
        self.books.saw(self.machines.values())
        for node in list(self.machines):
            self._may_lose(node)
        while self._start_all():
            self._look_again()
            if not self._events:  # a kind of node is paused after a loss
                self._after(SECONDS_BETWEEN_LOOKS, lambda: None)
            self.now, _, act = heapq.heappop(self._events)
            act()
        seconds = self.now
        self.books.end()
        return self._result(seconds)

    def _start_all(self) -> bool:
        """Start what can start; whether the night goes on."""
        self._obey_deadline()
        while True:
            num_given = len(self.search.trials)
            start = self.dispatcher.next(self.now)
            unfit = self.dispatcher.take_unfit()
            for trial, _ in unfit:
                self._ended_as(trial.trial_id, "infeasible")
            if start == "over":
                return False
            if isinstance(start, Start):
                self._start(start)
            elif not unfit and len(self.search.trials) == num_given:
                return True

    def _ended_as(self, trial_id: str, status: str) -> None:
        """A trial has its row, and no more is to be learned from it."""
        row = {"trial_id": trial_id, "status": status}
        self.status.already_finished(row)
        self.search.tell(row)

    def _start(self, start: Start) -> None:
        trial, node, kind = start.trial, start.slot.node_id, start.slot.kind
        if trial.trial_id not in self.fates:
            self.fates[trial.trial_id] = self._fate(trial)
        last_share, outcome = self.fates[trial.trial_id]
        takes = self.world.seconds(self.setting.costs.of(trial), kind, self.rng)
        assert takes is not None, f"nothing is known of {kind}"  # `forecast_of` has asked
        first_share = min(self.timed.done.get(trial.trial_id, 0.0), last_share)
        slow = self.slow[node]
        attempt = _Attempt(
            number=next(self._numbers),
            trial=trial,
            machine=self.machines[node],
            kind=kind,
            begin=self.now + self._start_seconds(node),
            train=takes.steps * slow * (last_share - first_share),
            beside=takes.beside * slow if outcome == "completed" else 1.0,
            first_share=first_share,
            last_share=last_share,
            outcome=outcome,
        )
        self.attempts[trial.trial_id] = attempt
        self.books.started(attempt.number, trial.trial_id, start.slot)
        self.status.started(trial.trial_id, kind)
        seconds = attempt.begin - self.now + attempt.train + attempt.beside
        self._after(seconds, lambda: self._end(attempt, attempt.outcome))

    def _start_seconds(self, node: str) -> float:
        """Each process of a node imports torch once."""
        at_once = sum(one.machine.node == node for one in self.attempts.values()) + 1
        if self.warm[node] < at_once:
            self.warm[node] = at_once
            return FIRST_START_SECONDS
        return START_SECONDS

    def _fate(self, trial: PlannedTrial) -> tuple[float, str]:
        chances = self.setting.chances
        if self.rng.random() < chances.out_of_memory_share:
            return 0.0, "out_of_memory"
        num_ended = self.status.num_finished
        is_judged = num_ended >= chances.num_run_to_their_end and self.search.is_looked_at(trial)
        if is_judged and self.rng.random() < self.stopped_share * 2 * self._rank(trial):
            return self.rng.choice(chances.stopped_at), "stopped_early"
        return 1.0, "completed"

    def _rank(self, trial: PlannedTrial) -> float:
        """Of its work among that of all configs, from 0 to 1: what is stopped is beaten by a model of no more bytes."""
        work = self.setting.costs.of(trial).work
        return (bisect_left(self.all_work, work) + bisect_right(self.all_work, work)) / 2 / len(self.all_work)

    def _end(self, attempt: _Attempt, outcome: str) -> None:
        trial = attempt.trial
        if self.attempts.get(trial.trial_id) is not attempt or attempt.is_frozen:
            return
        if outcome == "out_of_memory" and self._goes_to_a_larger_device(attempt):
            return
        row = self._row(attempt, outcome)
        del self.attempts[trial.trial_id]
        self.timed.done[trial.trial_id] = attempt.share(self.now)
        self.dispatcher.ended(trial.trial_id)
        self.books.stopped(attempt.number, outcome, node=attempt.machine.node)
        self.status.running.pop(trial.trial_id, None)
        self.status.already_finished(row)
        self.search.tell(row)
        self.timed.ended(row, trial)
        self.dispatcher.recorded(trial, row)
        if outcome == "completed":
            self.first_result_seconds = min(self.first_result_seconds, self.now)

    def _goes_to_a_larger_device(self, attempt: _Attempt) -> bool:
        """Whether the trial is sent out once more, to where it has room."""
        trial, slot = attempt.trial, self.dispatcher.pool.held[attempt.trial.trial_id]
        if not self.dispatcher.goes_to_a_larger_device(trial, slot):
            return False
        self.fates[trial.trial_id] = (1.0, "completed")
        del self.attempts[trial.trial_id]
        self.dispatcher.ended(trial.trial_id)
        self.books.stopped(attempt.number, None)
        self.status.lost(trial.trial_id, died=False)
        self.dispatcher.send_again(trial)
        return True

    def _row(self, attempt: _Attempt, outcome: str) -> dict[str, Any]:
        """What the driver reads of a row."""
        is_whole = outcome == "completed" and attempt.first_share == 0
        return {
            "trial_id": attempt.trial.trial_id,
            "status": outcome,
            "accelerator": attempt.kind,
            "train_seconds": attempt.train,
            "total_seconds": attempt.train + attempt.beside,
            "steps_repeated": 0 if is_whole else 1,
        }

    def _obey_deadline(self) -> None:
        """As the driver does once a second; here only when there is something to obey."""
        left = self.timed.left()
        if left.seconds > left.seconds_to_end:
            return
        for attempt in self.attempts.values():
            self._say_progress(attempt)
        costs = {name: self.setting.costs.of(one.trial) for name, one in self.attempts.items()}
        for trial_id, _ in self.timed.to_end(self.status.running.values(), costs):
            attempt = self.attempts[trial_id]
            if not attempt.is_told and not attempt.is_frozen:
                attempt.is_told = True
                self._after(self._seconds_to_end(), lambda attempt=attempt: self._end(attempt, "deadline"))  # type: ignore[misc]

    def _seconds_to_end(self) -> float:
        return self.rng.uniform(LEAST_SECONDS_TO_END, MOST_SECONDS_TO_END)

    def _say_progress(self, attempt: _Attempt) -> None:
        running: Running = self.status.running[attempt.trial.trial_id]
        cost, steps = self.setting.costs.of(attempt.trial), attempt.last_share - attempt.first_share
        running.total_steps = 1_000_000
        running.step = int(running.total_steps * attempt.share(self.now))
        running.tokens_per_s = cost.tokens * steps / attempt.train if attempt.train > 0 else 0.0

    def _look_again(self) -> None:
        """Wake up when the end is near, and then every second."""
        left = self.timed.left()
        if math.isinf(left.seconds):
            return
        at = self.now + max(SECONDS_BETWEEN_LOOKS, left.seconds - left.seconds_to_end)
        if at < self._next_look or self._next_look <= self.now:
            self._next_look = at
            self._after(at - self.now, lambda: None)

    def _may_lose(self, node: str) -> None:
        """A machine may be lost at any time: as often in the next hour as in the last."""
        if self.setting.chances.losses_per_day > 0:
            seconds = self.rng.expovariate(self.setting.chances.losses_per_day / 86_400)
            self._after(seconds, lambda: self._lose(node))

    def _lose(self, node: str) -> None:
        """Its trials stand still at once; the driver notices later, and until then it is paid for."""
        for attempt in self.attempts.values():
            attempt.is_frozen = attempt.is_frozen or attempt.machine.node == node
        self._after(self.setting.chances.notice_seconds, lambda now=self.now: self._notice(node, now))  # type: ignore[misc]

    def _notice(self, node: str, lost_at: float) -> None:
        machine = self.machines.pop(node)
        self._see_machines()
        for attempt in [one for one in self.attempts.values() if one.machine.node == node]:
            self._send_out_again(attempt, lost_at)
        number = next(self._numbers)
        again = dataclasses.replace(machine, node=f"{node.partition('+')[0]}+{number}")
        self._after(self.setting.chances.return_seconds, lambda: self._join(again))

    def _send_out_again(self, attempt: _Attempt, lost_at: float) -> None:
        trial_id = attempt.trial.trial_id
        num_checkpoints = int(max(0.0, lost_at - attempt.begin) / SECONDS_BETWEEN_CHECKPOINTS)
        checkpoint_at = attempt.begin + num_checkpoints * SECONDS_BETWEEN_CHECKPOINTS
        del self.attempts[trial_id]
        self.timed.done[trial_id] = attempt.share(checkpoint_at) if num_checkpoints else attempt.first_share
        self.dispatcher.ended(trial_id)
        self.books.stopped(attempt.number, None, checkpoint_seconds=checkpoint_at if num_checkpoints else None)
        self.status.lost(trial_id, died=True)
        if self.dispatcher.retries.worker_died(trial_id, attempt.kind, self.now):
            self.dispatcher.send_again(attempt.trial)
            return
        self._ended_as(trial_id, "failed")

    def _join(self, machine: Machine) -> None:
        self.machines[machine.node] = machine
        self.slow[machine.node] = self._speed()
        self._see_machines()
        self._may_lose(machine.node)

    def _see_machines(self) -> None:
        self.books.saw(self.machines.values())
        self.dispatcher.pool.set_nodes(nodes_of(list(self.machines.values())))

    def _speed(self) -> float:
        chances = self.setting.chances
        return chances.slow_factor if self.rng.random() < chances.slow_share else 1.0

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + max(0.0, seconds), next(self._numbers), act))

    def _result(self, seconds: float) -> NightResult:
        ledger, now = self.books.ledger, self.books.ledger.now
        num_open = len(self.dispatcher.waiting) + len(self.attempts)
        num_ended = self.status.num_finished
        return NightResult(
            seconds=seconds,
            counts=dict(self.status.counts),
            num_left=num_open + self.status.counts["deadline"] + self.search.num_to_come,
            num_vanished=len(self.search.trials) - num_ended - num_open,
            busy=self._busy(now),
            first_result_seconds=self.first_result_seconds,
            totals=ledger.totals(now),
            end=what_ended(self.timed, self.status),
        )

    def _busy(self, now: int) -> dict[str, float]:
        """By kind: device-seconds that trials held over those that were there."""
        there: dict[str, float] = defaultdict(float)
        held: dict[str, float] = defaultdict(float)
        for lease in self.books.ledger.leases.values():
            whole = lease.machine.gpus or 1.0
            there[lease.machine.accelerator] += whole * lease.microseconds(now) / MICROSECONDS
        for attempt in self.books.ledger.attempts.values():
            held[attempt.machine.accelerator] += attempt.device_seconds(now)
        return {kind: held[kind] / seconds for kind, seconds in there.items() if seconds > 0}
