from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainer.artifact.codes import (
    LARGEST_CODE,
    Quantized,
    dequantize,
    ends_clean,
    from_bfloat16_bits,
    unpack_codes,
)
from trainer.artifact.quantization import bfloat16_bits, pack_codes, quantize, to_half
from trainer.recipes.weight_storage import packed_bytes

LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
BITS = sorted(LARGEST_CODE)

any_float = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=any_float)


def assert_within_half_a_scale(matrix: npt.NDArray[np.float32], bits: int) -> None:
    quantized = quantize(matrix, bits)
    assert quantized.codes.dtype == np.int8 and quantized.scales.dtype == np.float32
    assert np.abs(quantized.codes.astype(int)).max() <= LARGEST_CODE[bits]
    assert np.array_equal(from_bfloat16_bits(bfloat16_bits(quantized.scales)), quantized.scales)
    back = dequantize(quantized)
    assert np.isfinite(back).all()
    # float64 holds differences of float32 numbers of one row well enough to see the bound, but not to the last bit
    error = np.abs(back.astype(np.float64) - matrix)
    assert np.all(error <= quantized.scales.astype(np.float64) / 2 * (1 + 1e-15))


@given(matrices, st.sampled_from(BITS))
@example(np.array([[LARGEST, -LARGEST, 1.0]], np.float32), 8)
@example(np.array([[LARGEST, -LARGEST, 1.0]], np.float32), 6)
@example(np.array([[LARGEST * 0.9999, LARGEST * 0.49, 0.0]], np.float32), 6)
@example(np.array([[SMALLEST, 0.0], [SMALLEST * 3, -SMALLEST]], np.float32), 8)
@example(np.array([[1e-38, 1e-45], [LARGEST, 1e-45], [0.0, 0.0]], np.float32), 6)
def test_error_bound(matrix: npt.NDArray[np.float32], bits: int) -> None:
    """Every element of every row, subnormal, huge or mixed, comes back within half of its row's scale."""
    assert_within_half_a_scale(matrix, bits)


@pytest.mark.parametrize("bits", BITS)
def test_error_bound_over_all_exponents(bits: int) -> None:
    """The bound holds for rows of every magnitude that float32 has, and on ties between two codes."""
    rng = np.random.default_rng(0)
    magnitudes = 2.0 ** np.arange(-149, 128)
    matrix = (rng.uniform(-1, 1, (magnitudes.size, 64)) * magnitudes[:, None] * 1.99).astype(np.float32)
    assert_within_half_a_scale(matrix, bits)
    ties = (np.arange(-2 * LARGEST_CODE[bits], 2 * LARGEST_CODE[bits] + 1) / 2 * 0.25).astype(np.float32)[None]
    assert_within_half_a_scale(ties, bits)
    assert quantize(ties, bits).scales == 0.25


@pytest.mark.parametrize("bits", BITS)
def test_small_rows_survive(bits: int) -> None:
    """A row a million times smaller than its neighbours keeps its relative precision: scales have no floor."""
    row = np.random.default_rng(1).standard_normal((1, 256)).astype(np.float32)
    both = np.concatenate([row, row * np.float32(2.0**-30), row * np.float32(2.0**-100)])
    quantized = quantize(both, bits)
    assert np.array_equal(quantized.codes[0], quantized.codes[1])
    assert np.array_equal(quantized.codes[0], quantized.codes[2])
    assert np.abs(quantized.codes).max() >= LARGEST_CODE[bits] - 1


@pytest.mark.parametrize("bits", BITS)
def test_zero_rows_and_empty_matrices(bits: int) -> None:
    """A row of zeros has scale 0 and comes back as zeros; matrices without rows or columns pass through."""
    quantized = quantize(np.array([[0.0, -0.0], [1.0, 0.0]], np.float32), bits)
    assert quantized.scales[0] == 0 and quantized.scales[1] > 0
    assert not dequantize(quantized)[0].any()
    for shape in ((0, 4), (4, 0), (0, 0)):
        assert dequantize(quantize(np.zeros(shape, np.float32), bits)).shape == shape


@pytest.mark.parametrize("bits", BITS)
def test_second_round_changes_nothing(bits: int) -> None:
    """Quantising what was quantized loses at most the same half scale again, and exact grids lose nothing."""
    codes = np.arange(-LARGEST_CODE[bits], LARGEST_CODE[bits] + 1, dtype=np.int8)[None]
    grid = Quantized(codes=codes, scales=np.array([[0.0078125]], np.float32))
    again = quantize(dequantize(grid), bits)
    assert np.array_equal(again.codes, codes) and again.scales == grid.scales


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_is_refused(bits: int, bad: float) -> None:
    """NaN and infinity are refused with the tensor's name and how many there are."""
    matrix = np.ones((2, 3), np.float32)
    matrix[1, 2] = bad
    with pytest.raises(ValueError, match=r"`blocks\.0\.q` must be finite to be stored, but 1 of 6 values are not"):
        quantize(matrix, bits, name="blocks.0.q")
    with pytest.raises(ValueError, match="`gain` must be finite"):
        to_half(matrix[1], name="gain")


def test_error_state_does_not_matter() -> None:
    """Codes and scales are the same, and raise nothing, when numpy raises on every floating-point event."""
    matrix = np.array([[SMALLEST, 1e-40, 3e-39], [LARGEST, 1.0, 1e-45], [1e-9, 2e-9, 3e-9]], np.float32)
    with np.errstate(all="raise"):
        strict = [quantize(matrix, bits) for bits in BITS]
        halves = to_half(np.array([1e-30, 1.0], np.float32))
    for bits, quantized in zip(BITS, strict, strict=True):
        assert np.array_equal(quantized.codes, quantize(matrix, bits).codes)
        assert np.array_equal(quantized.scales, quantize(matrix, bits).scales)
    assert np.array_equal(halves, np.array([0, 1], np.float16))


def test_dequantization_is_exact() -> None:
    """Every code times every positive bfloat16 scale is a float32 number: the product in float64 is the same."""
    scales = from_bfloat16_bits(np.arange(0, 0x7C00, 7, dtype=np.uint16))
    codes = np.tile(np.arange(-127, 128, dtype=np.int8), (scales.size, 1))
    exact = codes.astype(np.float64) * scales[:, None].astype(np.float64)
    assert np.array_equal(dequantize(Quantized(codes=codes, scales=scales[:, None])).astype(np.float64), exact)


def test_half_overflow_is_refused() -> None:
    """A value that fp16 would turn into infinity is refused with the tensor's name; the largest that fits is kept."""
    assert to_half(np.array([65504.0, -65519.0], np.float32)).tolist() == [65504.0, -65504.0]
    with pytest.raises(ValueError, match=r"`final_norm` must be within fp16's ±65504 to be stored, .* 65520"):
        to_half(np.array([1.0, -65520.0], np.float32), name="final_norm")


CLIPS = [{}, *({"clip_std": k} for k in (0.5, 3.0, 1e3)), *({"clip_percentile": p} for p in (50.0, 99.99984, 100.0))]
SETTINGS = st.builds(
    lambda group_size, clip: {"group_size": group_size, **clip},
    st.none() | st.integers(1, 12),
    st.sampled_from(CLIPS),
)


@given(matrices, st.sampled_from(BITS), SETTINGS)
@example(np.array([[LARGEST, -LARGEST, 1.0]], np.float32), 2, {"clip_std": 1e3, "group_size": None})
@example(np.array([[LARGEST, 1.0, 1.0]], np.float32), 2, {"clip_percentile": 50.0, "group_size": 2})
def test_error_bound_inside_the_clip(matrix: npt.NDArray[np.float32], bits: int, chosen: dict[str, Any]) -> None:
    """Whatever the width, group and clip, an element is within half its scale of what comes back, or saturates."""
    quantized = quantize(matrix, bits, **chosen)
    group_size = chosen["group_size"] or matrix.shape[1]
    assert quantized.scales.shape == (matrix.shape[0], -(-matrix.shape[1] // group_size))
    assert np.array_equal(from_bfloat16_bits(bfloat16_bits(quantized.scales)), quantized.scales)
    scales = np.repeat(quantized.scales, group_size, axis=1)[:, : matrix.shape[1]].astype(np.float64)
    back, largest = dequantize(quantized).astype(np.float64), LARGEST_CODE[bits]
    inside = np.abs(matrix.astype(np.float64)) <= scales * (largest + 0.5)
    assert np.all((np.abs(back - matrix) <= scales / 2 * (1 + 1e-15)) | ~inside)
    assert np.array_equal(quantized.codes[~inside], np.sign(matrix[~inside]).astype(np.int8) * largest)


@pytest.mark.parametrize("bits", BITS)
def test_limits_are_what_they_say(bits: int) -> None:
    """A scale times the largest code is k·std, or numpy's percentile, of its row or group; at most 1/128 above."""
    matrix = np.random.default_rng(2).standard_normal((5, 50)).astype(np.float32)
    groups = [matrix[:, :20], matrix[:, 20:40], matrix[:, 40:]]
    wanted = {
        "clip_std": (12.85, [12.85 * np.sqrt((g.astype(np.float64) ** 2).mean(1)) for g in groups]),
        "clip_percentile": (90.0, [np.percentile(np.abs(g).astype(np.float64), 90, axis=1) for g in groups]),
    }
    for name, (value, limits) in wanted.items():
        scales = quantize(matrix, bits, group_size=20, **{name: value}).scales
        ratio = scales * LARGEST_CODE[bits] / np.stack(limits, axis=1)
        assert np.all(ratio >= 1 - 1e-6) and np.all(ratio <= 1 + 1 / 127)


def test_a_wider_clip_saves_bits() -> None:
    """The entropy of the codes falls by about a bit each time the clip doubles (parameter-golf PR #1394)."""
    matrix = np.random.default_rng(3).standard_normal((64, 1024)).astype(np.float32)
    entropies = []
    for clip_std in (6.0, 12.0, 24.0):
        shares = np.unique(quantize(matrix, 8, clip_std=clip_std).codes, return_counts=True)[1] / matrix.size
        entropies.append(-np.sum(shares * np.log2(shares)))
    assert np.allclose(np.diff(entropies), -1, atol=0.02)


def test_no_row_is_wiped_out() -> None:
    """A constant row has no spread about its mean, and a sparse one a percentile of 0: both keep their values."""
    rows = np.array([[2.0] * 8, [0.0] * 7 + [2.0]], np.float32)
    for chosen in ({"clip_std": 3.0}, {"clip_percentile": 50.0}):
        assert np.abs(dequantize(quantize(rows, 8, **chosen)) - rows).max() < 0.03


def test_groups_follow_their_own_magnitudes() -> None:
    """Small columns beside large ones keep their precision with a scale of their own; a row's scale loses them."""
    rows = np.concatenate([np.full((2, 8), 1e-3), np.full((2, 5), 10.0)], axis=1).astype(np.float32)
    assert not dequantize(quantize(rows, 4))[:, :8].any()
    back = dequantize(quantize(rows, 4, group_size=8))
    assert np.allclose(back, rows, rtol=0.1)


@given(st.integers(2, 7), st.data())
def test_packed_codes_round_trip(bits: int, data: st.DataObject) -> None:
    """Any number of codes of any width comes back from as many bits as it has, rounded up to whole bytes."""
    largest = LARGEST_CODE[bits]
    codes = data.draw(hnp.arrays(np.int8, st.integers(0, 70), elements=st.integers(-largest, largest)))
    packed = pack_codes(codes, bits)
    assert len(packed) == packed_bytes(codes.size, bits) == -(-bits * codes.size // 8)
    assert np.array_equal(unpack_codes(packed, codes.size, bits), codes)
    assert ends_clean(packed, codes.size, bits)


@pytest.mark.parametrize("bits", range(2, 8))
def test_packed_layout(bits: int) -> None:
    """Codes lie lowest bits first, offset by half the range, on every machine; bits behind the last are seen."""
    codes = np.array([-1, 0, 1, 1, 0], np.int8)
    number = sum((int(code) + 2 ** (bits - 1)) << bits * place for place, code in enumerate(codes))
    packed = pack_codes(codes, bits)
    assert packed == number.to_bytes(-(-5 * bits // 8), "little")
    for bit in range(5 * bits, 8 * len(packed)):
        assert not ends_clean((number | 1 << bit).to_bytes(len(packed), "little"), 5, bits)
