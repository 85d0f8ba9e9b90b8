"""The next suggestion of an adaptive search: a pure function of the sweep and of the history. No clock, no Ray.

The rules that hold whatever the method: a start and a share of configs at random, a share for the controls, no config
twice, none that cannot keep the limits in bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.scheduling.admission import byte_limits, expected_violations, refusal
from orchestrator.search.history import (
    FIRST,
    RANDOM,
    REPLICATE,
    Arm,
    History,
    Rejected,
    Suggestion,
    Told,
    rejected_observation,
)
from orchestrator.search.method import Method, Proposal, Question
from orchestrator.search.replicates import MIN_PROBABILITY, doubts, is_due, most_doubtful
from results.tables.schema import CONTROL_RECIPE
from search_spaces.configs.agreeing import agreeing
from search_spaces.configs.combinations import Combination
from search_spaces.configs.device_kinds import kept_to, one_runs_on
from search_spaces.configs.first_configs import first_values
from search_spaces.configs.valid_configs import Candidate, arms_of, options_of_draw
from search_spaces.spec.sweep_spec import SweepSpec

BUDGET_USED = "the budget is used up"
NUM_START = 10  # configs drawn at random before a method is asked
MAX_ATTEMPTS = 20  # of a method to propose something new that fits
MAX_DRAWS = 1_000  # in a row that bring nothing new: the space is used up, or as good as


@dataclasses.dataclass(frozen=True)
class Exhausted:
    """There is no further suggestion, and why. `kinds`: only for these kinds of device; None: for any."""

    reason: str
    kinds: tuple[str, ...] | None = None


class Suggester:
    """Answers with the next suggestion. What it keeps between answers only saves time.

    Args:
        spec: with an adaptive method.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self.num_in_doubt = (
            0  # configs that may or may not be on the front, when that was last looked at; for a display
        )

    @functools.cached_property
    def method(self) -> Method:
        # here and not above: their libraries take a second to load, and a start at random needs none of them
        if self.spec.method == "tpe":
            from orchestrator.search.methods.tpe import Tpe

            return Tpe(self.spec)
        from orchestrator.search.methods.ehvi import Ehvi

        return Ehvi(self.spec)

    def suggest(
        self, history: History, instead: str | None = None, kinds: Collection[str] | None = None
    ) -> Suggestion | Exhausted:
        """The suggestion that follows a history.

        Args:
            instead: why a random draw is wanted in place of the method's answer; the suggestion says so.
            kinds: of device, of which the config is to need one; a config that the file names comes in its turn,
                whatever it needs. None: no matter which.
        """
        if self.num_trials_left(history) <= 0:
            return Exhausted(BUDGET_USED)
        wanted = None if kinds is None else tuple(sorted(kinds))
        if instead is None and (arm := self._replicate(history, wanted)) is not None:
            number = len(history.suggestions)
            return Suggestion(number=number, method=REPLICATE, arms=(arm,), told=told_since(history), kinds=wanted)
        search = _Attempt(self.spec, history, wanted)
        by, arms = self._chosen(search, self._by(history) if instead is None else instead, instead)
        if not arms:
            is_left = wanted is not None and self._is_left(history)
            return Exhausted(search.why_nothing(), wanted if is_left else None)
        return Suggestion(
            number=search.number,
            method=by,
            arms=self._within_budget(arms, history),
            rejected=tuple(search.rejected),
            num_duplicates=search.num_duplicates,
            told=told_since(history),
            kinds=wanted,
        )

    def _chosen(self, search: _Attempt, by: str, instead: str | None) -> tuple[str, Sequence[Arm]]:
        """The next config, and who chose it: chance, where the others have nothing new."""
        arms: Sequence[Arm] = ()
        if by == FIRST:
            arms = search.first()
        elif by not in (RANDOM, instead):
            arms = search.by_method(self.method)
        if arms:
            return by, arms
        return instead or RANDOM, search.by_draws()

    def _replicate(self, history: History, kinds: tuple[str, ...] | None = None) -> Arm | None:
        if not is_due(self.spec, history):
            return None
        found = doubts(self.spec, history)
        self.num_in_doubt = sum(probability < 1 - MIN_PROBABILITY for _, probability in found)
        return most_doubtful(self.spec, found, kinds)

    def _is_left(self, history: History) -> bool:
        """Whether something is left for any kind of device."""
        return self._replicate(history) is not None or bool(_Attempt(self.spec, history).by_draws())

    def is_quick(self, history: History) -> bool:
        """Whether the next suggestion does not need the method."""
        if self.num_trials_left(history) <= 0:
            return True
        return self._by(history) in (FIRST, RANDOM) and not is_due(self.spec, history)

    def num_trials_left(self, history: History) -> int:
        assert self.spec.num_to_search is not None
        return self.spec.num_to_search - history.num_trials

    def _by(self, history: History) -> str:
        """Who chooses: the file, chance, or the method. Of every ten later configs `random_share` are chance's."""
        number, share = history.num_chosen, self.spec.search.random_share
        if number < len(self.spec.search.first):
            return FIRST
        num_start = max(0, NUM_START - len(history.learned))
        if number < num_start or int((number + 1) * share) > int(number * share):
            return RANDOM
        return self.spec.method

    def _within_budget(self, arms: Sequence[Arm], history: History) -> tuple[Arm, ...]:
        """As many of the trials as the budget has left; the last config may get fewer seeds."""
        num_left, kept = self.num_trials_left(history), []
        for arm in arms:
            seeds = arm.seeds[:num_left]
            num_left -= len(seeds)
            kept += [dataclasses.replace(arm, seeds=seeds)] if seeds else []
        return tuple(kept)


def start_of(spec: SweepSpec) -> Iterator[Arm]:
    """The configs that an adaptive search begins with, whatever comes of them; on a mixed pool, others as likely."""
    suggester, history = Suggester(spec), History()
    while suggester.is_quick(history):
        answer = suggester.suggest(history)
        if isinstance(answer, Exhausted):
            return
        yield from answer.arms
        history = history.with_suggestion(answer)


def told_since(history: History) -> tuple[Told, ...]:
    """What was told since the last suggestion."""
    num_before = sum(len(one.told) for one in history.suggestions)
    return history.told[num_before:]


def seed_of(seed: int, number: int, attempt: int) -> int:
    """The seed of one attempt at one suggestion, in [0, 2**32)."""
    text = f"suggestion/{seed}/{number}/{attempt}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


class _Attempt:
    """The search for one suggestion: what it proposed, and what of that is new and fits."""

    def __init__(self, spec: SweepSpec, history: History, kinds: tuple[str, ...] | None = None) -> None:
        self.spec, self.kinds, self.number, self.num_chosen = spec, kinds, len(history.suggestions), history.num_chosen
        self.observations = history.observations(spec.constraints)
        self.known = {arm.candidate.name for arm in history.arms}
        self.seeds = self.spec.seeds[:1] if self.spec.replicating == "near_front" else self.spec.seeds
        self.pinned = self._pinned(history)
        self.has_new = kinds is None or self._has_new(self.pinned)
        if not self.has_new and self.pinned:  # the controls need other kinds of device
            self.pinned, self.has_new = {}, self._has_new({})
        self.rejected: list[Rejected] = []
        self.num_duplicates = 0
        self.last_refusal = ""

    def first(self) -> list[Arm]:
        """The config that the file names; what it leaves out is drawn, for the kinds of device if it can be."""
        values = first_values(self.spec.search.first[self.num_chosen])
        arms = self._new(self._drawn(attempt, values, self.kinds) for attempt in range(MAX_DRAWS))
        if arms or self.kinds is None:
            return arms
        return self._new(self._drawn(attempt, values, None) for attempt in range(MAX_DRAWS))

    def by_method(self, method: Method) -> list[Arm]:
        if not self.has_new:  # each attempt would cost as much as an answer
            return []
        return self._new(tuple(method.propose(self._question(attempt))) for attempt in range(MAX_ATTEMPTS))

    def by_draws(self) -> list[Arm]:
        """Random draws until one is new; where the controls are used up, of any recipe."""
        if not self.has_new:
            return []
        arms = self._new(self._drawn(attempt, self.pinned, self.kinds) for attempt in range(MAX_DRAWS))
        if arms or not self.pinned:
            return arms
        return self._new(self._drawn(attempt, {}, self.kinds) for attempt in range(MAX_DRAWS))

    def why_nothing(self) -> str:
        if self.rejected and not self.num_duplicates:
            draws = f"{MAX_DRAWS:,} draws in a row cannot"
            return f"no config of the space can keep the limits in bytes: {draws}, the last one {self.last_refusal}"
        return "every config of the space that can keep the limits was suggested"

    def _pinned(self, history: History) -> Mapping[str, Any]:
        """The recipe of a control, where the controls have less than their share of the configs."""
        parameter = next((one for one in self.spec.space if one.key == "recipe"), None)
        if parameter is None or parameter.kind == "grid" or CONTROL_RECIPE not in parameter.options:
            return {}
        is_control = [arm.is_control for one in history.suggestions if one.method != REPLICATE for arm in one.arms]
        is_due = sum(is_control) < self.spec.search.control_share * (len(is_control) + 1)
        return {"recipe": CONTROL_RECIPE} if is_due else {}

    def _question(self, attempt: int) -> Question:
        seed = self.spec.search.seed
        return Question(
            number=self.number,
            attempt=attempt,
            seed=seed_of(seed, self.number, attempt),
            observations=[*self.observations, *map(rejected_observation, self.rejected)],
            pinned=self.pinned,
            known=self.known,
            drawn=kept_to(self.kinds, options_of_draw(seed, self.number, attempt)),
            kinds=self.kinds,
        )

    def _has_new(self, values: Mapping[str, Any]) -> bool:
        """Whether a draw for the kinds of device brings a config that was not suggested yet."""
        draws = (self._drawn(attempt, values, self.kinds) for attempt in range(MAX_DRAWS))
        return any(proposal.candidate.name not in self.known for draw in draws for proposal in draw)

    def _drawn(self, attempt: int, values: Mapping[str, Any], kinds: tuple[str, ...] | None) -> tuple[Proposal, ...]:
        draw = kept_to(kinds, options_of_draw(self.spec.search.seed, self.number, attempt))
        arms = arms_of(self.spec, agreeing(dict(values), draw))
        if isinstance(arms, Combination) or not one_runs_on(arms, kinds):
            return ()
        return tuple(map(Proposal, arms))

    def _new(self, draws: Iterator[tuple[Proposal, ...]]) -> list[Arm]:
        """Of the first draw that brings any, the configs that are new and can keep the limits in bytes."""
        for draw in draws:
            arms: list[Arm] = []
            for proposal in draw:
                if proposal.candidate.name in self.known:
                    self.num_duplicates += 1
                elif not self._is_refused(proposal.candidate):
                    arms.append(Arm(candidate=proposal.candidate, seeds=self.seeds, predicted=proposal.predicted))
            if arms:
                return arms
        return []

    def _is_refused(self, candidate: Candidate) -> bool:
        reason = refusal(candidate.config, self.spec.constraints, self.spec.admission.max_expected_ratio)
        if reason is None:
            return False
        self.last_refusal = reason
        if len(self.rejected) < MAX_ATTEMPTS:
            violations = expected_violations(candidate.config, byte_limits(self.spec.constraints))
            self.rejected.append(Rejected(candidate=candidate, violations=violations))
        return True
