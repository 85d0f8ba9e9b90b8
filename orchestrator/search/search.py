"""The search of a sweep: which config is run next. One interface for plans and for methods that learn.

Free of Ray and of any clock. Methods that learn are in `adaptive.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.search.planner import PlannedTrial, planned_configs, planned_trial
from search_spaces.spec.sweep_spec import SweepSpec


class Search(Protocol):
    """Gives the trials of one config after another, and is told what became of them."""

    @property
    def trials(self) -> Sequence[PlannedTrial]:
        """All trials that were given so far, in order."""
        ...

    @property
    def end(self) -> str | None:
        """Why no more trials come; None while some may."""
        ...

    @property
    def num_to_come(self) -> int:
        """How many more trials it may give, at most."""
        ...

    @property
    def waits_for_results(self) -> bool:
        """Whether no more trials come before those that were given have ended."""
        ...

    @property
    def used_up(self) -> Collection[str]:
        """The kinds of device for which it has no more configs, as far as it was asked for them."""
        ...

    def ask(self, kinds: Collection[str] | None = None) -> Sequence[PlannedTrial]:
        """The trials of the next config, each once; empty at the end, while none is ready, and where none fits.

        Args:
            kinds: the kinds of device that are free: the config is to need one of them. None: no matter which.
        """
        ...

    def tell(self, row: Mapping[str, Any]) -> None:
        """What came of a trial: its row of the table. What is no trial of this search is ignored."""
        ...

    def reopened(self, trial_id: str) -> None:
        """A trial that had ended goes on."""
        ...

    def look_ahead(self) -> None:
        """Learn whether there is a next config, and set `end` if there is none."""
        ...

    def settings_of(self, trial_id: str) -> str:
        """What tells a trial from others, where its search knows; else empty."""
        ...

    def text(self) -> str:
        """What a display says of it, beside the counts of trials; may be empty."""
        ...

    def close(self) -> None:
        """End what runs in the background."""
        ...


class SearchAndConfirmation(Search, Protocol):
    """A search after which the best configs are trained once more."""

    @property
    def to_confirm(self) -> Sequence[PlannedTrial]:
        """Trials of confirmation that have not ended: those that were chosen, else those that would be chosen now.

        The same object as long as nothing has changed.
        """
        ...

    @property
    def is_confirming(self) -> bool:
        """Whether nothing more comes but trials of confirmation."""
        ...

    def begin_confirmation(self) -> bool:
        """Give nothing more but trials of confirmation, whatever is left of the search; whether there are any."""
        ...

    def go_on_searching(self) -> None:
        """Undo `begin_confirmation`: all is confirmed, and time is left."""
        ...


class PlannedSearch:
    """Methods grid and random: the plan, which no result changes."""

    def __init__(self, spec: SweepSpec) -> None:
        self.trials: list[PlannedTrial] = []
        self.end: str | None = None
        self.num_to_come = 0  # all are given before anything runs
        self.waits_for_results = False
        self.used_up: Collection[str] = ()
        self._configs = planned_configs(spec)

    def ask(self, kinds: Collection[str] | None = None) -> Sequence[PlannedTrial]:
        """Whatever is free: the plan knows no results, so that all of it may wait from the start."""
        candidate, seeds = next(self._configs, (None, ()))
        if candidate is None:
            self.end = "the plan ends here"
            return ()
        found = tuple(planned_trial(candidate, seed) for seed in seeds)
        self.trials += found
        return found

    def tell(self, row: Mapping[str, Any]) -> None:
        """Nothing: see the class."""

    def reopened(self, trial_id: str) -> None:
        """Nothing: see the class."""

    def look_ahead(self) -> None:
        """Nothing: `ask` tells as much."""

    def settings_of(self, trial_id: str) -> str:
        return ""

    def text(self) -> str:
        return ""

    def close(self) -> None:
        """Nothing runs."""
