"""The thread that computes suggestions ahead of time, for each kind of device that they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from orchestrator.search.history import History, Suggestion
from orchestrator.search.suggest import Exhausted, Suggester

# After a result the driver starts the next trial. The thread lets it, where a suggestion is ready: both share one core.
SECONDS_TO_STAND_BACK = 0.3

Kind = str | None  # of device; None: no matter which
Answer = Suggestion | Exhausted | Exception


class Ahead:
    """The thread, and the suggestions that are ready: each was computed as if those before it were given.

    Args:
        num_ahead: how many are kept ready for the kind that got the last one. For every other one it is the next.
        kinds: those that are likely to be asked for.
    """

    def __init__(self, suggester: Suggester, num_ahead: int, kinds: Sequence[Kind]) -> None:
        self._suggester, self._num_ahead = suggester, num_ahead
        self._changed = threading.Condition()
        self._history: History | None = None
        self._kinds = list(kinds)  # in the order in which theirs are computed
        self._stale: set[Kind] = set()  # more was told than their next suggestion knows
        self._ready: dict[Kind, list[Answer]] = {}  # the next suggestion, and those that follow it
        self._is_closed = False
        self._busy_until = 0.0  # the driver has something to do
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)
        self._thread.start()

    def renew(self, history: History) -> None:
        """More was told: what is ready will do until it is replaced."""
        with self._changed:
            self._history, self._stale = history, set(self._kinds)
            self._busy_until = time.monotonic() + SECONDS_TO_STAND_BACK
            self._changed.notify()

    def begin_anew(self, history: History) -> None:
        """The history has grown by another suggestion than was ready, or than is computed now."""
        with self._changed:
            self._history = history
            self._kinds = [*self._kinds[1:], *self._kinds[:1]]  # the first one was waited for, and has got one now
            self._stale.clear()
            self._ready.clear()
            self._changed.notify()

    def take(self, kinds: Sequence[Kind]) -> Answer | None:
        """What is ready for one of the kinds; None where it is to be waited for, and that of the first kind comes next.

        A kind that got one is likely to be busy for longer than the others, so its next one is computed last. The
        history grows by the suggestion in the same moment, and what is ready for other kinds does not follow it: a
        suggestion is a function of the history that it follows.
        """
        with self._changed:
            kind = next((one for one in kinds if self._ready.get(one)), kinds[0])
            others = [one for one in self._kinds if one != kind and (one is None) == (kind is None)]
            ready = self._ready.get(kind, [])
            answer = ready.pop(0) if ready else None
            self._kinds = [kind, *others] if answer is None else [*others, kind]
            if isinstance(answer, Suggestion) and self._history is not None:
                self._history = self._history.with_suggestion(answer)
                self._ready = {kind: ready}
                self._busy_until = time.monotonic() + SECONDS_TO_STAND_BACK
            elif isinstance(answer, Exhausted) and kind is not None:
                self._kinds = others
            self._changed.notify()
            return answer

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            kind, history = work
            try:
                kinds = None if kind is None else (kind,)
                answer: Answer = self._suggester.suggest(history, kinds=kinds)
            except Exception as error:  # any: a method that fails costs a random draw, never the sweep
                answer = error
            self._offer(kind, history, answer)

    def _next(self) -> tuple[Kind, History] | None:
        """A history to compute the suggestion after, and the kind; waits until there is one."""
        with self._changed:
            while True:
                if self._is_closed:
                    return None
                seconds = self._busy_until - time.monotonic()
                is_ready = bool(self._kinds and self._ready.get(self._kinds[0]))
                if is_ready and seconds > 0:
                    self._changed.wait(seconds)
                elif self._history is not None and (work := self._work(self._history)) is not None:
                    return work
                else:
                    self._changed.wait()

    def _work(self, history: History) -> tuple[Kind, History] | None:
        for kind in self._kinds:  # the next one of each first: until it is there the old one will do
            if kind in self._stale or not self._ready.get(kind):
                self._stale.discard(kind)
                return kind, history
        ready = self._ready[self._kinds[-1]] if self._kinds else []
        for answer in ready:
            if not isinstance(answer, Suggestion):
                return None
            history = history.with_suggestion(answer)
        return (self._kinds[-1], history) if ready and len(ready) < self._num_ahead else None

    def _offer(self, kind: Kind, follows: History, answer: Answer) -> None:
        """Keep an answer, unless others were given meanwhile than those that it follows."""
        with self._changed:
            given = () if self._history is None else self._history.suggestions
            num_between = len(follows.suggestions) - len(given)
            between = self._ready.get(kind, [])[: max(0, num_between)]
            if len(between) == num_between and (*given[-1:], *between)[-1:] == follows.suggestions[-1:]:
                # those after it were computed as if another had been given
                self._ready[kind] = [*between, answer]
            self._changed.notify()
