"""Quantization: a matrix as integers of 2 to 8 bits with a scale for each row or group of columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.artifact.codes import LARGEST_CODE, Codes, Matrix, Quantized
from trainer.recipes.weight_storage import packed_bytes

Float64 = npt.NDArray[np.float64]


def quantize(
    matrix: Matrix,
    bits: int,
    *,
    group_size: int | None = None,
    clip_std: float | None = None,
    clip_percentile: float | None = None,
    name: str = "matrix",
) -> Quantized:
    """Symmetric codes per row or group of columns: an element comes back within half its scale, or is clipped.

    A scale is a limit over the largest code, rounded up to bfloat16: all of float32's range, so small rows need no
    floor and a row of zeros has scale 0. Codes are computed with the scale that is stored. The limit is the largest
    magnitude; or `clip_std` standard deviations about zero (SDClip, parameter-golf PR #1394: mostly above the largest
    magnitude, so that fewer codes occur and compress better; the entropy falls by a bit each time it doubles); or the
    percentile of the magnitudes, between elements linearly (the competition's baseline: 99.99984). What lies beyond
    becomes the largest code.

    Raises:
        ValueError: if `matrix` holds NaN or infinity; `name` is what the message calls it.
    """
    assert matrix.dtype == np.float32 and matrix.ndim == 2
    assert clip_std is None or clip_percentile is None
    _require_finite(matrix, name)
    columns = matrix.shape[1]
    step = group_size or max(1, columns)
    codes, scales = np.empty(matrix.shape, dtype=np.int8), []
    for start in range(0, max(1, columns), step):
        group = matrix[:, start : start + step]
        scales.append(_scales(_limits(group, clip_std, clip_percentile), bits))
        codes[:, start : start + step] = _rounded(group, scales[-1], bits)
    return Quantized(codes=codes, scales=np.stack(scales, axis=1), group_size=group_size)


def _limits(group: Matrix, clip_std: float | None, clip_percentile: float | None) -> Float64:
    """The magnitude per row that the largest code stands for."""
    largest: Float64 = np.abs(group).max(axis=1, initial=0).astype(np.float64)
    limits = largest
    if clip_std is not None and group.size:
        # About zero, where the codes are centred: about its mean, a row of like values would have no spread at all.
        limits = clip_std * np.sqrt(np.mean(np.square(group, dtype=np.float64), axis=1))
    if clip_percentile is not None and group.size:
        limits = np.quantile(np.abs(group).astype(np.float64), clip_percentile / 100, axis=1)
    # A percentile of 0 would wipe out the row's other elements.
    return np.where(limits > 0, limits, largest)


def _scales(limits: Float64, bits: int) -> npt.NDArray[np.float32]:
    largest = LARGEST_CODE[bits]
    scales = _round_up_to_bfloat16(np.minimum(limits, np.finfo(np.float32).max) / largest)
    # A scale whose largest code overflows float32 gives way to the next below; its row still keeps half a scale.
    return np.minimum(scales, _round_down_to_bfloat16(np.finfo(np.float32).max / np.float32(largest)))


def _rounded(group: Matrix, scales: npt.NDArray[np.float32], bits: int) -> Float64:
    # In float64, as a quotient rounded to float32 may reach a tie that it should not.
    divisors = np.where(scales > 0, scales, 1).astype(np.float64)
    codes: Float64 = np.rint(group / divisors[:, None])
    np.clip(codes, -LARGEST_CODE[bits], LARGEST_CODE[bits], out=codes)
    return codes


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


def pack_codes(codes: Codes, bits: int) -> bytes:
    """Codes of 2 to 7 bits, eight in as many bytes as a code has bits, the first in the lowest; any number of them."""
    # Kept as code + half the range, so that the filling at the end is what no code gives.
    offset = np.zeros((codes.size + 7) // 8 * 8, dtype=np.uint8)
    np.add(codes.reshape(-1), 1 << (bits - 1), out=offset[: codes.size], casting="unsafe")
    words = np.zeros(offset.size // 8, dtype="<u8")
    for place, column in enumerate(offset.reshape(-1, 8).T):
        words |= column.astype("<u8") << np.uint64(bits * place)
    octets = words.view(np.uint8).reshape(-1, 8)[:, :bits]
    return octets.tobytes()[: packed_bytes(codes.size, bits)]


def _require_finite(values: npt.NDArray[np.float32], name: str) -> None:
    if not np.isfinite(values).all():
        num_bad = values.size - np.count_nonzero(np.isfinite(values))
        raise ValueError(f"`{name}` must be finite to be stored, but {num_bad} of {values.size} values are not")


def _round_up_to_bfloat16(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The smallest bfloat16 numbers, as float32, that are not below `values` (>= 0, finite in float32)."""
    with np.errstate(under="ignore", over="ignore"):
        nearest = values.astype(np.float32)
        above = np.where(nearest < values, np.nextafter(nearest, np.float32(np.inf)), nearest)
    bits = above.view(np.uint32)
    return ((bits + 0xFFFF) & 0xFFFF0000).view(np.float32)


def _round_down_to_bfloat16(value: np.float32) -> np.float32:
    return np.float32((np.asarray(value).view(np.uint32) & 0xFFFF0000).view(np.float32))
