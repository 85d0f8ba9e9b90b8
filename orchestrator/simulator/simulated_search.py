"""A search whose answers are drawn from the space: what a method would choose is not known before the night."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orchestrator.confirmation.confirming_search import MORE_TRIALS_BEFORE_A_LOOK
from orchestrator.scheduling.cost_model import Costs
from orchestrator.search.planner import PlannedTrial
from orchestrator.simulator.chances import weights
from search_spaces.spec.sweep_spec import SweepSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trials:
    """What a night may train.

    Args:
        given: trials that are known: of a plan, or chosen before and not ended.
        drawn: random draws from the space, one of each config, from which the method chooses.
        num_more: how many trials the method still chooses, at most; None: no limit in number.
        num_to_confirm: trials that confirm configs in the end.
        refused_share: of all configs, those that cannot keep the limits.
    """

    given: tuple[PlannedTrial, ...] = ()
    drawn: tuple[PlannedTrial, ...] = ()
    num_more: int | None = 0
    num_to_confirm: int = 0
    refused_share: float = 0.0

    @property
    def all(self) -> tuple[PlannedTrial, ...]:
        return self.given + self.drawn


class SimulatedSearch:
    """Gives known trials at once, and drawn ones when asked; then, as the driver's search, those of confirmation."""

    def __init__(self, spec: SweepSpec, source: Trials, costs: Costs, rng: random.Random, cheaper: float = 0.0) -> None:
        self.spec, self.source, self.costs, self.rng, self.cheaper = spec, source, costs, rng, cheaper
        self._choices: dict[frozenset[str] | None, tuple[list[PlannedTrial], list[float]]] = {}  # by kinds asked for
        self.trials: list[PlannedTrial] = list(source.given)
        self.used_up: set[str] = set()
        self.ended: set[str] = set()
        self.confirming: set[str] = set()
        self._configs: dict[str, str] = {}  # by trial id: one that is drawn twice stands for two configs
        self._repeatable: list[tuple[PlannedTrial, int, str]] = []  # the seeds that it has had, and its config
        self._num_to_search = None if source.num_more is None else len(self.trials) + source.num_more
        self._num_searched = len(self.trials)
        self._num_repeated = 0
        self._is_cut = False  # by the time that is left
        self._waiting_for_confirmation: tuple[PlannedTrial, ...] = ()
        self._looked_at_num = 0

    @property
    def _is_searched(self) -> bool:
        is_used = self._num_to_search is not None and self._num_searched >= self._num_to_search
        return self._is_cut or is_used

    @property
    def _num_to_confirm(self) -> int:
        return self.source.num_to_confirm - len(self.confirming)

    @property
    def end(self) -> str | None:
        return "the budget is used up" if self._is_searched and self._num_to_confirm <= 0 else None

    @property
    def num_to_come(self) -> int:
        return max(0, (self._num_to_search or 0) - self._num_searched) + max(0, self._num_to_confirm)

    @property
    def waits_for_results(self) -> bool:
        is_open = not self._is_cut and len(self.ended) < self._num_searched
        return self.end is None and self._is_searched and is_open

    @property
    def is_confirming(self) -> bool:
        return self._is_searched

    @property
    def to_confirm(self) -> Sequence[PlannedTrial]:
        """A new object now and then, so that what was learned of durations since is used."""
        if not self.source.num_to_confirm or not self.ended:
            return ()
        if len(self.ended) > self._looked_at_num * (1 + MORE_TRIALS_BEFORE_A_LOOK):
            self._looked_at_num = len(self.ended)
            self._waiting_for_confirmation = tuple(one for one in self._confirmation if one.trial_id not in self.ended)
        return self._waiting_for_confirmation

    def begin_confirmation(self) -> bool:
        if self._is_cut or self._num_to_confirm <= 0 or not self.ended:
            return False
        self._is_cut = True
        return True

    def go_on_searching(self) -> None:
        self._is_cut = False

    def ask(self, kinds: Collection[str] | None = None) -> Sequence[PlannedTrial]:
        if self.end is not None or self.waits_for_results:
            return ()
        found = self._to_confirm() if self._is_searched else self._next(kinds)
        self.trials += found
        return found

    def is_looked_at(self, trial: PlannedTrial) -> bool:
        """Whether early stopping judges it: first seeds only, and no confirmation."""
        is_first = self.spec.replicating == "always" or trial.config.seed == self.spec.seeds[0]
        return is_first and trial.trial_id not in self.confirming

    def tell(self, row: Mapping[str, Any]) -> None:
        self.ended.add(row["trial_id"])

    def reopened(self, trial_id: str) -> None:
        self.ended.discard(trial_id)

    def look_ahead(self) -> None:
        """Nothing: `end` is known."""

    def settings_of(self, trial_id: str) -> str:
        return ""

    def text(self) -> str:
        return ""

    def close(self) -> None:
        """Nothing runs."""

    def _next(self, kinds: Collection[str] | None) -> list[PlannedTrial]:
        if self._is_repeat_due():
            place = self.rng.randrange(len(self._repeatable))
            trial, num_seeds, config = self._repeatable[place]
            self._repeatable[place] = trial, num_seeds + 1, config
            if num_seeds + 1 >= len(self.spec.seeds):
                del self._repeatable[place]
            self._num_repeated += 1
            return [self._named(trial, self.spec.seeds[num_seeds], config)]
        fitting, cumulative = self._choices_for(None if kinds is None else frozenset(kinds))
        if not fitting:
            self.used_up |= set(kinds or ())
            return []
        [chosen] = self.rng.choices(fitting, cum_weights=cumulative)
        near_front, config = self.spec.replicating == "near_front", f"config-{self._num_searched}"
        if near_front and len(self.spec.seeds) > 1:
            self._repeatable.append((chosen, 1, config))
        return [self._named(chosen, seed, config) for seed in (self.spec.seeds[:1] if near_front else self.spec.seeds)]

    def _choices_for(self, kinds: frozenset[str] | None) -> tuple[list[PlannedTrial], list[float]]:
        """The draws that can run on one of these kinds, with their weights added up."""
        if kinds not in self._choices:
            fitting = [one for one in self.source.drawn if kinds is None or any(map(one.allows, kinds))]
            work = [self.costs.of(one).work for one in fitting]
            self._choices[kinds] = fitting, list(itertools.accumulate(weights(work, self.cheaper) if work else []))
        return self._choices[kinds]

    def _is_repeat_due(self) -> bool:
        """As `search/replicates.py` has it: few at the beginning, `replicates.share` of the trials in the end."""
        if not self._repeatable or not self._num_to_search:
            return False
        most = self.spec.replicates.share * (self._num_searched + 1) ** 2 / self._num_to_search
        return self._num_repeated + 1 <= most

    def config_of(self, trial: PlannedTrial) -> str:
        """Names the config that a trial is a seed of."""
        return self._configs.get(trial.trial_id) or trial.config.config_id

    def _named(self, like: PlannedTrial, seed: int, config: str) -> PlannedTrial:
        self._num_searched += 1
        name = f"search-{self._num_searched}"
        self._configs[name] = config
        return self._copy(like, name, seed)

    def _to_confirm(self) -> list[PlannedTrial]:
        self.confirming |= {trial.trial_id for trial in self._confirmation}
        return self._confirmation

    @functools.cached_property
    def _confirmation(self) -> list[PlannedTrial]:
        """Fresh seeds of drawn configs: which will be the best is not known."""
        found: list[PlannedTrial] = []
        while (missing := self.source.num_to_confirm - len(found)) > 0:
            like = self.rng.choice(self.source.all)
            for seed in self.spec.fresh_seeds[:missing]:
                name = f"confirm-{len(found) + 1}"
                self._configs[name] = f"confirm-{id(like)}"
                found.append(self._copy(like, name, seed))
        return found

    def _copy(self, like: PlannedTrial, name: str, seed: int) -> PlannedTrial:
        self.costs.set(name, self.costs.of(like))
        if like.config.seed == seed:
            return dataclasses.replace(like, trial_id=name)
        return dataclasses.replace(like, trial_id=name, config=like.config.model_copy(update={"seed": seed}))
