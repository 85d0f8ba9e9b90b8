"""A search that learns from what has finished: every answer is recorded before its trials are given.

Free of Ray and of any clock; `background.py` computes the answers ahead of time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.search.history import BROKEN, LATE, Arm, History, Suggestion, Told
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.replicates import is_due
from orchestrator.search.suggest import Exhausted, Suggester
from search_spaces.spec.sweep_spec import SweepSpec


class AdaptiveSearch:
    """Methods that learn from what has finished.

    Args:
        spec: with an adaptive method.
        history: what was suggested and told before.
        record: is given every suggestion before its trials are.
    """

    def __init__(self, spec: SweepSpec, history: History, record: Callable[[Suggestion], None]) -> None:
        self.spec, self.history, self.record = spec, history, record
        self.suggester = Suggester(spec)
        self.trials: list[PlannedTrial] = [trial for arm in history.arms for trial in arm.trials]
        self.end: str | None = None
        self.used_up: set[str] = set()
        self._arms: dict[str, Arm] = {trial.trial_id: arm for arm in history.arms for trial in arm.trials}
        self._told = {one.trial_id: one for one in history.told}

    @property
    def num_to_come(self) -> int:
        return 0 if self.end is not None else max(0, (self.spec.num_to_search or 0) - len(self.trials))

    @property
    def waits_for_results(self) -> bool:
        return False

    @property
    def told_ids(self) -> Collection[str]:
        """The trials that it was told of."""
        return self._told.keys()

    def ask(self, kinds: Collection[str] | None = None) -> Sequence[PlannedTrial]:
        left = self._left(kinds)
        return () if left == [] else self._take(self.suggester.suggest(self.history, kinds=left))

    def tell(self, row: Mapping[str, Any]) -> None:
        told = Told.of_row(row)
        if told.trial_id in self._arms and self._told.get(told.trial_id) != told:
            self._told[told.trial_id] = told
            self.history = dataclasses.replace(self.history, told=(*self.history.told, told))
            if self.used_up and is_due(self.spec, self.history):  # a config may get a further seed
                self.used_up.clear()

    def tell_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self.tell(row)

    def reopened(self, trial_id: str) -> None:
        """Nothing: it is told again when it ends."""

    def look_ahead(self) -> None:
        """Learn whether there is a next config, without giving it."""
        answer = Suggester(self.spec).suggest(self.history)  # its own: another thread may be using the other one
        if isinstance(answer, Exhausted):
            self.end = answer.reason

    def close(self) -> None:
        """Nothing runs."""

    def text(self) -> str:
        if not self.history.num_replicates:
            return ""
        in_doubt = self.suggester.num_in_doubt
        configs = "1 config" if in_doubt == 1 else f"{in_doubt} configs"
        return f"{self.history.num_replicates} replicates, front in doubt: {configs}"

    def settings_of(self, trial_id: str) -> str:
        """What the search chose for a trial, beside what its id says."""
        chosen = self._arms[trial_id].candidate.chosen if trial_id in self._arms else ()
        said = ("recipe", "model", "model.num_layers", "model.dim")
        return " ".join(
            f"{one.key.rpartition('.')[2].replace('_', ' ')} {value:.3g}" if isinstance(value, float) else
            f"{one.key.rpartition('.')[2].replace('_', ' ')} {value}"
            for one, _, value in chosen
            if one.key not in said
        )  # fmt: skip

    def _left(self, kinds: Collection[str] | None) -> list[str] | None:
        """Of the kinds of device, in order, those that are not used up: finding that out again takes long."""
        return None if kinds is None else sorted(set(kinds) - self.used_up)

    def _take(self, answer: Suggestion | Exhausted) -> Sequence[PlannedTrial]:
        if isinstance(answer, Exhausted):
            if answer.kinds is None:
                self.end = answer.reason
            else:
                self.used_up |= set(answer.kinds)
            return ()
        self.record(answer)
        self.history = self.history.with_suggestion(answer)
        self._arms.update({trial.trial_id: arm for arm in answer.arms for trial in arm.trials})
        self.trials += answer.trials
        return answer.trials


def differences(spec: SweepSpec, history: History) -> Iterator[tuple[int, str]]:
    """Suggestions that a replay of the record does not give again: the number, and what it gives instead.

    Yields for each suggestion, in order, its number and an empty text where they agree. Values of other processors may
    differ in their last digits, and a space or budget that was changed since changes what would be suggested.
    """
    suggester = Suggester(spec)
    for number, recorded in enumerate(history.suggestions):
        told = tuple(one for suggestion in history.suggestions[: number + 1] for one in suggestion.told)
        before = History(learned=history.learned, suggestions=history.suggestions[:number], told=told)
        instead = recorded.method if recorded.method in (LATE, BROKEN) else None
        answer = suggester.suggest(before, instead, recorded.kinds)
        names = [] if isinstance(answer, Exhausted) else list(map(_named, answer.arms))
        wanted = list(map(_named, recorded.arms))
        yield number, "" if names == wanted else ", ".join(names) or "nothing"


def _named(arm: Arm) -> str:
    return f"{arm.candidate.name}, seeds {', '.join(map(str, arm.seeds))}"
