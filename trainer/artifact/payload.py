"""The payload of the artifact format: all stored weights as codes, scales and fp16 numbers.

The codes of every quantized weight come first, in stored order; then all scales; then all fp16 weights, these two as
a plane of low bytes and a plane of high ones. Every length follows from the config alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainer.artifact.codes import (
    LARGEST_CODE,
    Codes,
    Quantized,
    dequantize,
    ends_clean,
    from_bfloat16_bits,
    unpack_codes,
)
from trainer.recipes.weight_storage import FP16, Layout, Stored


class PayloadError(ValueError):
    """A payload's bytes stand for no weights that `encode_payload` could have been given."""


def _words(planes: bytes | memoryview) -> npt.NDArray[np.uint16]:
    """Words from a plane of low bytes and one of high ones."""
    octets = np.frombuffer(planes, dtype=np.uint8).reshape(2, -1)
    return np.ascontiguousarray(octets.T).view("<u2").reshape(-1).astype(np.uint16)


def decode_payload(stored: Mapping[str, Stored], layout: Layout, payload: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Inverse of `encode.py`, up to rounding: float32 weights by name.

    Raises:
        PayloadError: if a code, scale or value is one that no weight has.
    """
    quantized = [weight for weight in stored.values() if weight.bits != FP16]
    sizes = [weight.scales_shape for weight in quantized]
    num_scales = sum(rows * groups for rows, groups in sizes)
    view, start = memoryview(payload), sum(weight.code_bytes(layout) for weight in quantized)
    scales = from_bfloat16_bits(_words(view[start : start + 2 * num_scales]))
    halves = _words(view[start + 2 * num_scales :]).view(np.float16)
    # A scale has no sign, so that each matrix has one form; this also finds NaN.
    if not np.all(scales >= 0) or np.signbit(scales).any():
        raise PayloadError("holds a scale that is no number of at least 0")
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for name, weight in stored.items():
        if weight.bits == FP16:
            part, halves = halves[: weight.num_params], halves[weight.num_params :]
            values = part.astype(np.float32).reshape(weight.shape)
        else:
            codes, view = _codes(name, weight, layout, view)
            rows, groups = weight.scales_shape
            part_scales, scales = scales[: rows * groups].reshape(rows, groups), scales[rows * groups :]
            with np.errstate(over="ignore", invalid="ignore"):  # of a malicious scale: found below
                values = dequantize(Quantized(codes=codes, scales=part_scales, group_size=weight.group_size))
        if not np.isfinite(values).all():
            raise PayloadError(f"holds values in `{name}` that are not finite")
        weights[name] = values
    assert not scales.size and not halves.size
    return weights


def _codes(name: str, weight: Stored, layout: Layout, view: memoryview) -> tuple[Codes, memoryview]:
    """One weight's codes from the front of `view`, and what is left of it."""
    size, bits = weight.code_bytes(layout), weight.bits
    data, rest = view[:size], view[size:]
    packed = bits in layout
    if packed and not ends_clean(data, weight.num_params, bits):
        raise PayloadError(f"holds bits behind the last code of `{name}`")
    codes = unpack_codes(data, weight.num_params, bits) if packed else np.frombuffer(data, dtype=np.int8)
    largest = LARGEST_CODE[bits]
    if codes.min() < -largest or codes.max() > largest:
        raise PayloadError(f"holds codes in `{name}` beyond ±{largest}")
    return codes.reshape(weight.shape), rest
