"""Artifact size before training: lower bound, estimate and upper bound from a config's shapes.

Free of torch and numpy.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from statistics import NormalDist

from trainer.artifact.file_format import HEADER_BYTES
from trainer.artifact.header import config_text, header_bytes
from trainer.config.trial import TrialConfig
from trainer.recipes.weight_storage import FP16, PACKABLE, Stored, parts_bytes, stored_weights

NORMAL = NormalDist()

# Sections that say nothing of what an artifact stores, and what compression may add to text that it cannot shorten.
_TRAINING = ("seed", "optimizer", "schedule", "train", "eval")
_DEFAULTS = {name: TrialConfig.model_fields[name].get_default(call_default_factory=True) for name in _TRAINING}
_SLACK_BYTES = 1_000
_ROUGH_HEADER_BYTES = 700


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """No artifact of a config is smaller than `lower_bytes` or larger than `upper_bytes`, whatever its weights.

    `expected_bytes` is the estimate for normally distributed weights: no bound.
    """

    lower_bytes: int
    expected_bytes: int
    upper_bytes: int


def byte_bounds(config: TrialConfig) -> Bounds:
    """The least and the most bytes an artifact of this config can have, of any recipe, and about what it will have.

    Above: the header, which is exact, and every stored weight at its full width with its scales. No compressor adds
    to that, as `trainer.artifact.pack` keeps packed weights as they are where compressing does not help.

    Below: the header and one byte. Hashes and the config's text are always there; of the weights nothing is certain,
    since equal weights compress to next to nothing in any number. So no real limit is certain to be broken.

    Expected: codes count their entropy where weights are normal and independent within a row, which compressors reach
    to one or two in a hundred; scales and fp16 weights count in full. Trained weights have longer tails, which raise a
    row's largest magnitude, so without clipping they come out smaller by some per cent.
    """
    header, (expected, body) = header_bytes(config), _expected_and_most_body_bytes(config)
    return Bounds(lower_bytes=header + min(body, 1), expected_bytes=header + expected, upper_bytes=header + body)


def roughly_most_bytes(config: TrialConfig) -> int:
    """No artifact of this config is larger, nor is `upper_bytes`: some hundred bytes above it, and far quicker to find.

    For plans of many configs, which share their shapes and are mostly far below a limit.
    """
    body = _shared_body_bytes(config.model_copy(update=_DEFAULTS))[1]
    return HEADER_BYTES + len(config_text(config)) + _SLACK_BYTES + body


def roughly_expected_bytes(config: TrialConfig) -> int:
    """`expected_bytes`, give or take a hundred bytes of the header, and far quicker to find: for searches."""
    return _ROUGH_HEADER_BYTES + _shared_body_bytes(config.model_copy(update=_DEFAULTS))[0]


@functools.lru_cache(maxsize=16_384)
def _shared_body_bytes(config: TrialConfig) -> tuple[int, int]:
    return _expected_and_most_body_bytes(config)


def _expected_and_most_body_bytes(config: TrialConfig) -> tuple[int, int]:
    """Of what follows the header: the estimate, and the most there can be."""
    weights = list(stored_weights(config).values())
    parts = parts_bytes(weights, PACKABLE)
    most = sum(parts.values())
    bits = sum(
        count * columns * _entropy_bits(weight, columns)
        for weight in weights
        if weight.bits != FP16
        for count, columns in _groups(weight)
    )
    return min(math.ceil(bits / 8) + parts["scales"] + parts["halves"], most), most


def _groups(weight: Stored) -> list[tuple[int, int]]:
    """Number and columns of the groups that share a scale: full ones, and the shorter ones at the ends of rows."""
    rows, columns = weight.shape
    size = weight.group_size or columns
    return [(rows * (columns // size), size)] + ([(rows, columns % size)] if columns % size else [])


def _entropy_bits(weight: Stored, columns: int) -> float:
    return _normal_entropy_bits(weight.bits, columns, weight.clip_std, weight.clip_percentile)


@functools.lru_cache(maxsize=4096)
def _normal_entropy_bits(bits: int, columns: int, clip_std: float | None, clip_percentile: float | None) -> float:
    """Entropy in bits of the codes of standard normal weights, so many to a scale."""
    largest = 2 ** (bits - 1) - 1
    # The median of the largest of `columns` magnitudes.
    limit = _magnitude_quantile(0.5 ** (1 / columns))
    if clip_percentile is not None and clip_percentile < 100:
        limit = min(limit, _magnitude_quantile(clip_percentile / 100))
    scale = (clip_std or limit) / largest
    below = [NORMAL.cdf((code - 0.5) * scale) for code in range(-largest + 1, largest + 1)]
    shares = [after - before for before, after in zip([0.0, *below], [*below, 1.0], strict=True)]
    return -sum(share * math.log2(share) for share in shares if share > 0)


def _magnitude_quantile(share: float) -> float:
    """The magnitude that this share of standard normal numbers stays below."""
    return NORMAL.inv_cdf((1 + share) / 2)
