"""Importance of settings on made-up searches with known effects: is the order right, do the intervals hold the truth?

    python benchmarks/importance.py

ce = −0.3 · log bytes + 0.4 · (a − ½)² + 0.05 · b + noise of 0.01, with a, b and two settings without effect uniform in
[0, 1], and bytes that follow from two more. At equal bytes the effect of a is 0.030 nats, that of b 0.014.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from results.analysis.importance.equal_bytes import effects
from results.analysis.importance.front import shares
from results.analysis.importance.varied import Varied
from results.analysis.pareto import pareto_rank

SIZES = (20, 30, 50, 100, 300, 1_000)
NUM_SEARCHES = 40
A, B = 1, 2  # the settings with an effect
TRUE = {A: math.sqrt(0.16 / 180), B: 0.05 / math.sqrt(12)}
NOISE = (4, 5)

Array = npt.NDArray[np.float64]


def search(num: int, seed: int) -> tuple[list[Varied], Array, Array]:
    """Settings, logarithm of bytes and ce of configs that are drawn at random."""
    rng = np.random.default_rng(seed)
    values = rng.random((num, 6))
    values[:, 3] = rng.integers(0, 3, num) / 2
    log_bytes = 10 + 2 * values[:, 0] + 0.3 * values[:, 3]
    ce = -0.3 * log_bytes + 0.4 * (values[:, A] - 0.5) ** 2 + 0.05 * values[:, B] + 0.01 * rng.standard_normal(num)
    codes = [np.unique(column, return_inverse=True)[1] for column in values.T]
    return [Varied(keys=(str(k),), codes=one, is_ordered=True) for k, one in enumerate(codes)], log_bytes, ce


def at_equal_bytes(num: int) -> str:
    """A row of the table of ce at equal bytes."""
    found = [effects(*search(num, seed)) for seed in range(NUM_SEARCHES)]
    shown = [one for one in found if one is not None]
    if not shown:
        return f"{num:>6,}  {0:>5}"
    right = sum(sorted(range(6), key=lambda k: -one[k].nats)[:2] == [A, B] for one in shown)
    means = [float(np.mean([one[k].nats for one in shown])) for k in (A, B)]
    holds = [
        float(np.mean([one[k].low <= true <= one[k].high for one in shown]))
        for k, true in zip((A, B), TRUE, strict=True)
    ]
    noise = float(np.mean([one[k].low == 0 for one in shown for k in NOISE]))
    figures = f"{means[0]:.4f}  {means[1]:.4f}  {holds[0]:.2f}  {holds[1]:.2f}  {noise:.2f}"
    return f"{num:>6,}  {len(shown):>5}  {right:>5}  {figures}"


def at_the_front(num: int) -> str:
    """A row of the table of reaching the front: how often a is first, beyond chance, and the others not."""
    first, beyond, noise = 0, 0, []
    for seed in range(NUM_SEARCHES):
        settings, log_bytes, ce = search(num, seed)
        places = pareto_rank(np.stack([ce, log_bytes], axis=1), ["min", "min"]).astype(float)
        found = shares(settings, places)
        if found is not None:
            first += max(range(6), key=lambda k: found[k].share) == A
            beyond += found[A].low > 0
            noise += [found[k].low == 0 for k in NOISE]
    return f"{num:>6,}  {first:>5}  {beyond:>6}  {float(np.mean(noise)):.2f}"


if __name__ == "__main__":
    print(f"ce at equal bytes, {NUM_SEARCHES} searches; true effects {TRUE[A]:.4f} and {TRUE[B]:.4f}")
    print("configs  shown  order  mean a  mean b  a in  b in  noise at 0")
    for size in SIZES:
        print(at_equal_bytes(size), flush=True)
    print("reaching the front\nconfigs  first  beyond  noise at 0")
    for size in SIZES[2:]:
        print(at_the_front(size), flush=True)
