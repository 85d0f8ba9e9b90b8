"""What starts next, on which slot, and when nothing is left to do. Free of Ray and of any clock.

The driver asks it for every free slot, and the simulator of a night asks the same object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.scheduling.memory.room import MemoryRoom, Room
from orchestrator.scheduling.one_kind import OneKind
from orchestrator.scheduling.placement import CPU, Node, Pool, Slot, choose
from orchestrator.scheduling.retries import Retries
from orchestrator.scheduling.time_for_confirmation import TimeForConfirmation
from orchestrator.scheduling.waiting import Need, Waiting, need_of
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import SearchAndConfirmation
from search_spaces.spec.sections.accelerators import needs_in_words

# Trials that wait for another kind of device than is free; beyond it no more are asked for.
MAX_WAITING = 32

# So many trials wait that would not end in time: the search hardly gives a shorter one.
MOST_TOO_LATE = 8

# When the last node that could run what waits is lost: machines are started again, and pods come back.
SECONDS_FOR_NODES_TO_JOIN = 600.0

KindsOf = Callable[[PlannedTrial], Collection[str] | None]


class Sweep(Protocol):
    """What the dispatcher sees of a sweep."""

    @property
    def search(self) -> SearchAndConfirmation: ...

    @property
    def status(self) -> SweepStatus: ...

    @property
    def timed(self) -> TimedBudget: ...

    @property
    def examples(self) -> Sequence[PlannedTrial]:
        """Trials such as the search gives."""
        ...


@dataclasses.dataclass(frozen=True)
class Start:
    """A trial that starts now, and the slot that it holds until it ends."""

    trial: PlannedTrial
    slot: Slot


class Dispatcher:
    """See the module. It holds no state that a restart needs.

    Args:
        waiting: trials that are to be run, those that go first in front.
        patience_seconds: so long, when no node is left that could run what waits, one may still join.
        note: is given a line for the user.
    """

    def __init__(
        self,
        sweep: Sweep,
        pool: Pool,
        waiting: Sequence[PlannedTrial],
        patience_seconds: float = 0.0,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.sweep, self.pool, self.retries, self.one_kind = sweep, pool, Retries(), OneKind(note)
        self.memory, self.patience_seconds, self.note = MemoryRoom(pool), patience_seconds, note
        self._stuck_since: float | None = None
        self._kept = TimeForConfirmation(sweep.search, sweep.timed, pool)
        self._is_search_cut = False  # by the time that is kept for confirmation
        self.unfit: list[tuple[PlannedTrial, str]] = []  # taken from what waits: no device has the memory, and why
        self.waiting = Waiting(waiting, self._work_of)
        self.running: dict[str, PlannedTrial] = {}
        self._of_nodes: tuple[tuple[Node, ...], int, bool] | None = None
        self.held_recipes: set[str] = set()  # by the circuit breaker
        # what the trials of the search may need, once each
        self.needs = list({need_of(one): one for one in sweep.examples}.values())

    def next(self, now_seconds: float) -> Start | Literal["over"] | None:
        """The next trial to start; None while no slot is free for any; `over` when nothing runs and nothing can."""
        paused = self.retries.paused_kinds(now_seconds)
        start = None if self.sweep.status.is_stopping else self._choose(paused, now_seconds)
        if start is None and not self.sweep.status.is_stopping and self._take_more(paused):
            start = self._choose(paused, now_seconds)
        if start is None and self.unfit:
            return None  # they are to have their rows first: the search may have waited for them
        if start is None and (self._begin_confirmation() or self._go_on_searching()):
            return self.next(now_seconds)
        if start is None:
            return "over" if not self.running and self._is_over(now_seconds) else None
        self._stuck_since = None
        self.waiting.pop(start.trial.trial_id)
        self.running[start.trial.trial_id] = start.trial
        self.pool.acquire(start.trial.trial_id, start.slot)
        self.one_kind.placed(start.trial, start.slot.kind)
        return start

    def ended(self, trial_id: str) -> PlannedTrial:
        """A trial holds its slot no more."""
        self.pool.release(trial_id)
        return self.running.pop(trial_id)

    def send_again(self, trial: PlannedTrial) -> None:
        """An attempt has ended without a row: the trial goes first, as its checkpoint is the furthest on."""
        self.one_kind.ended(trial, None)
        self.waiting.add(trial, is_first=True)

    def recorded(self, trial: PlannedTrial, row: Mapping[str, Any]) -> None:
        """A trial has ended with this row."""
        self.one_kind.ended(trial, row)
        self.memory.ended(row, trial)

    def goes_to_a_larger_device(self, trial: PlannedTrial, slot: Slot) -> bool:
        """Whether a trial that ran out of memory in this slot is to be sent out once more, from its start."""
        return self.retries.ran_out_of_memory(trial.trial_id, self.memory.larger_kinds(trial, slot))

    def take_unfit(self) -> list[tuple[PlannedTrial, str]]:
        """The trials that were found to fit no device since this was last asked."""
        found, self.unfit = self.unfit, []
        return found

    def is_under_way(self, trial_id: str) -> bool:
        """Whether a trial waits or runs."""
        return trial_id in self.waiting or trial_id in self.running

    def _choose(self, paused: frozenset[str], now_seconds: float) -> Start | None:
        """Of every need for which a slot is free, the first trial; and of these, the one that is to start."""
        if self.sweep.timed.is_over:
            return None
        of_seeds = self.one_kind.at(self.pool, now_seconds)
        firsts = [self._first(need, paused, of_seeds) for need in self.waiting.needs]
        for trial, _ in self.unfit:
            self.waiting.pop(trial.trial_id)
        able = [trial for trial in firsts if trial is not None]
        placed = choose(able, self.pool, paused=paused, kinds_of=lambda trial: self._kinds_now(trial, of_seeds))
        return None if placed is None else Start(*placed)

    def _first(self, need: Need, paused: frozenset[str], of_seeds: KindsOf) -> PlannedTrial | None:
        """The first trial of a need that can start now; what fits no device on the way is set aside."""
        for trial in self.waiting.of_need(need, self._num_slots):
            if self.pool.free_slot(trial, paused) is None:
                return None
            if (refusal := self._room(trial).refusal) is not None:
                self.unfit.append((trial, refusal))
            elif trial.config.recipe not in self.held_recipes:
                kinds = self._kinds_now(trial, of_seeds)
                if kinds and self.pool.free_slot(trial, paused, kinds) is not None:
                    return trial
        return None

    def _kinds_now(self, trial: PlannedTrial, of_seeds: KindsOf) -> frozenset[str]:
        """The kinds on which a trial may start now: with room for it, in time, and that of its other seeds.

        Where that kind is here and is no choice any more, the seeds part; one that is away is waited for.
        """
        kinds = frozenset(kind for kind in self._possible_kinds(trial) if self._is_in_time(trial, kind))
        held = of_seeds(trial)
        if held is None:
            return kinds
        is_away = not self.pool.kinds_for(trial) & frozenset(held)
        return kinds & frozenset(held) or (frozenset() if is_away else kinds)

    def _possible_kinds(self, trial: PlannedTrial) -> frozenset[str]:
        """The kinds that are here on which a trial could run, whenever that is."""
        kinds, room, larger = self.pool.kinds_for(trial), self._room(trial).kinds, self.retries.kinds_of(trial.trial_id)
        kinds = kinds if room is None else kinds & room
        return kinds if larger is None else kinds & larger

    def _room(self, trial: PlannedTrial) -> Room:
        return self.memory.of(trial, self.sweep.timed.costs.of(trial))

    def _take_more(self, paused: frozenset[str]) -> bool:
        """Ask the search for its next trials, where a slot is free that nothing waits for; whether any came."""
        search, status = self.sweep.search, self.sweep.status
        if search.end is not None or self._asks_in_vain:
            return False
        kinds = self._kinds_to_ask_for(paused)
        if kinds == frozenset() or self._num_in_time(kinds) >= MAX_WAITING:
            return False
        trials = search.ask(kinds)
        for trial in trials:
            status.planned(trial.trial_id, self.sweep.timed.costs.of(trial), search.settings_of(trial.trial_id))
            self.waiting.add(trial)
        status.num_trials = len(search.trials) + search.num_to_come
        return bool(trials)

    def _kinds_to_ask_for(self, paused: frozenset[str]) -> frozenset[str] | None:
        """The kinds of device with a slot that is free, and that nothing which waits can take; may be empty.

        None: no matter which kind, as all trials of the search can run on the same ones.
        """
        free, used_up = self.pool.free_kinds(self.needs, paused), self.sweep.search.used_up
        if self._run_alike or self.sweep.search.is_confirming:
            return None if free and self._may_ask else frozenset()
        is_idle = not self.running and next(self._candidates(), None) is None
        if free and free <= set(used_up) and is_idle:
            return None  # what is left may need a kind that is not here: it waits then, and the sweep ends
        kept = self._kept.seconds()
        return frozenset(kind for kind in free.difference(used_up) if self.sweep.timed.may_ask([kind], kept))

    @property
    def _may_ask(self) -> bool:
        """Whether what the search gives next may be finished in time."""
        search = self.sweep.search
        if search.is_confirming:
            trials = search.to_confirm
            return not trials or any(True for _ in self._in_time(trials))
        kinds = (kind for kind in self.pool.kinds if kind not in search.used_up)
        return not self._asks_in_vain and self.sweep.timed.may_ask(kinds, self._kept.seconds())

    @property
    def _asks_in_vain(self) -> bool:
        """Whether what the search gave last would not end in time, again and again."""
        if len(self.waiting) < MOST_TOO_LATE or self.sweep.search.is_confirming:
            return False
        num_not_held = sum(1 for _ in self._not_held())
        return num_not_held - sum(1 for _ in self._candidates()) >= MOST_TOO_LATE

    def _is_in_time(self, trial: PlannedTrial, kind: str) -> bool:
        """Whether a trial would be finished in time; one of the search, in the time that is not kept."""
        return self.sweep.timed.is_in_time(trial, kind, self._kept.kept_from(trial))

    def _num_in_time(self, kinds: frozenset[str] | None) -> int:
        """Of the trials that wait for one of the kinds; how many more than `MAX_WAITING` is of no interest."""
        if len(self.waiting) < MAX_WAITING:
            return len(self.waiting)
        able = (one for one in self._candidates() if kinds is None or kinds & self.pool.kinds_for(one))
        return sum(1 for _ in zip(range(MAX_WAITING), able, strict=False))

    def _candidates(self) -> Iterator[PlannedTrial]:
        """Trials that wait, are not held back, and would be finished in time on some kind of device."""
        return self._in_time(self._not_held())

    def _in_time(self, trials: Iterable[PlannedTrial]) -> Iterator[PlannedTrial]:
        """Of some trials, those that would be finished in time on some kind of device."""
        here = self.pool.kinds or (CPU,)  # while no node is there, by what is known of any
        for trial in trials:
            if any(self._is_in_time(trial, kind) for kind in self._possible_kinds(trial) or here):
                yield trial

    def _not_held(self) -> Iterator[PlannedTrial]:
        return (trial for trial in self.waiting if trial.config.recipe not in self.held_recipes)

    def _is_over(self, now_seconds: float) -> bool:
        """Nothing runs: whether nothing will. What is held back never ends, and so what waits for it never comes."""
        status, search = self.sweep.status, self.sweep.search
        if status.is_stopping:
            return True
        candidates = list(self._candidates())
        is_over = not candidates and (search.end is not None or search.waits_for_results)
        if (is_over and (status.counts["deadline"] or self._is_search_cut)) or self._is_out_of_time(candidates):
            status.stop(self.sweep.timed.reach(), kind="budget")
        return status.is_stopping or is_over or self._is_stuck(candidates or self.needs, now_seconds)

    def _begin_confirmation(self) -> bool:
        """Let confirmation begin where nothing of the search would end before the time kept for it; whether it does."""
        if self.running or self.sweep.status.is_stopping or not (seconds := self._kept.seconds()):
            return False
        search = self.sweep.search
        if search.is_confirming:  # all of the search is given: is something of it too long, and nothing held back?
            num_waiting = sum(1 for _ in self._not_held())
            may_go_on = not num_waiting or num_waiting < len(self.waiting)
        else:
            may_go_on = self._may_ask
        may_go_on = may_go_on or next(self._candidates(), None) is not None
        if may_go_on or self.sweep.timed.is_over or not search.begin_confirmation():
            return False
        self._is_search_cut = True
        self.note(f"the search ends here: {seconds / 60:.3g} minutes of the budget are kept for confirmation")
        return True

    def _go_on_searching(self) -> bool:
        """After a confirmation for which the search was cut: whether so much time is left that it goes on."""
        if not self._is_search_cut or self.running or self.sweep.status.is_stopping:
            return False
        if self.sweep.search.end is None or next(self._candidates(), None) is not None:
            return False
        self._is_search_cut = False
        self.sweep.search.go_on_searching()
        if self.sweep.search.end is not None or not self._may_ask:
            self._is_search_cut = True
            return False
        self.note("all is confirmed, and time is left: the search goes on")
        return True

    def _is_out_of_time(self, candidates: Sequence[PlannedTrial]) -> bool:
        """Something is left to do, and nothing of it would be finished in time."""
        is_planned = self.sweep.search.end is not None
        is_left = not is_planned or any(True for _ in self._not_held())
        return is_left and not candidates and (is_planned or not self._may_ask)

    def _is_stuck(self, candidates: Sequence[PlannedTrial], now_seconds: float) -> bool:
        """No node that is left could run what waits: nodes were lost, and none has joined in time, or excluded."""
        lost = [trial for trial in candidates if not self._possible_kinds(trial)]
        if len(lost) < len(candidates):
            self._stuck_since = None
            return False
        kinds = needs_in_words(trial.accelerator for trial in lost)
        memory = "" if all(not self.pool.kinds_for(trial) for trial in lost) else " and more memory"
        why = "".join(f"; {reason}" for reason in self.pool.excluded.values() if reason)
        text = f"no node is left for {len(lost)} trials that need {kinds}{memory}{why}"
        # a node at fault does not come back by itself
        patience_seconds = self.patience_seconds if self.pool.seen - self.pool.excluded.keys() else 0.0
        if self._stuck_since is None:
            self._stuck_since = now_seconds
            if patience_seconds:
                self.note(f"{text}: waiting {patience_seconds / 60:.0f} minutes for one to join")
        if now_seconds - self._stuck_since < patience_seconds:
            return False
        self.sweep.status.stop(text, kind="fault")
        return True

    @property
    def _num_slots(self) -> int:
        """How many trials the nodes can hold."""
        return self._facts[1]

    @property
    def _run_alike(self) -> bool:
        """Whether all trials of the search can run on the same kinds of device."""
        return self._facts[2]

    @property
    def _facts(self) -> tuple[tuple[Node, ...], int, bool]:
        """Counted once for each set of nodes."""
        if self._of_nodes is None or self._of_nodes[0] is not self.pool.nodes:
            run_alike = len({self.pool.kinds_for(need) for need in self.needs}) <= 1
            self._of_nodes = self.pool.nodes, self.pool.num_slots(self.needs), run_alike
        return self._of_nodes

    def _work_of(self, trial: PlannedTrial) -> float:
        cost = self.sweep.status.time_left.costs.get(trial.trial_id)
        return self.sweep.status.time_left.average_work if cost is None else cost.work
