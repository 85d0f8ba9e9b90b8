"""Retries: what happens to a trial whose worker died or hung, and to the kind of node that the worker ran on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

MAX_DEATHS = 3
MAX_HANGS = 2
MAX_BUSY = 3  # each waits for half a minute
# A worker often dies with its node, and its death is reported first: a trial placed there now would wait for ever.
SECONDS_TO_PAUSE = 5.0


class Retries:
    """Counts the deaths and hangs of each trial, and pauses a kind of node for a while after a worker died there.

    A trial is sent out again until its workers died `MAX_DEATHS` times or it hung `MAX_HANGS` times; then it is
    `failed`. One that was told to end, or that met a fault of a machine, is sent out again as often as it takes. One
    that ran out of memory is sent out once more if there are devices with more, and then on those alone.
    """

    def __init__(self) -> None:
        self._deaths: Counter[str] = Counter()
        self._hangs: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._paused_until: dict[str, float] = {}
        self._larger: dict[str, frozenset[str]] = {}

    def worker_died(self, trial_id: str, kind: str, now_seconds: float) -> bool:
        """Count a death, and place nothing on nodes of this kind for `SECONDS_TO_PAUSE`.

        Returns:
            Whether the trial is to be sent out once more.
        """
        self._deaths[trial_id] += 1
        self._paused_until[kind] = now_seconds + SECONDS_TO_PAUSE
        return self._deaths[trial_id] < MAX_DEATHS

    def hung(self, trial_id: str) -> bool:
        """Count a hang; whether the trial is to be sent out once more."""
        self._hangs[trial_id] += 1
        return self._hangs[trial_id] < MAX_HANGS

    def found_busy(self, trial_id: str) -> bool:
        """Count a try that found the trial's folder in use; whether it is to be tried once more."""
        self._busy[trial_id] += 1
        return self._busy[trial_id] < MAX_BUSY

    def ran_out_of_memory(self, trial_id: str, larger: Collection[str]) -> bool:
        """Whether the trial is to be sent out once more, from its start, on a device with more memory.

        Args:
            larger: the kinds of device that have more and that the trial may use, see `memory/fit.larger_kinds`.

        Returns:
            False the second time, and where no device has more: then its row stands.
        """
        if trial_id in self._larger or not larger:
            return False
        self._larger[trial_id] = frozenset(larger)
        return True

    def kinds_of(self, trial_id: str) -> frozenset[str] | None:
        """The kinds on which the trial may run since it ran out of memory; None: on all that it may use."""
        return self._larger.get(trial_id)

    def forget(self, trial_id: str) -> None:
        """A user wants the trial to be tried again: it begins with a clean record."""
        for counts in (self._deaths, self._hangs, self._busy):
            counts.pop(trial_id, None)
        self._larger.pop(trial_id, None)

    def paused_kinds(self, now_seconds: float) -> frozenset[str]:
        """The kinds of node on which nothing is to be placed now."""
        return frozenset(kind for kind, until in self._paused_until.items() if until > now_seconds)
