"""Matrices of floats as small integers and one scale a row, and six-bit integers as packed bytes."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

LARGEST_CODE: dict[int, int] = {6: 31, 8: 127}

Codes = npt.NDArray[np.int8]
Matrix = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """A matrix as `codes * scales`: codes int8 (rows, cols), scales float32 (rows,) that bfloat16 holds exactly."""

    codes: Codes
    scales: npt.NDArray[np.float32]


def quantize(matrix: Matrix, bits: int, *, name: str = "matrix") -> Quantized:
    """Symmetric codes per row; every element comes back within half its row's scale.

    A scale is its row's largest magnitude over the largest code, rounded up to bfloat16: all of float32's range, so
    small rows need no floor and a row of zeros has scale 0. Codes are computed with the scale that is stored.

    Raises:
        ValueError: if `matrix` holds NaN or infinity; `name` is what the message calls it.
    """
    assert matrix.dtype == np.float32 and matrix.ndim == 2
    _require_finite(matrix, name)
    largest = LARGEST_CODE[bits]
    scales = _round_up_to_bfloat16(np.abs(matrix).max(axis=1, initial=0).astype(np.float64) / largest)
    # A scale whose largest code overflows float32 gives way to the next below; its row still keeps half a scale.
    scales = np.minimum(scales, _round_down_to_bfloat16(np.finfo(np.float32).max / np.float32(largest)))
    # In float64, as a quotient rounded to float32 may reach a tie that it should not.
    divisors = np.where(scales > 0, scales, 1).astype(np.float64)
    codes = np.rint(matrix / divisors[:, None])
    return Quantized(codes=np.clip(codes, -largest, largest, out=codes).astype(np.int8), scales=scales)


def dequantize(quantized: Quantized) -> Matrix:
    """The float32 matrix (rows, cols). Exact: the product of 7 bits and bfloat16's 8 fits float32's 24."""
    return np.multiply(quantized.codes, quantized.scales[:, None], dtype=np.float32)


def to_half(values: npt.NDArray[np.float32], *, name: str = "tensor") -> npt.NDArray[np.float16]:
    """Nearest fp16 values.

    Raises:
        ValueError: if `values` holds NaN, infinity, or a number beyond fp16's 65504.
    """
    _require_finite(values, name)
    with np.errstate(over="ignore", under="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ValueError(
            f"`{name}` must be within fp16's ±65504 to be stored, but its largest is {np.abs(values).max()}"
        )
    return halves


def bfloat16_bits(scales: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The upper halves of float32 numbers that bfloat16 holds exactly."""
    bits = np.ascontiguousarray(scales).view(np.uint32)
    assert not np.any(bits & 0xFFFF)
    return (bits >> 16).astype(np.uint16)


def from_bfloat16_bits(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Inverse of `bfloat16_bits`."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def packed_bytes(num_codes: int) -> int:
    """Bytes of so many six-bit codes, packed."""
    return (6 * num_codes + 7) // 8


def pack_six_bits(codes: Codes) -> bytes:
    """Codes -31..31 as four in three bytes, the first in the lowest bits; any number of them."""
    offset = np.zeros((codes.size + 3) // 4 * 4, dtype=np.uint8)
    # Kept as code + 32, so that the filling at the end is what no code gives.
    np.add(codes.reshape(-1), 32, out=offset[: codes.size], casting="unsafe")
    a, b, c, d = offset.reshape(-1, 4).T
    triples = np.stack([a | b << 6, b >> 2 | c << 4, c >> 4 | d << 2], axis=1)
    return triples.tobytes()[: packed_bytes(codes.size)]


def unpack_six_bits(data: bytes | memoryview, num_codes: int) -> Codes:
    """Inverse of `pack_six_bits`: int8 (num_codes,)."""
    assert len(data) == packed_bytes(num_codes)
    octets = np.zeros((num_codes + 3) // 4 * 3, dtype=np.uint8)
    octets[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    a, b, c = octets.reshape(-1, 3).T
    offset = np.stack([a & 63, (a >> 6 | b << 2) & 63, (b >> 4 | c << 4) & 63, c >> 2], axis=1)
    return np.subtract(offset.reshape(-1)[:num_codes].view(np.int8), np.int8(32))


def _require_finite(values: npt.NDArray[np.float32], name: str) -> None:
    if not np.isfinite(values).all():
        num_bad = values.size - np.count_nonzero(np.isfinite(values))
        raise ValueError(f"`{name}` must be finite to be stored, but {num_bad} of {values.size} values are not")


def _round_up_to_bfloat16(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The smallest bfloat16 numbers, as float32, that are not below `values` (>= 0, at most float32's largest / 31)."""
    with np.errstate(under="ignore"):
        nearest = values.astype(np.float32)
        above = np.where(nearest < values, np.nextafter(nearest, np.float32(np.inf)), nearest)
    bits = above.view(np.uint32)
    return ((bits + 0xFFFF) & 0xFFFF0000).view(np.float32)


def _round_down_to_bfloat16(value: np.float32) -> np.float32:
    return np.float32((np.asarray(value).view(np.uint32) & 0xFFFF0000).view(np.float32))
