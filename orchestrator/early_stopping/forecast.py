"""The final score of a trial, forecast from what it scored on the way, with a bound that holds over all its looks.

The forecast is a Gaussian process over what was chosen and the last two looks. The bound is conformal (Vovk et al.,
2005; weights after Tibshirani et al., 2019, arXiv 1904.06019): each trial that ended has one number, the largest excess
of its forecasts over its score, in standard deviations, over all looks and each without the trial itself. A quantile of
these numbers is a bound for the next trial at every look at once, whatever the distribution.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from orchestrator.early_stopping.rule import Ended, Looked
from orchestrator.search.methods.encoding import Encoding
from orchestrator.search.methods.regression import Kriging

Array = npt.NDArray[np.float64]

MIN_ENDED = 10  # trials of one kind, before any of it is stopped
MAX_ENDED = 300  # that a forecast is made from: the last ones, for the time it takes
GROWTH = 1.4  # kernels are fitted anew when so many times more trials have ended


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """A final score: its mean, and `best_case`, below which it ends at the given risk only; see `Verdict.band`."""

    mean: float
    best_case: float
    noise_std: float
    band: str


class Forecaster:
    """Forecasts for trials of one kind.

    Args:
        risk: share of trials that may end below their best case, at any of their looks.
        audit_share: of the trials that were to be stopped, those that ran on; each stands for all of them.
    """

    def __init__(self, encoding: Encoding, risk: float, audit_share: float) -> None:
        self.encoding, self.risk, self.audit_share = encoding, risk, audit_share
        self._ended: list[Ended] = []
        self._num_told = self._fitted_at = 0
        self._kernels: dict[int, Kriging] = {}
        self._excess: float | None = None  # in standard deviations; None: to be found
        self._is_new = False

    def tell(self, ended: Ended) -> None:
        self._ended = [*(one for one in self._ended if one.trial_id != ended.trial_id), ended][-MAX_ENDED:]
        self._num_told += 1
        self._is_new = True

    def forecast(self, looked: Looked) -> Forecast | None:
        """Of the trial's newest look; None while too few trials of its kind have ended."""
        if self._is_new:
            self._fit()
        kriging = self._kernels.get(looked.step)
        if kriging is None or not all(map(math.isfinite, looked.looks.values())):
            return None
        row = _row(self.encoding, looked, looked.step)
        [mean], [std] = kriging.predict_values(row[None, :])
        excess, band = self._bound(len(self._ended), num_looks=len(self._kernels))
        # what is left unexplained after the last look is nearest to the noise between seeds
        noise_std = min(one.noise_std for one in self._kernels.values())
        return Forecast(mean=mean, best_case=mean - excess * std, noise_std=noise_std, band=band)

    def _fit(self) -> None:
        """Make the models of all looks predict from all that ended; kernels are kept for a while."""
        self._is_new, self._excess = False, None
        if len(self._ended) < MIN_ENDED:
            return
        is_due = self._num_told >= self._fitted_at * GROWTH or not self._kernels
        scores = np.array([one.score for one in self._ended])
        steps = sorted(self._ended[-1].looks)  # those of every trial of the kind
        for step in steps:
            rows = np.array([_row(self.encoding, one, step) for one in self._ended])
            if is_due or step not in self._kernels:
                self._kernels[step] = Kriging(rows, scores)
            self._kernels[step].observe(rows, scores)
        self._fitted_at = self._num_told if is_due else self._fitted_at

    def _bound(self, count: int, num_looks: int) -> tuple[float, str]:
        """Standard deviations between a forecast and its best case."""
        if self._excess is None:
            self._excess = self._conformal()
        if math.isfinite(self._excess):
            return self._excess, "conformal"
        return float(student.isf(self.risk / max(1, num_looks), count - 1)), "student"

    def _conformal(self) -> float:
        """The quantile of the largest excesses; inf where too few trials have ended for the risk."""
        if len(self._ended) < 1 / self.risk - 1:  # however much the audited ones weigh
            return math.inf
        scores = np.array([one.score for one in self._ended])
        excesses = []
        for kriging in self._kernels.values():
            means, stds = kriging.leave_one_out()
            excesses.append((means - scores) / stds)
        if not excesses:
            return math.inf
        # those that were stopped have no score: of their kind, the audited ones stand for all
        weight = 1 / self.audit_share if self.audit_share else 1.0
        weights = [weight if one.was_to_stop else 1.0 for one in self._ended]
        return weighted_bound(np.max(excesses, axis=0), np.array(weights), self.risk)


def weighted_bound(values: Array, weights: Array, risk: float) -> float:
    """The least value that all but `risk` of the weight lies at or below, with one more, unknown one of weight 1.

    inf if the unknown one alone outweighs the risk: with equal weights, below 1 / risk - 1 values.
    """
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / (weights.sum() + 1.0)
    place = int(np.searchsorted(share, 1 - risk - 1e-12))
    return float(values[order][place]) if place < len(values) else math.inf


def _row(encoding: Encoding, one: Looked | Ended, step: int) -> Array:
    """What was chosen, the look at `step`, and the one before it."""
    steps: Sequence[int] = [other for other in sorted(one.looks) if other <= step][-2:]
    looks: Mapping[int, float] = one.looks
    return np.concatenate([encoding.rows([one.candidate])[0], [looks[steps[0]], looks[steps[-1]]]])
