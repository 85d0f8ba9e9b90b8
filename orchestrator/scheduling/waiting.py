"""The trials that wait for a slot, and which of them goes first. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from orchestrator.search.planner import PlannedTrial

Need = tuple[str, float, float | None]

# Longest first, once all that waits is no more than the longest trial would be on every slot, so many times.
WAVES_OF_THE_TAIL = 3


def need_of(trial: PlannedTrial) -> Need:
    """What a trial must be given: trials of one need fit the same slots."""
    return trial.accelerator, trial.cpus, trial.gpus


class Waiting:
    """Trials in the order of the search; what goes on from a checkpoint before what is new.

    Args:
        work_of: what a trial costs, relative to others; asked once for each.
    """

    def __init__(self, trials: Iterable[PlannedTrial], work_of: Callable[[PlannedTrial], float]) -> None:
        self._work_of = work_of
        self._trials: dict[str, PlannedTrial] = {}
        self._by_need: dict[Need, dict[str, PlannedTrial]] = {}
        self._work: dict[str, float] = {}
        self._longest: list[tuple[float, str]] = []  # a heap; what waits no more is taken off when it comes up
        self._total = 0.0
        for trial in trials:
            self.add(trial)

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self._trials

    def __iter__(self) -> Iterator[PlannedTrial]:
        return iter(self._trials.values())

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def ids(self) -> Iterable[str]:
        return self._trials.keys()

    @property
    def needs(self) -> list[Need]:
        """The different needs, that of the first trial first."""
        return [need for need, trials in self._by_need.items() if trials]

    def add(self, trial: PlannedTrial, *, is_first: bool = False) -> None:
        """At the end of the line, or at its head."""
        self.pop(trial.trial_id)
        name, work = trial.trial_id, self._work_of(trial)
        for line in (self._trials, self._by_need.setdefault(need_of(trial), {})):
            rest = dict(line) if is_first else {}
            for other in rest:
                del line[other]
            line[name] = trial
            line.update(rest)
        self._work[name] = work
        self._total += work
        heapq.heappush(self._longest, (-work, name))

    def pop(self, trial_id: str) -> PlannedTrial | None:
        trial = self._trials.pop(trial_id, None)
        if trial is not None:
            self._by_need[need_of(trial)].pop(trial_id)
            self._total = self._total - self._work.pop(trial_id) if self._trials else 0.0
        return trial

    def of_need(self, need: Need, num_slots: int) -> Iterator[PlannedTrial]:
        """In the order in which they are to start.

        That of the search; near the end the longest first, so that no long one is left when the others are done. A
        sweep that is cut by its budget before has not left out its short trials.
        """
        group = self._by_need.get(need, {})
        if not self.is_tail(num_slots):
            return iter(group.values())
        return iter(sorted(group.values(), key=lambda trial: -self._work[trial.trial_id]))

    def is_tail(self, num_slots: int) -> bool:
        """Whether the longest trial that waits is long beside all that waits."""
        while self._longest and self._work.get(self._longest[0][1]) != -self._longest[0][0]:
            heapq.heappop(self._longest)
        return bool(self._longest) and self._total <= -self._longest[0][0] * num_slots * WAVES_OF_THE_TAIL
