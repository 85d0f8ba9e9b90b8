from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainer.quantize import (
    LARGEST_CODE,
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
    assert np.all(error <= quantized.scales[:, None].astype(np.float64) / 2 * (1 + 1e-15))


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
    """Quantising what was quantised loses at most the same half scale again, and exact grids lose nothing."""
    codes = np.arange(-LARGEST_CODE[bits], LARGEST_CODE[bits] + 1, dtype=np.int8)[None]
    grid = Quantized(codes=codes, scales=np.array([0.0078125], np.float32))
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


def test_dequantisation_is_exact() -> None:
    """Every code times every positive bfloat16 scale is a float32 number: the product in float64 is the same."""
    scales = from_bfloat16_bits(np.arange(0, 0x7C00, 7, dtype=np.uint16))
    codes = np.tile(np.arange(-127, 128, dtype=np.int8), (scales.size, 1))
    exact = codes.astype(np.float64) * scales[:, None].astype(np.float64)
    assert np.array_equal(dequantize(Quantized(codes=codes, scales=scales)).astype(np.float64), exact)


def test_half_overflow_is_refused() -> None:
    """A value that fp16 would turn into infinity is refused with the tensor's name; the largest that fits is kept."""
    assert to_half(np.array([65504.0, -65519.0], np.float32)).tolist() == [65504.0, -65504.0]
    with pytest.raises(ValueError, match=r"`final_norm` must be within fp16's ±65504 to be stored, .* 65520"):
        to_half(np.array([1.0, -65520.0], np.float32), name="final_norm")


@given(hnp.arrays(np.int8, st.integers(0, 70), elements=st.integers(-31, 31)))
def test_six_bits_round_trip(codes: npt.NDArray[np.int8]) -> None:
    """Any number of six-bit codes comes back from three bytes for each four, rounded up to whole bytes."""
    data = pack_six_bits(codes)
    assert len(data) == packed_bytes(codes.size) == -(-6 * codes.size // 8)
    assert np.array_equal(unpack_six_bits(data, codes.size), codes)


def test_six_bits_layout() -> None:
    """Codes lie lowest bits first, offset by 32, on every machine."""
    assert pack_six_bits(np.array([-31, 0, 31, 1], np.int8)) == (1 | 32 << 6 | 63 << 12 | 33 << 18).to_bytes(
        3, "little"
    )
