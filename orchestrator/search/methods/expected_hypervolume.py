"""Expected hypervolume improvement where one objective is known: closed form, per step of the front.

Emmerich et al., 2011, "Hypervolume-based expected improvement: monotonicity properties and exact computation". With one
of two objectives known, the improvement is a sum of one-dimensional expected improvements, one for each step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Array = npt.NDArray[np.float64]


def expected_improvement(
    mean: npt.ArrayLike,  # (n,) or (n, k)
    std: npt.ArrayLike,
    best: npt.ArrayLike,
) -> Array:
    """Expectation of max(0, best - value) for a normal value: how far it comes below `best`."""
    mean, std, best = (np.asarray(one, dtype=np.float64) for one in (mean, std, best))
    distance = (best - mean) / std
    improvement: Array = (best - mean) * norm.cdf(distance) + std * norm.pdf(distance)
    return np.maximum(improvement, 0.0)


def expected_hypervolume_improvement(
    size: Array,  # (n,)
    mean: Array,  # (n,)
    std: Array,  # (n,)
    *,
    front_size: Array,  # (m,)
    front_score: Array,  # (m,)
    reference: tuple[float, float],
) -> Array:
    """By how much a config of known size and normal score is expected to enlarge the dominated area; float64[n].

    Both are minimized. Points of the front may be in any order and dominated; those beyond the reference count nothing.

    Args:
        reference: size and score that bound the area.
    """
    inside = (front_size < reference[0]) & (front_score < reference[1])
    order = np.lexsort((front_score[inside], front_size[inside]))
    sizes, scores = front_size[inside][order], front_score[inside][order]
    is_step = scores < np.minimum.accumulate(np.concatenate(([np.inf], scores)))[:-1]
    # step k reaches from edge k to edge k + 1 and has this score to beat; before the first point it is the reference's
    to_beat = np.concatenate(([reference[1]], scores[is_step]))
    edges = np.concatenate(([-np.inf], sizes[is_step], [reference[0]]))
    low = np.maximum(edges[:-1], size[:, None])  # (n, m + 1)
    width = np.maximum(edges[1:] - low, 0.0)
    improvement = expected_improvement(mean[:, None], std[:, None], to_beat[None, :])
    area: Array = (width * improvement).sum(axis=1)
    return area
