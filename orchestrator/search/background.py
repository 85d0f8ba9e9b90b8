"""Suggestions computed in a thread while trials run, so that no slot waits for a method.

What is ready is replaced when results come in. A suggestion that is late, or whose method fails, is drawn at random
instead, and the record says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.search.adaptive import AdaptiveSearch
from orchestrator.search.history import BROKEN, LATE, History, Suggestion
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.suggest import Exhausted, Suggester
from search_spaces.spec.sweep_spec import SweepSpec

# A suggestion may be late by this share of a typical trial's time, within these seconds.
PATIENT_SHARE = 0.02
# After a result the driver starts the next trial. The thread lets it, where a suggestion is ready: both share one core.
SECONDS_TO_STAND_BACK = 0.3
MIN_PATIENCE_SECONDS, MAX_PATIENCE_SECONDS = 0.1, 5.0


class BackgroundSearch(AdaptiveSearch):
    """An adaptive search whose `ask` never waits for the method.

    Args:
        num_ahead: how many suggestions are kept ready.
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
        self._ahead = _Ahead(self.suggester, num_ahead)
        self._ahead.renew(self.history)

    def ask(self) -> Sequence[PlannedTrial]:
        answer = self._ahead.take(len(self.history.suggestions))
        if answer is None and self.suggester.is_quick(self.history):
            return self._take_own()
        if isinstance(answer, Exception):
            self._note_once(
                f"search method {self.spec.method} failed ({answer!r}): configs are drawn at random instead"
            )
            return self._take_own(BROKEN)
        if answer is not None:
            self._waiting_since = None
            return self._take(answer)
        now = self.clock()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since < self.patience_seconds:
            return ()
        self._note_once(f"search method {self.spec.method} is slower than the trials: some configs are drawn at random")
        return self._take_own(LATE)

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

    def _take_own(self, instead: str | None = None) -> Sequence[PlannedTrial]:
        """A suggestion of this thread. It knows all that was told, which those that are ready do not."""
        self._waiting_since = None
        trials = self._take(self.suggester.suggest(self.history, instead))
        self._ahead.begin_anew(self.history)
        return trials

    def _note_once(self, line: str) -> None:
        if line not in self._noted:
            self._noted.add(line)
            self.note(line)


class _Ahead:
    """The thread, and the suggestions that are ready: each was computed as if those before it were given."""

    def __init__(self, suggester: Suggester, num_ahead: int) -> None:
        self._suggester, self._num_ahead = suggester, num_ahead
        self._changed = threading.Condition()
        self._history: History | None = None
        self._is_stale = False
        self._epoch = 0  # an answer of an earlier one followed other suggestions than were given
        self._ready: dict[int, Suggestion | Exhausted | Exception] = {}
        self._is_closed = False
        self._busy_until = 0.0  # the driver has something to do
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)
        self._thread.start()

    def renew(self, history: History) -> None:
        """More was told: what is ready will do until it is replaced."""
        with self._changed:
            self._history, self._is_stale = history, True
            self._busy_until = time.monotonic() + SECONDS_TO_STAND_BACK
            self._changed.notify()

    def begin_anew(self, history: History) -> None:
        """The history has grown by another suggestion than was ready, or than is computed now."""
        with self._changed:
            self._history, self._is_stale = history, False
            self._epoch += 1
            self._ready.clear()
            self._changed.notify()

    def take(self, number: int) -> Suggestion | Exhausted | Exception | None:
        """What is ready under this number. The history grows by it in the same moment: else a suggestion that follows
        another one of this number could come to be ready.
        """
        with self._changed:
            answer = self._ready.pop(number, None)
            if isinstance(answer, Suggestion) and self._history is not None:
                self._history = self._history.with_suggestion(answer)
                self._busy_until = time.monotonic() + SECONDS_TO_STAND_BACK
                self._changed.notify()
            return answer

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            epoch, history, number = work
            try:
                answer: Suggestion | Exhausted | Exception = self._suggester.suggest(history)
            except Exception as error:  # any: a method that fails costs a random draw, never the sweep
                answer = error
            self._offer(epoch, number, answer)

    def _next(self) -> tuple[int, History, int] | None:
        """A history to compute the suggestion after; waits until there is one."""
        with self._changed:
            while True:
                if self._is_closed:
                    return None
                seconds = self._busy_until - time.monotonic()
                is_ready = self._history is not None and len(self._history.suggestions) in self._ready
                if is_ready and seconds > 0:
                    self._changed.wait(seconds)
                elif self._history is not None and (work := self._work(self._history)) is not None:
                    return self._epoch, *work
                else:
                    self._changed.wait()

    def _work(self, history: History) -> tuple[History, int] | None:
        number = len(history.suggestions)
        self._ready = {at: answer for at, answer in self._ready.items() if at >= number}
        if self._is_stale:  # the next one first: until it is there the old one will do
            self._is_stale = False
            return history, number
        for at in range(number, number + self._num_ahead):
            answer = self._ready.get(at)
            if answer is None:
                return history, at
            if not isinstance(answer, Suggestion):
                return None
            history = history.with_suggestion(answer)
        return None

    def _offer(self, epoch: int, number: int, answer: Suggestion | Exhausted | Exception) -> None:
        with self._changed:
            if epoch == self._epoch and self._history is not None and number >= len(self._history.suggestions):
                # those after it were computed as if another had been given
                self._ready = {at: one for at, one in self._ready.items() if at < number}
                self._ready[number] = answer
            self._changed.notify()
