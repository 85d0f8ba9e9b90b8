"""Columns of the data in little room: rounded numbers, words as indices, curves as 16-bit codes in base64."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

NO_CODE = -1


def rounded(value: float | None, digits: int = 6) -> float | int | None:
    """To so many significant digits; whole numbers without a point; None for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    number = float(f"{value:.{digits}g}")
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


_EXACT = 2**53  # numbers of a script are doubles: beyond it whole numbers are rounded


def exact(value: int | None) -> int | str | None:
    """A whole number, as a text where a script would round it."""
    return value if value is None or abs(value) <= _EXACT else str(value)


def words(values: Iterable[object]) -> dict[str, Any]:
    """`{"words": [...], "codes": [...]}`: each word once, in order of first appearance; -1 where there is none."""
    places: dict[str, int] = {}
    codes = [NO_CODE if value is None else places.setdefault(str(value), len(places)) for value in values]
    return {"words": list(places), "codes": codes}


def sparse(values: Iterable[Any]) -> dict[str, Any]:
    """Only what is there, by its index as a text."""
    return {str(index): value for index, value in enumerate(values) if value is not None}


def codes16(values: Sequence[float] | np.ndarray, low: float, high: float) -> str:
    """Values from `low` to `high` as little-endian 16-bit numbers 0 to 65535 in base64; others at the nearest end."""
    span = high - low if high > low else 1.0
    shares = np.clip((np.asarray(values, dtype=float) - low) / span, 0.0, 1.0)
    return base64.b64encode(np.round(shares * 65535).astype("<u2").tobytes()).decode()
