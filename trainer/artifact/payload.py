"""The payload of the artifact format: all stored weights as codes, scales and fp16 numbers.

The codes of every quantized weight come first, in stored order; then all scales; then all fp16 weights, these two as
a plane of low bytes and a plane of high ones. Every length follows from the config alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainer.artifact.codecs import huffman_bytes
from trainer.artifact.quantization import (
    LARGEST_CODE,
    Codes,
    Quantized,
    bfloat16_bits,
    dequantize,
    ends_clean,
    from_bfloat16_bits,
    pack_codes,
    quantize,
    to_half,
    unpack_codes,
)
from trainer.recipes.weight_storage import FP16, Layout, Stored, packable_widths

Weights = Mapping[str, npt.NDArray[np.float32]]


class PayloadError(ValueError):
    """A payload's bytes stand for no weights that `encode_payload` could have been given."""


def encode_payload(
    stored: Mapping[str, Stored], weights: Weights, layout: Layout | None = None
) -> tuple[Layout, bytes]:
    """The payload of `weights`, and the widths whose codes it packs: `layout`, or those that compress better packed.

    Raises:
        ValueError: naming the weight, if one holds NaN, infinity, or more than fp16 can where it is kept as that.
    """
    quantized = {name: _quantized(name, w, weights[name]) for name, w in stored.items() if w.bits != FP16}
    codes_of = {name: part.codes for name, part in quantized.items()}
    if layout is None:
        layout = frozenset(
            bits
            for bits in packable_widths(stored.values())
            if _packs_well([codes for name, codes in codes_of.items() if stored[name].bits == bits], bits)
        )
    codes = [_laid_out(codes, stored[name].bits, layout) for name, codes in codes_of.items()]
    scales = [bfloat16_bits(part.scales).reshape(-1) for part in quantized.values()]
    halves = [to_half(weights[name], name=name).reshape(-1).view("<u2") for name, w in stored.items() if w.bits == FP16]
    return layout, b"".join([*codes, _planes(scales), _planes(halves)])


def _quantized(name: str, weight: Stored, values: npt.NDArray[np.float32]) -> Quantized:
    return quantize(
        values,
        weight.bits,
        group_size=weight.group_size,
        clip_std=weight.clip_std,
        clip_percentile=weight.clip_percentile,
        name=name,
    )


def _laid_out(codes: Codes, bits: int, layout: Layout) -> bytes:
    return pack_codes(codes, bits) if bits in layout else codes.tobytes()


def _packs_well(codes: list[Codes], bits: int) -> bool:
    """Whether packed codes take fewer bytes by Huffman coding than codes of a byte each; true for all codecs alike.

    Bell-shaped codes of 2 and 4 bits, which fill whole bytes, pack 1 to 12 % better; those of 3, 5, 6 and 7 straddle
    bytes, which hides their distribution from every codec, and do 8 to 25 % worse.
    """
    packed, plain = (
        huffman_bytes(b"".join(_laid_out(part, bits, layout) for part in codes))
        for layout in (frozenset([bits]), frozenset[int]())
    )
    return packed < plain


def _planes(parts: list[npt.NDArray[np.uint16]]) -> bytes:
    """All low bytes, then all high ones: high bytes are alike and compress well."""
    words = np.concatenate(parts).astype("<u2") if parts else np.empty(0, dtype="<u2")
    return words.view(np.uint8).reshape(-1, 2).T.tobytes()


def _words(planes: bytes | memoryview) -> npt.NDArray[np.uint16]:
    """Inverse of `_planes`."""
    octets = np.frombuffer(planes, dtype=np.uint8).reshape(2, -1)
    return np.ascontiguousarray(octets.T).view("<u2").reshape(-1).astype(np.uint16)


def decode_payload(stored: Mapping[str, Stored], layout: Layout, payload: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Inverse of `encode_payload`, up to rounding: float32 weights by name.

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
