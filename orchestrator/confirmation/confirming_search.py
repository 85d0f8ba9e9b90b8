"""A search that is followed by confirmation: when it is over, the best configs are trained once more.

It is over when all its trials have ended, or when the time that is left is needed for confirmation.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from orchestrator.confirmation.choose import Row, choose
from orchestrator.confirmation.confirmation_log import ConfirmationLog, Confirmed
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import Search
from search_spaces.spec.sweep_spec import SweepSpec

# While the search goes on, what would be confirmed is looked up again after so much more trials.
MORE_TRIALS_BEFORE_A_LOOK = 0.02
TIME_IS_FOR_CONFIRMATION = "the time that is left is for confirmation"


class ConfirmingSearch:
    """Gives the trials of another search, and then those of confirmation.

    Args:
        inner: the search.
        log: the record; what it holds was chosen before, and is not chosen anew.
        against: by trial id of confirmation, the config id that it is compared with; new ones are added.
        rows: gives the rows of the table so far.
    """

    def __init__(
        self,
        spec: SweepSpec,
        inner: Search,
        log: ConfirmationLog,
        against: dict[str, str | None],
        rows: Callable[[], Sequence[Row]],
    ) -> None:
        self.spec, self.inner, self.log, self.against, self.rows = spec, inner, log, against, rows
        self.confirmed = log.read()
        self._nothing_is_left = False  # to be chosen
        self._is_cut = False  # the search, by the time that is left
        self._ended: set[str] = set()
        self._likely: tuple[PlannedTrial, ...] = ()  # would be chosen, when so many trials had ended
        self._looked_at_num = 0
        self._to_confirm: tuple[PlannedTrial, ...] = ()

    @property
    def end(self) -> str | None:
        if not self._is_all_chosen:
            return None
        return self.inner.end or (TIME_IS_FOR_CONFIRMATION if self._is_cut else None)

    @property
    def trials(self) -> Sequence[PlannedTrial]:
        wanted = self.confirmed if self.spec.num_confirmed else []  # unless the file has changed its mind
        return [*self.inner.trials, *(trial for one in wanted for trial in one.trials)]

    @property
    def num_to_come(self) -> int:
        """Trials that it may still give, at most; after a search that was cut, those that it did not give."""
        num_given = sum(len(one.trials) for one in self.confirmed)
        rest = 0 if self._is_all_chosen else max(0, self.spec.num_to_confirm - num_given)
        return self.inner.num_to_come + rest

    @property
    def waits_for_results(self) -> bool:
        return self.end is None and self.inner.end is not None and not self._all_ended

    @property
    def is_confirming(self) -> bool:
        return self._is_cut or self.inner.end is not None

    @property
    def to_confirm(self) -> Sequence[PlannedTrial]:
        if not self.spec.num_confirmed:
            return ()
        if not self._is_all_chosen and self._is_time_for_a_look():
            self._looked_at_num = len(self._ended)
            self._likely = tuple(trial for one in self._chosen() for trial in one.trials)
        given = (trial for one in self.confirmed for trial in one.trials if trial.trial_id not in self._ended)
        now = (*given, *(() if self._is_all_chosen else self._likely))
        if now != self._to_confirm:
            self._to_confirm = now
        return self._to_confirm

    @property
    def used_up(self) -> Collection[str]:
        return self.inner.used_up

    def ask(self, kinds: Collection[str] | None = None) -> Sequence[PlannedTrial]:
        """Those to confirm come whatever is free: they need what was chosen for them."""
        if not self.is_confirming and (trials := self.inner.ask(kinds)):
            return trials
        if not self.is_confirming or self.end is not None or not self._all_ended:
            return ()
        chosen = self._chosen()
        if chosen:
            self.log.append(chosen)
            self._add(chosen)
        self._nothing_is_left = True
        return [trial for one in chosen for trial in one.trials]

    def begin_confirmation(self) -> bool:
        if self._is_cut or self._is_all_chosen:
            return False
        if not self._chosen():
            self._likely = ()
            return False
        self._is_cut = True
        return True

    def go_on_searching(self) -> None:
        self._is_cut = False

    def tell(self, row: Mapping[str, Any]) -> None:
        self._ended.add(row["trial_id"])
        self.inner.tell(row)

    def reopened(self, trial_id: str) -> None:
        self._ended.discard(trial_id)

    def look_ahead(self) -> None:
        """Learn whether there is a next config, or one to be confirmed, without giving it."""
        if self.inner.end is None:
            self.inner.look_ahead()
        if self.inner.end is not None and self.end is None and self._all_ended and not self._chosen():
            self._nothing_is_left = True

    def settings_of(self, trial_id: str) -> str:
        return "to confirm" if trial_id in self.against else self.inner.settings_of(trial_id)

    def text(self) -> str:
        num = sum(len(one.trials) for one in self.confirmed)
        return f"confirming {len(self.confirmed)} configs, {num} trials" if num else self.inner.text()

    def close(self) -> None:
        self.inner.close()

    def _is_time_for_a_look(self) -> bool:
        num_ended = len(self._ended)
        is_last = num_ended != self._looked_at_num and self.is_confirming and self._all_ended
        return is_last or num_ended > self._looked_at_num * (1 + MORE_TRIALS_BEFORE_A_LOOK)

    @property
    def _is_all_chosen(self) -> bool:
        is_complete = sum(one.is_of_front for one in self.confirmed) >= self.spec.num_confirmed
        return is_complete or self._nothing_is_left

    @property
    def _all_ended(self) -> bool:
        return self._is_cut or all(trial.trial_id in self._ended for trial in self.inner.trials)

    def _chosen(self) -> list[Confirmed]:
        trials = {trial.config.config_id: trial for trial in reversed(self.inner.trials)}
        rows = [row for row in self.rows() if row["stage"] != "confirm" and row["config_id"] in trials]
        known: Collection[str] = {one.config_id for one in self.confirmed}
        done = {one.config_id for one in self.confirmed if one.is_of_front}
        chosen = choose(self.spec, rows, done)
        compared = {one.config_id for one in chosen}
        rows = [row for row in rows if row["config_id"] in compared]
        return [
            Confirmed(
                config_id=one.config_id,
                against=one.against,
                is_of_front=one.is_of_front,
                trials=tuple(self._with_seed(trials[one.config_id], seed, rows) for seed in self.spec.fresh_seeds),
            )
            for one in chosen
            if one.config_id not in known
        ]

    def _add(self, chosen: Sequence[Confirmed]) -> None:
        self.confirmed += chosen
        self.against |= {trial.trial_id: one.against for one in chosen for trial in one.trials}

    @staticmethod
    def _with_seed(trial: PlannedTrial, seed: int, rows: Sequence[Row]) -> PlannedTrial:
        """The trial with another seed. In a mixed pool it has one kind of device, as pairs are compared on one only.

        That of most trials of the configs that are compared; but one on which this config has run, as others may lack
        the memory.

        Args:
            rows: of the configs that are compared.
        """
        kinds = Counter(kind for row in rows if (kind := row["accelerator"]) is not None and trial.allows(kind))
        own = {row["accelerator"] for row in rows if row["config_id"] == trial.config.config_id}
        fitting = [kind for kind, _ in kinds.most_common() if kind in own]
        accelerator = fitting[0] if len(kinds) > 1 and fitting else trial.accelerator
        config = trial.config.model_copy(update={"seed": seed})
        trial_id = config.trial_id + trial.trial_id.removeprefix(trial.config.trial_id)
        return dataclasses.replace(trial, config=config, trial_id=trial_id, accelerator=accelerator)


def against_of(confirmed: Sequence[Confirmed]) -> dict[str, str | None]:
    """By trial id, the config that it is compared with."""
    return {trial.trial_id: one.against for one in confirmed for trial in one.trials}
