"""Quantized matrices as an artifact holds them: integers of 2 to 8 bits with a scale for each row or group."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from trainer.recipes.weight_storage import packed_bytes

LARGEST_CODE: dict[int, int] = {bits: 2 ** (bits - 1) - 1 for bits in range(2, 9)}

Codes = npt.NDArray[np.int8]
Matrix = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """A matrix as `codes * scales`, a scale for each row and `group_size` columns (the last group may be shorter).

    Codes are int8 (rows, columns); scales float32 (rows, groups) that bfloat16 holds exactly. Without a group size
    there is one scale a row.
    """

    codes: Codes
    scales: npt.NDArray[np.float32]
    group_size: int | None = None


def dequantize(quantized: Quantized) -> Matrix:
    """The float32 matrix (rows, columns). Exact: the product of 7 bits and bfloat16's 8 fits float32's 24."""
    scales = quantized.scales
    if scales.shape[1] > 1:
        assert quantized.group_size is not None
        scales = np.repeat(scales, quantized.group_size, axis=1)[:, : quantized.codes.shape[1]]
    return np.multiply(quantized.codes, scales, dtype=np.float32)


def from_bfloat16_bits(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Inverse of `bfloat16_bits`."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def unpack_codes(data: bytes | memoryview, num_codes: int, bits: int) -> Codes:
    """Inverse of `pack_codes`: int8 (num_codes,)."""
    assert len(data) == packed_bytes(num_codes, bits)
    octets = np.zeros((num_codes + 7) // 8 * bits, dtype=np.uint8)
    octets[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    words = np.zeros((octets.size // bits, 8), dtype=np.uint8)
    words[:, :bits] = octets.reshape(-1, bits)
    places = np.arange(8, dtype=np.uint64) * np.uint64(bits)
    offset = np.empty((len(words), 8), dtype=np.uint8)
    for place, shift in enumerate(places):
        offset[:, place] = (words.view("<u8")[:, 0] >> shift) & np.uint64((1 << bits) - 1)
    return np.subtract(offset.reshape(-1)[:num_codes].view(np.int8), np.int8(1 << (bits - 1)))


def ends_clean(data: bytes | memoryview, num_codes: int, bits: int) -> bool:
    """Whether the bits of packed codes behind the last one are zero, as `pack_codes` leaves them."""
    used = num_codes * bits % 8
    return not used or not data[-1] >> used
