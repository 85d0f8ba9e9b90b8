"""What measurements say of a prediction: the logarithm of measured over predicted, its mean and its scatter. Pure.

A value is the mean of its kind of device plus a scatter, both normal. The mean's posterior is that of a normal with a
known variance (conjugate: Gelman et al., Bayesian Data Analysis, 2.5), and the scatter's variance is the sample's,
shrunk towards what was expected. A value is added to three sums: constant time, however many there are.
"""

from __future__ import annotations

import dataclasses
import math

WEIGHT_OF_SCATTER = 4.0  # what is expected of the scatter counts as so many values
MANY = 8  # from so many values on, one that is further off than `MOST_SIGMAS` counts as if it were there
MOST_SIGMAS = 4.0
SMALLEST_SCATTER = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doubt:
    """How far a prediction may be off before anything was measured, as standard deviations of the logarithm.

    Args:
        sigma: of the mean that all values share.
        scatter: of single values about it.
    """

    sigma: float
    scatter: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Posterior:
    """Of log(measured / predicted): the shared mean, how sure it is, and the scatter of single values about it."""

    mean: float
    mean_sigma: float
    scatter: float

    @property
    def sigma(self) -> float:
        """Of the next value."""
        return math.hypot(self.mean_sigma, self.scatter)


@dataclasses.dataclass(frozen=True)
class LogRatio:
    """The sums of log(measured / predicted) over what was measured; `squares` about their mean."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def with_one(self, value: float, doubt: Doubt) -> LogRatio:
        """With one value more (Welford, 1962)."""
        if self.count >= MANY:
            known = self.posterior(doubt)
            most = MOST_SIGMAS * known.sigma
            value = min(max(value, known.mean - most), known.mean + most)
        count, total = self.count + 1, self.total + value
        mean_before = self.total / self.count if self.count else value
        return LogRatio(count, total, self.squares + (value - mean_before) * (value - total / count))

    def posterior(self, doubt: Doubt) -> Posterior:
        count, mean = self.count, self.total / self.count if self.count else 0.0
        variance = (WEIGHT_OF_SCATTER * doubt.scatter**2 + self.squares) / (WEIGHT_OF_SCATTER + max(0, count - 1))
        variance = max(variance, SMALLEST_SCATTER**2)
        # values far from what was predicted say that the prediction was worth little
        precision = 1 / max(doubt.sigma**2, mean**2) + count / variance
        return Posterior(
            mean=count * mean / variance / precision, mean_sigma=precision**-0.5, scatter=math.sqrt(variance)
        )
