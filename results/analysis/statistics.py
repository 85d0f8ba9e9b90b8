"""Statistics of replicates: means with intervals, and tests of paired differences."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Mean of `num` independent values; spread is None for a single one.

    `half_width` is that of the 95 % interval by Student's t: mean ± half_width.
    """

    mean: float
    num: int
    std: float | None = None
    half_width: float | None = None


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """Mean of paired differences, its 95 % interval and its two-sided p-value by Student's t."""

    difference: Estimate
    p_value: float


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, sample standard deviation and 95 % t interval; None for no values. The order of values changes no bit."""
    if not values:
        return None
    num, mean = len(values), math.fsum(values) / len(values)
    if num == 1:
        return Estimate(mean, 1)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (num - 1))
    return Estimate(mean, num, std, t_quantile_95(num - 1) * std / math.sqrt(num))


@functools.cache
def t_quantile_95(degrees: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    from scipy.stats import t  # here and not above: it takes half a second to load

    assert degrees >= 1, degrees
    return float(t.ppf(0.975, degrees))


def paired_test(differences: Sequence[float]) -> PairedTest:
    """A t-test of paired differences against 0, with their own variance.

    A variance pooled over several groups would find more, and claim too much where one group is noisier than the rest:
    of five groups of five without any difference, one of them three times as noisy, some group is then claimed in 15 %
    of the cases instead of 5 %. Levene's test finds such a group in one case of five.

    Raises:
        ValueError: for fewer than two differences.
    """
    from scipy.stats import t

    found = estimate(differences)
    if found is None or found.std is None:
        raise ValueError(f"a test needs two differences or more, but got {len(differences)}")
    error = found.std / math.sqrt(found.num)
    p_value = float(2 * t.sf(abs(found.mean) / error, found.num - 1)) if error > 0 else float(found.mean == 0)
    return PairedTest(found, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for all tests together: the chance of any false claim is at most the level they are held to.

    Holm, 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
