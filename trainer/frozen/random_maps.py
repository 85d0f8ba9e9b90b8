"""Frozen random maps from a seed: the same bytes on every processor, thread count, numpy and torch.

Words come from numpy's Philox bit stream, which numpy guarantees; `Generator` methods, `log` and `cos` are not used,
because their results may change between releases and processors. Floats are made by + - * / and sqrt alone, one ufunc
at a time: IEEE 754 rounds each correctly, and separate ufuncs leave a compiler nothing to contract into an FMA.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from trainer.config.shape import TrialShape
from trainer.recipes.recipe import Scheme, Weight
from trainer.recipes.variants import plan

Floats = npt.NDArray[np.float64]
Map = npt.NDArray[np.float32]

# Values made at once: small enough that a dozen float64 temporaries stay in a processor's second-level cache.
CHUNK_VALUES = 16_384
SMALLEST_HADAMARD = 16

# Wichura's algorithm AS 241, PPND16 (Appl. Statist. 37, 1988, 477-484): numerator, denominator, low powers first.
CENTRE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
TAIL = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
FAR_TAIL = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
LN_2 = 0.6931471805599453
SQRT_HALF = 0.7071067811865476
# log(m) = 2 atanh(s), s = (m-1)/(m+1); with |s| < 0.172 the first term left out, s^24/25, is below 1e-19.
ATANH = tuple(1.0 / (2 * power + 1) for power in range(12))


def map_values(scheme: Scheme, *, shape: tuple[int, int], seed: int, layer: str) -> Map:
    """The frozen matrix of one layer, float32 (out, in), of mean 0 and variance 1/in; a pure function of its arguments.

    `normal` by inverse distribution function, `uniform` within sqrt(3/in), `rademacher` ±1/sqrt(in), `orthogonal`
    with orthonormal rows (out <= in) or orthogonal columns of norm sqrt(out/in) (out > in).

    Raises:
        ValueError: if `orthogonal` has no Hadamard blocks of at least 16 for this shape.
    """
    words = _words(f"frostline-map/1|{scheme}|{seed}|{layer}|{shape[0]}x{shape[1]}")
    return SCHEMES[scheme](words, shape)


def map_sha256(values: Map) -> str:
    """SHA-256 of a map's little-endian float32 bytes, row by row, in hex."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").data).hexdigest()


def maps_sha256(maps: Mapping[str, Map]) -> bytes:
    """One hash over all seeded maps: SHA-256 of a line with name and hash for each."""
    lines = [f"{name} {map_sha256(values)}\n" for name, values in maps.items()]
    return hashlib.sha256("".join(lines).encode()).digest()


def seeded_maps(config: TrialShape) -> Iterator[tuple[str, Map]]:
    """Name and values of every `seeded` weight of a config, in stored order."""
    for name, weight in plan(config).weights.items():
        if weight.kind == "seeded":
            yield name, map_of(name, weight)


def map_of(name: str, weight: Weight) -> Map:
    """The values of one seeded weight: (out, in) float32; the layer's name is the weight's."""
    rows, columns = weight.shape
    return map_values(weight.scheme, shape=(rows, columns), seed=weight.seed, layer=name)


def hadamard_block(shape: tuple[int, int]) -> int:
    """The largest power of two that divides the longer side of an `orthogonal` map.

    Raises:
        ValueError: if it is below 16: such small blocks mix too few channels.
    """
    size = max(shape)
    block = size & -size
    if block < SMALLEST_HADAMARD:
        raise ValueError(
            f"an orthogonal map's longer side must be divisible by {SMALLEST_HADAMARD}, but got {size} for a matrix of "
            f"{shape[0]} x {shape[1]}: take a `dim` (and `dim * mlp_ratio`) divisible by {SMALLEST_HADAMARD}, "
            "or another `freeze.scheme`"
        )
    return block


Words = Callable[[int], npt.NDArray[np.uint64]]


def _words(text: str) -> Words:
    """A source of the next n 64-bit words of the stream that `text` names."""
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    stream = np.random.Philox(key=key)
    return lambda count: stream.random_raw(count)


def _normal(words: Words, shape: tuple[int, int]) -> Map:
    return _each(words, shape, normal_quantile, 1.0 / math.sqrt(shape[1]))


def _uniform(words: Words, shape: tuple[int, int]) -> Map:
    # u - 1/2 is uniform in (-1/2, 1/2), so its variance is 1/12.
    return _each(words, shape, lambda u: np.subtract(u, 0.5), math.sqrt(12.0 / shape[1]))


def _each(words: Words, shape: tuple[int, int], make: Callable[[Floats], Floats], scale: float) -> Map:
    """One word, one value: `make` of a uniform number in (0, 1), times `scale`, rounded once to float32."""
    values = np.empty(shape[0] * shape[1], dtype=np.float32)
    for start in range(0, values.size, CHUNK_VALUES):
        part = values[start : start + CHUNK_VALUES]
        part[:] = np.multiply(make(_open_unit(words(part.size))), scale)
    return values.reshape(shape)


def _open_unit(words: npt.NDArray[np.uint64]) -> Floats:
    """(2k + 1) / 2^53 with k the upper 52 bits: exact, symmetric about 1/2, never 0 or 1."""
    odd = np.bitwise_or(np.right_shift(words, np.uint64(11)), np.uint64(1))
    return np.multiply(odd.astype(np.float64), 2.0**-53)


def normal_quantile(u: Floats) -> Floats:
    """The standard normal's inverse distribution function at `u` in (0, 1), to about 1e-15 (AS 241, PPND16)."""
    offset = np.subtract(u, 0.5)
    values = np.multiply(offset, _ratio(CENTRE, np.subtract(0.180625, np.multiply(offset, offset))))
    outer = np.flatnonzero(np.greater(np.abs(offset), 0.425))
    lower = np.minimum(u[outer], np.subtract(1.0, u[outer]))
    radius = np.sqrt(np.negative(_log(lower)))
    magnitude = _ratio(TAIL, np.subtract(radius, 1.6))
    far = np.flatnonzero(np.greater(radius, 5.0))
    magnitude[far] = _ratio(FAR_TAIL, np.subtract(radius[far], 5.0))
    values[outer] = np.copysign(magnitude, offset[outer])
    return values


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    return np.divide(_polynomial(coefficients[0], x), _polynomial(coefficients[1], x))


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    """Horner's rule, lowest power first in `coefficients`."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        np.multiply(total, x, out=total)
        np.add(total, coefficient, out=total)
    return total


def _log(x: Floats) -> Floats:
    """Natural logarithm of positive numbers: exponent times ln 2, plus 2 atanh((m-1)/(m+1)) of the mantissa."""
    mantissa, exponent = np.frexp(x)
    small = np.less(mantissa, SQRT_HALF)
    mantissa = np.where(small, np.multiply(mantissa, 2.0), mantissa)
    exponent = np.subtract(exponent, small).astype(np.float64)
    s = np.divide(np.subtract(mantissa, 1.0), np.add(mantissa, 1.0))
    series = np.multiply(np.multiply(s, 2.0), _polynomial(ATANH, np.multiply(s, s)))
    return np.add(np.multiply(exponent, LN_2), series)


def _rademacher(words: Words, shape: tuple[int, int]) -> Map:
    size = shape[0] * shape[1]
    signs = _signs(words, size)
    return np.multiply(signs, np.float32(1.0 / math.sqrt(shape[1])), dtype=np.float32).reshape(shape)


def _signs(words: Words, count: int) -> npt.NDArray[np.int8]:
    """±1, one per bit, lowest bit of the first word first."""
    octets = words(-(-count // 64)).astype("<u8").view(np.uint8)
    bits = np.unpackbits(octets, count=count, bitorder="little").view(np.int8)
    return np.subtract(np.int8(1), np.multiply(bits, np.int8(2)))


def _orthogonal(words: Words, shape: tuple[int, int]) -> Map:
    """Rows of a product of signed, permuted block-Hadamard matrices, exact in integers (or its transpose, if out > in).

    Each factor is orthogonal up to sqrt(block), so an even number of them has entries that are whole multiples of a
    power of two. Two mix everything where blocks are large; four are taken where two would leave many zeros.
    """
    block, size = hadamard_block(shape), max(shape)
    num_factors = 2 if block * block >= 4 * size else 4
    mixes = [(_signs(words, size), np.argsort(words(size), kind="stable")) for _ in range(num_factors + 1)]
    # Orthonormal rows for out <= in; columns of norm sqrt(out/in) for out > in. Either way the variance is 1/in.
    scale = float(block) ** -(num_factors // 2) * math.sqrt(max(1.0, shape[0] / shape[1]))
    values = np.empty(shape, dtype=np.float32)
    rows = values if shape[0] <= shape[1] else values.T
    step = max(1, 8 * CHUNK_VALUES // size)
    for start in range(0, min(shape), step):
        # Columns of `part` are rows of the product, so that butterflies and permutations run along contiguous memory.
        part = np.zeros((size, min(step, min(shape) - start)), dtype=np.int32)
        part[np.arange(start, start + part.shape[1]), np.arange(part.shape[1])] = 1
        for number, (signs, order) in enumerate(mixes):
            if number:
                _walsh_hadamard(part, block)
            part = np.multiply(part[order], signs[:, None], dtype=np.int32)
        rows[start : start + part.shape[1]] = np.multiply(part, scale, dtype=np.float64).T
    return values


def _walsh_hadamard(part: npt.NDArray[np.int32], block: int) -> None:
    """Multiply each column of `part` by the block-diagonal Hadamard matrix, in place."""
    half = 1
    while half < block:
        pairs = part.reshape(-1, 2, half, part.shape[1])
        first, second = pairs[:, 0], pairs[:, 1]
        difference = np.subtract(first, second)
        np.add(first, second, out=first)
        np.copyto(second, difference)
        half *= 2


SCHEMES: dict[Scheme, Callable[[Words, tuple[int, int]], Map]] = {
    "normal": _normal,
    "uniform": _uniform,
    "rademacher": _rademacher,
    "orthogonal": _orthogonal,
}
