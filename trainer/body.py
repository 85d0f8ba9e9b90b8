"""What is inside an artifact before compression: weights as codes, scales and fp16 numbers, in one canonical order.

The codes of every quantised weight come first, in stored order; then all scales; then all fp16 weights, these two as
a plane of low bytes and a plane of high ones. Every length follows from the config alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from math import prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainer.codecs import compress
from trainer.config import TrialConfig
from trainer.quantize import (
    LARGEST_CODE,
    Codes,
    Quantized,
    bfloat16_bits,
    dequantize,
    from_bfloat16_bits,
    pack_six_bits,
    packed_bytes,
    quantize,
    to_half,
    unpack_six_bits,
)
from trainer.recipes import plan
from trainer.shapes import Shape, is_matrix

Layout = Literal["bytes", "packed"]
Weights = Mapping[str, npt.NDArray[np.float32]]

LAYOUTS: tuple[Layout, ...] = ("bytes", "packed")


class BodyError(ValueError):
    """A body's bytes stand for no weights that `encode` could have been given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """How one weight is kept: as codes of 6 or 8 bits with a scale a row, or as fp16 (16 bits)."""

    shape: Shape
    bits: int


def stored_weights(config: TrialConfig) -> dict[str, Stored]:
    """Every weight that an artifact of this config holds, in stored order."""
    weights = plan(config).weights
    return {n: Stored(shape=w.shape, bits=_bits(config, n)) for n, w in weights.items() if w.kind != "seeded"}


def raw_bytes(config: TrialConfig, layout: Layout = "packed") -> dict[str, int]:
    """Bytes of a body before compression, by part, from shapes alone."""
    stored = stored_weights(config).values()
    quantised = [weight for weight in stored if weight.bits != 16]
    return {
        "codes": sum(_code_bytes(weight, layout) for weight in quantised),
        "scales": sum(2 * weight.shape[0] for weight in quantised),
        "halves": sum(2 * prod(weight.shape) for weight in stored if weight.bits == 16),
    }


def _bits(config: TrialConfig, name: str) -> int:
    if name.endswith("embedding"):
        return config.artifact.embedding_bits
    return config.artifact.matrix_bits if is_matrix(name) else 16


def _code_bytes(weight: Stored, layout: Layout) -> int:
    num_codes = prod(weight.shape)
    return packed_bytes(num_codes) if weight.bits == 6 and layout == "packed" else num_codes


def encode(stored: Mapping[str, Stored], weights: Weights) -> tuple[Layout, bytes]:
    """The body of `weights`, and how its six-bit codes are laid out.

    Raises:
        ValueError: naming the weight, if one holds NaN, infinity, or more than fp16 can where it is kept as that.
    """
    quantised = {name: quantize(weights[name], w.bits, name=name) for name, w in stored.items() if w.bits != 16}
    layout = _layout([quantised[name].codes for name, weight in stored.items() if weight.bits == 6])
    codes = [
        pack_six_bits(part.codes) if stored[name].bits == 6 and layout == "packed" else part.codes.tobytes()
        for name, part in quantised.items()
    ]
    scales = [bfloat16_bits(part.scales) for part in quantised.values()]
    halves = [to_half(weights[name], name=name).reshape(-1).view("<u2") for name, w in stored.items() if w.bits == 16]
    return layout, b"".join([*codes, _planes(scales), _planes(halves)])


def _layout(six_bit_codes: list[Codes]) -> Layout:
    """A byte a code where Huffman coding alone brings it below six bits, which trained weights do by a tenth or more.

    Packing first would hide the codes' boundaries, and with them their distribution, from every compressor.
    """
    data = b"".join(codes.tobytes() for codes in six_bit_codes)
    return "packed" if data and len(compress("zlib", data)) >= packed_bytes(len(data)) else "bytes"


def _planes(parts: list[npt.NDArray[np.uint16]]) -> bytes:
    """All low bytes, then all high ones, which resemble each other and so compress."""
    words = np.concatenate(parts).astype("<u2") if parts else np.empty(0, dtype="<u2")
    return words.view(np.uint8).reshape(-1, 2).T.tobytes()


def _words(planes: bytes | memoryview) -> npt.NDArray[np.uint16]:
    """Inverse of `_planes`."""
    octets = np.frombuffer(planes, dtype=np.uint8).reshape(2, -1)
    return np.ascontiguousarray(octets.T).view("<u2").reshape(-1).astype(np.uint16)


def decode(stored: Mapping[str, Stored], layout: Layout, body: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Inverse of `encode`, up to rounding: float32 weights by name.

    Raises:
        BodyError: if a code, scale or value is one that no weight has.
    """
    quantised = {name: weight for name, weight in stored.items() if weight.bits != 16}
    num_scales = sum(weight.shape[0] for weight in quantised.values())
    view, start = memoryview(body), sum(_code_bytes(weight, layout) for weight in quantised.values())
    scales = from_bfloat16_bits(_words(view[start : start + 2 * num_scales]))
    halves = _words(view[start + 2 * num_scales :]).view(np.float16)
    # A scale has no sign, so that each matrix has one form; this also finds NaN.
    if not np.all(scales >= 0) or np.signbit(scales).any():
        raise BodyError("holds a scale that is no number of at least 0")
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for name, weight in stored.items():
        if weight.bits == 16:
            part, halves = halves[: prod(weight.shape)], halves[prod(weight.shape) :]
            values = part.astype(np.float32).reshape(weight.shape)
        else:
            codes, view = _codes(name, weight, layout, view)
            row_scales, scales = scales[: weight.shape[0]], scales[weight.shape[0] :]
            with np.errstate(over="ignore", invalid="ignore"):  # of a hostile scale: found below
                values = dequantize(Quantized(codes=codes, scales=row_scales))
        if not np.isfinite(values).all():
            raise BodyError(f"holds values in `{name}` that are not finite")
        weights[name] = values
    assert not scales.size and not halves.size
    return weights


def _codes(name: str, weight: Stored, layout: Layout, view: memoryview) -> tuple[Codes, memoryview]:
    """One weight's codes from the front of `view`, and what is left of it."""
    size, num_codes = _code_bytes(weight, layout), prod(weight.shape)
    packed = size != num_codes
    codes = unpack_six_bits(view[:size], num_codes) if packed else np.frombuffer(view[:size], dtype=np.int8)
    largest = LARGEST_CODE[weight.bits]
    if codes.min() < -largest or codes.max() > largest:
        raise BodyError(f"holds codes in `{name}` beyond ±{largest}")
    return codes.reshape(weight.shape), view[size:]
