"""Statistics of replicates: mean and 95 % t interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist

# Two-sided 95 % quantile of Student's t for 1 to 30 degrees of freedom.
_T_95: tuple[float, ...] = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
    2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Mean of `num` independent values; spread is None for a single one.

    `half_width` is that of the 95 % interval by Student's t: mean ± half_width.
    """

    mean: float
    num: int
    std: float | None = None
    half_width: float | None = None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, sample standard deviation and 95 % t interval; None for no values. The order of values changes no bit."""
    if not values:
        return None
    num, mean = len(values), math.fsum(values) / len(values)
    if num == 1:
        return Estimate(mean, 1)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (num - 1))
    return Estimate(mean, num, std, t_quantile_95(num - 1) * std / math.sqrt(num))


def t_quantile_95(degrees: int) -> float:
    """Two-sided 95 % quantile of Student's t, right to 1e-6.

    Above 30 degrees by the expansion of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    assert degrees >= 1, degrees
    if degrees <= len(_T_95):
        return _T_95[degrees - 1]
    z = NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, start=1))
