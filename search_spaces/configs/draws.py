"""Random draws from a parameter: pure functions of seed, number of the draw, and key.

The hash is BLAKE2b of those names, equal on every machine. Drawn fractions have six significant digits: the last bits
of a logarithm differ between processors, and a trial's id must not.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

from search_spaces.spec.config_keys import find_key
from search_spaces.spec.sweep_spec import Parameter

_BITS = 128
_BITS_OF_FRACTION = 53


def draw(parameter: Parameter, seed: int, number: int, attempt: int = 0) -> tuple[int | None, Any]:
    """The value of a parameter in one draw, and its position among the options where it has any."""
    bits = _hashed_bits(seed, number, attempt, parameter.key)
    if parameter.is_listed:
        options = parameter.options
        index = bits % len(options)
        return index, options[index]
    low, high = parameter.values
    if takes_whole_numbers(parameter):
        return None, _whole(bits, low, high, log=parameter.kind == "log_range")
    return None, _fraction(bits, low, high, log=parameter.kind == "log_range")


def takes_whole_numbers(parameter: Parameter) -> bool:
    """Whether a range is one of whole numbers: where its key takes those."""
    key = find_key(parameter.key)
    return key is not None and key.number is int


def _whole(bits: int, low: int, high: int, *, log: bool) -> int:
    low, high = int(low), int(high)
    if not log:
        return low + bits % (high - low + 1)
    # Half a step beyond both ends, so that the ends get their full share.
    value = math.exp(_between(bits, math.log(low - 0.5), math.log(high + 0.5)))
    return min(max(round(value), low), high)


def _fraction(bits: int, low: float, high: float, *, log: bool) -> float:
    value = math.exp(_between(bits, math.log(low), math.log(high))) if log else _between(bits, low, high)
    return float(min(max(float(f"{value:.6g}"), low), high))


def _between(bits: int, low: float, high: float) -> float:
    unit = math.ldexp(bits >> (_BITS - _BITS_OF_FRACTION), -_BITS_OF_FRACTION)
    # Not low + unit * (high - low): the difference of two large numbers may be infinite.
    return low * (1 - unit) + high * unit


def _hashed_bits(seed: int, number: int, attempt: int, key: str) -> int:
    text = f"{seed}/{number}/{attempt}/{key}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=_BITS // 8).digest(), "big")
