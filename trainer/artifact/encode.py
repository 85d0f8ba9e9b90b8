"""Weights to the payload of an artifact, which `payload.py` describes and decodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainer.artifact.codecs import huffman_bytes
from trainer.artifact.codes import Codes, Quantized
from trainer.artifact.quantization import bfloat16_bits, pack_codes, quantize, to_half
from trainer.recipes.weight_storage import FP16, Layout, Stored, packable_widths

Weights = Mapping[str, npt.NDArray[np.float32]]


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
