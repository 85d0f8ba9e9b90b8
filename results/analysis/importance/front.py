"""Which settings tell the configs near the front from the others: PED-ANOVA, less what chance alone gives.

PED-ANOVA (Watanabe et al., 2023, arXiv 2304.10255; for settings that only some configs have: arXiv 2601.20800) compares
where the best tenth of configs lie in each setting with where all lie. It is never below 0, also of a setting that does
nothing. So the mean of what it gives for a tenth that is drawn at random is taken off.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.analysis.importance.varied import ABSENT, Varied
from results.analysis.statistics import t_quantile_95

Array = npt.NDArray[np.float64]

BEST_SHARE = 0.1  # "near the front", in layers of non-dominated sorting
NUM_RANDOM_TENTHS = 10
NUM_HALVES = 25  # of the configs, for the intervals


@dataclasses.dataclass(frozen=True)
class Share:
    """Of what tells configs near the front from the others, the share of one setting, with its 95 % interval.

    All lie in [0, 1]: less than chance gives is 0.
    """

    share: float
    low: float
    high: float


def shares(settings: Sequence[Varied], places: Array, seed: int = 0) -> list[Share] | None:
    """The share of each setting; None where no setting tells more than chance does.

    Args:
        places: float64[n], layer of each config: 0 is the front; inf where it has none, of which one or more is finite.
        seed: of the random draws: the same input gives the same output.
    """
    rng = np.random.default_rng(seed)
    is_best = _best(places)
    trials = _trials(settings)
    names = [one.name for one in settings]
    by_chance = [_divergences(trials, rng.permutation(is_best), names) for _ in range(NUM_RANDOM_TENTHS)]
    found = _divergences(trials, is_best, names) - np.mean(by_chance, axis=0)
    total = float(np.maximum(found, 0.0).sum())
    if total <= 0:
        return None
    halves = []
    for _ in range(NUM_HALVES):  # of a half, the spread is that of the whole (Shao and Wu, 1989)
        half = np.sort(rng.permutation(len(trials))[: len(trials) // 2])
        if is_best[half].any():
            halves.append(_divergences([trials[index] for index in half], is_best[half], names))
    wide = t_quantile_95(len(halves) - 1) * np.std(halves, axis=0, ddof=1)
    return [
        Share(*(float(np.clip(one / total, 0.0, 1.0)) for one in (value, value - half, value + half)))
        for value, half in zip(found, wide, strict=True)
    ]


def _best(places: Array) -> npt.NDArray[np.bool_]:
    """The whole layers that hold the best tenth; all that have a layer, where these are fewer."""
    last = np.sort(places)[math.ceil(BEST_SHARE * len(places)) - 1]
    found: npt.NDArray[np.bool_] = np.isfinite(places) & (places <= last)
    return found


class _Given(optuna.Study):
    """A study of trials that are given: no storage is filled for each of the random draws."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        self._given = trials

    @property
    def directions(self) -> list[StudyDirection]:
        return [StudyDirection.MINIMIZE]

    def get_trials(self, deepcopy: bool = True, states: object = None) -> list[FrozenTrial]:
        return self._given


def _trials(settings: Sequence[Varied]) -> list[FrozenTrial]:
    """Settings as places among their values: of a range this makes the configs lie evenly."""
    kinds: dict[str, BaseDistribution] = {
        one.name: IntDistribution(0, one.num_values - 1)
        if one.is_ordered
        else CategoricalDistribution(range(one.num_values))
        for one in settings
    }
    trials = []
    for index in range(len(settings[0].codes)):
        values = {one.name: int(one.codes[index]) for one in settings if one.codes[index] != ABSENT}
        own = {name: kinds[name] for name in values}
        trial = create_trial(state=TrialState.COMPLETE, params=values, distributions=own, value=0.0)
        trial.number = trial._trial_id = index
        trials.append(trial)
    return trials


def _divergences(trials: Sequence[FrozenTrial], is_best: npt.NDArray[np.bool_], names: Sequence[str]) -> Array:
    """How far the best ones lie from all in each setting, by PED-ANOVA (χ²); 0 where no trial has it."""
    judged = [copy.copy(trial) for trial in trials]
    for trial, best in zip(judged, is_best, strict=True):
        trial.value = 0.0 if best else 1.0
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.5 / len(judged))  # who is at 0, however many these are
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few trials: the caller says how many there are
        found = evaluator.evaluate(_Given(judged))
    # it is multiplied by the square of the best ones' share, which is no part of the question
    return np.array([found.get(name, 0.0) for name in names]) / float(is_best.mean()) ** 2
