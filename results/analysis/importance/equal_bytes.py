"""How much cross-entropy changes with a setting while bytes and all other settings stay: by permutation of a surrogate.

The surrogate is a quadratic trend over the logarithm of bytes, and extremely randomized trees (Geurts et al., 2006) for
what is left, with bytes and all settings as columns. It is judged on configs that it was not fitted to. A setting's
value is replaced by that of another config (Breiman, 2001, "Random Forests"); half of the growth of the mean squared
error is then the variance of ce that the setting causes (Gregorutti et al., 2017, arXiv 1310.5726; the same number is
Jansen's estimate of a total Sobol' index), and its root is an effect in nats.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from results.analysis.importance.varied import Varied
from results.analysis.statistics import t_quantile_95

Array = npt.NDArray[np.float64]

NUM_FOLDS = 5
NUM_REPEATS = 2  # of the division into folds; one of many configs
MANY = 300
NUM_DONORS = 3  # other configs that each value is taken from, in each repeat
NUM_TREES = 60
MAX_SLOPE = 2.0
ROUNDING = 1e-9  # of ce: what a trend leaves of it where there is nothing else
# The folds' fits share most of their configs: Nadeau and Bengio, 2003, "Inference for the Generalization Error".
ERROR_OF_FOLDS = math.sqrt(1 + NUM_FOLDS / (NUM_FOLDS - 1))
# In a mean over pairs each config counts twice: it is changed, and its value is taken (Hoeffding, 1948); and the fits.
ERROR_OF_PAIRS = math.sqrt(4 + NUM_FOLDS / (NUM_FOLDS - 1))


@dataclasses.dataclass(frozen=True)
class Effect:
    """A typical change of ce in nats (a standard deviation) with its 95 % interval; where that begins at 0, it may be
    chance."""

    nats: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Held:
    """Held-out predictions of what the trend leaves: float64 arrays, the first axis is the repeat.

    Args:
        left: (r, n), what the trend over bytes leaves of each config's ce.
        predicted: (r, n).
        changed: (r, settings, donors, n), predicted with another config's value of each setting.
    """

    left: Array
    predicted: Array
    changed: Array


def effects(settings: Sequence[Varied], log_bytes: Array, ce: Array, seed: int = 0) -> list[Effect] | None:
    """The effect of each setting; None where the surrogate predicts no better than the trend over bytes.

    Args:
        log_bytes, ce: float64[n], finite.
        seed: of folds, trees and donors: the same input gives the same output.
    """
    found = _held_out(settings, log_bytes, ce, np.random.default_rng(seed))
    if float(np.abs(found.left).max()) <= ROUNDING * float(np.abs(ce).max()):
        return None
    slope = _slope(found)
    error = (slope * found.predicted - found.left) ** 2
    if _interval((found.left**2 - error).mean(axis=0), ERROR_OF_FOLDS)[1] <= 0:
        return None
    grown = (slope * found.changed - found.left[:, None, None]) ** 2 - error[:, None, None]
    by_config = grown.mean(axis=(0, 2)) / 2
    return [
        Effect(*map(_root, _interval(values[one.present], ERROR_OF_PAIRS)))
        for one, values in zip(settings, by_config, strict=True)
    ]


def _held_out(settings: Sequence[Varied], log_bytes: Array, ce: Array, rng: np.random.Generator) -> Held:
    num = len(ce)
    num_repeats = NUM_REPEATS if num < MANY else 1
    columns = _columns(settings, log_bytes)
    trend = _trend_columns(log_bytes)
    left, predicted = np.zeros((num_repeats, num)), np.zeros((num_repeats, num))
    changed = np.zeros((num_repeats, len(settings), NUM_DONORS, num))
    for repeat in range(num_repeats):
        folds = rng.permutation(num) % NUM_FOLDS
        for fold in range(NUM_FOLDS):
            tested = np.flatnonzero(folds == fold)
            fitted = folds != fold
            rest = ce - trend @ np.linalg.lstsq(trend[fitted], ce[fitted], rcond=None)[0]
            trees = ExtraTreesRegressor(NUM_TREES, random_state=int(rng.integers(2**31)))
            trees.fit(columns.values[fitted], rest[fitted])
            blocks = [columns.values[tested], *_changed_blocks(settings, columns, tested, rng)]
            answers = trees.predict(np.concatenate(blocks)).reshape(len(blocks), len(tested))
            left[repeat, tested], predicted[repeat, tested] = rest[tested], answers[0]
            changed[repeat][:, :, tested] = answers[1:].reshape(len(settings), NUM_DONORS, len(tested))
    return Held(left=left, predicted=predicted, changed=changed)


@dataclasses.dataclass(frozen=True)
class _Columns:
    """float32[n, columns], and which columns are changed with each setting: its own, and of what depends on it."""

    values: npt.NDArray[np.float32]
    of_setting: tuple[npt.NDArray[np.intp], ...]


def _columns(settings: Sequence[Varied], log_bytes: Array) -> _Columns:
    parts: list[npt.NDArray[np.float32]] = [log_bytes[:, None].astype(np.float32)]
    own: list[list[int]] = []
    for one in settings:
        coded = one.codes[:, None] if one.is_ordered else one.codes[:, None] == np.arange(one.num_values)
        first = sum(part.shape[1] for part in parts)
        own.append(list(range(first, first + coded.shape[1])))
        parts.append(coded.astype(np.float32))
    together = [
        [place for other, places in zip(settings, own, strict=True) if _moves(one, other) for place in places]
        for one in settings
    ]
    return _Columns(np.concatenate(parts, axis=1), tuple(np.array(places, dtype=np.intp) for places in together))


def _moves(one: Varied, other: Varied) -> bool:
    """Whether another setting comes and goes with this one, so that both are changed at once."""
    return other is one or bool(other.depends_on & set(one.keys))


def _trend_columns(log_bytes: Array) -> Array:
    scaled = (log_bytes - log_bytes.mean()) / max(float(log_bytes.std()), 1e-12)
    return np.stack([np.ones(len(scaled)), scaled, scaled**2], axis=1)


def _changed_blocks(
    settings: Sequence[Varied], columns: _Columns, tested: npt.NDArray[np.intp], rng: np.random.Generator
) -> Iterator[npt.NDArray[np.float32]]:
    """The tested rows with another config's value of a setting, of configs that have it; others stay as they are."""
    for one, places in zip(settings, columns.of_setting, strict=True):
        donors = np.flatnonzero(one.present)
        receivers = one.present[tested]
        for _ in range(NUM_DONORS):
            block = columns.values[tested].copy()
            taken = columns.values[rng.choice(donors, int(receivers.sum()))]
            block[np.ix_(receivers, places)] = taken[:, places]
            yield block


def _slope(found: Held) -> float:
    """What the predictions are to be multiplied by: trees that have few configs keep to the middle."""
    square = float((found.predicted**2).sum())
    return min(max(float((found.predicted * found.left).sum()) / square, 0.0), MAX_SLOPE) if square > 0 else 0.0


def _interval(values: Array, factor: float) -> tuple[float, float, float]:
    """Mean and 95 % interval of it; `factor` widens the standard error of independent values."""
    mean = float(values.mean())
    half = t_quantile_95(len(values) - 1) * factor * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _root(variance: float) -> float:
    """Of a variance that chance may have made negative."""
    return math.sqrt(max(variance, 0.0))
