"""Suggestions computed in a thread while trials run, so that no slot waits for a method.

What is ready is replaced when results come in. A suggestion that is late, or whose method fails, is drawn at random
instead, and the record says so. `ahead.py` is the thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from orchestrator.search.adaptive import AdaptiveSearch
from orchestrator.search.ahead import Ahead, Kind
from orchestrator.search.history import BROKEN, LATE, History, Suggestion
from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sweep_spec import SweepSpec

# A suggestion may be late by this share of a typical trial's time, within these seconds.
PATIENT_SHARE = 0.02
NUM_LATELY = 16  # suggestions of an earlier call, which tell for which kinds of device more will be asked
MIN_PATIENCE_SECONDS, MAX_PATIENCE_SECONDS = 0.1, 5.0


class BackgroundSearch(AdaptiveSearch):
    """An adaptive search whose `ask` never waits for the method.

    Args:
        num_ahead: how many suggestions are kept ready for the kind of device that was asked for last.
        note: is given a line for the user, once for each thing that goes wrong.
    """

    def __init__(
        self,
        spec: SweepSpec,
        history: History,
        record: Callable[[Suggestion], None],
        *,
        num_ahead: int = 2,
        note: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(spec, history, record)
        self.note, self.clock = note, clock
        self.patience_seconds = MIN_PATIENCE_SECONDS
        self._trial_seconds: list[float] = []
        self._waiting_since: float | None = None
        self._noted: set[str] = set()
        self._ahead = Ahead(self.suggester, num_ahead, asked_lately(history))
        self._ahead.renew(self.history)

    def ask(self, kinds: Collection[str] | None = None) -> Sequence[PlannedTrial]:
        """The next trials; where several kinds are free, for the one whose suggestion is ready."""
        left = self._left(kinds)
        if left == []:
            return ()
        answer = self._ahead.take([None] if left is None else left)
        if answer is None and self.suggester.is_quick(self.history):
            return self._take_own(left)
        if isinstance(answer, Exception):
            self._note_once(
                f"search method {self.spec.method} failed ({answer!r}): configs are drawn at random instead"
            )
            return self._take_own(left, BROKEN)
        if answer is not None:
            self._waiting_since = None
            trials = self._take(answer)
            is_used_up = not trials and self.end is None
            return self.ask(kinds) if is_used_up else trials  # for the other kinds
        now = self.clock()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since < self.patience_seconds:
            return ()
        self._note_once(f"search method {self.spec.method} is slower than the trials: some configs are drawn at random")
        return self._take_own(left, LATE)

    def tell(self, row: Mapping[str, Any]) -> None:
        before = self.history
        super().tell(row)
        if self.history is before:
            return
        self._ahead.renew(self.history)
        if row.get("total_seconds"):
            self._trial_seconds = [*self._trial_seconds[-50:], row["total_seconds"]]
            typical = sorted(self._trial_seconds)[len(self._trial_seconds) // 2]
            self.patience_seconds = min(max(PATIENT_SHARE * typical, MIN_PATIENCE_SECONDS), MAX_PATIENCE_SECONDS)

    def close(self) -> None:
        """End the thread; what it computes last is lost."""
        self._ahead.close()

    def _take_own(self, kinds: Collection[str] | None, instead: str | None = None) -> Sequence[PlannedTrial]:
        """A suggestion of this thread. It knows all that was told, which those that are ready do not."""
        self._waiting_since = None
        trials = self._take(self.suggester.suggest(self.history, instead, kinds))
        self._ahead.begin_anew(self.history)
        return trials

    def _note_once(self, line: str) -> None:
        if line not in self._noted:
            self._noted.add(line)
            self.note(line)


def asked_lately(history: History) -> list[Kind]:
    """The kinds of device that the last suggestions were asked for, the last one first; None in a new run."""
    lately = [one.kinds or (None,) for one in reversed(history.suggestions[-NUM_LATELY:])]
    kinds: list[Kind] = list(dict.fromkeys(kind for one in lately for kind in one))
    return [kind for kind in kinds if (kind is None) == (kinds[0] is None)] or [None]
