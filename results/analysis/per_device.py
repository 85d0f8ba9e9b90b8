"""Columns that depend on the device: compared within one accelerator, of trials that had their device alone."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

Row = TypeVar("Row", bound=Mapping[str, Any])

_PER_DEVICE = frozenset({"tokens_per_s", "peak_memory_bytes", "usd"})


@functools.cache
def is_per_device(column: str) -> bool:
    """Whether a column of trials depends on the kind of device."""
    return column in _PER_DEVICE or column.endswith("_seconds")


def are_per_device(columns: Iterable[str]) -> bool:
    """Whether one of them does: then fronts and hypervolumes are of one accelerator each."""
    return any(map(is_per_device, columns))


@functools.cache
def depends_on_neighbours(column: str) -> bool:
    """Whether other trials on the device change a value of it: all that is time, speed or money; no bytes."""
    return is_per_device(column) and not column.endswith("_bytes")


def was_alone(row: Mapping[str, Any]) -> bool:
    """Whether a trial shared its device with no other. Rows of older versions do not say, and count as before."""
    return not row.get("num_neighbours")


def comparable(rows: Sequence[Row], column: str) -> Sequence[Row]:
    """The rows whose value of a column compares with that of other rows of their accelerator."""
    return [row for row in rows if was_alone(row)] if depends_on_neighbours(column) else rows


def left_out_text(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Of the rows with a speed, how many are left out where speeds, times and costs are compared; None if none is."""
    measured = [row for row in rows if row.get("tokens_per_s") is not None]
    number = sum(not was_alone(row) for row in measured)
    if not number:
        return None
    trials = "1 trial" if len(measured) == 1 else f"{len(measured)} trials"
    return (
        f"{number} of {trials} shared their device with other trials (num_neighbours above 0): "
        "their speeds, times and costs are left out of every mean and comparison"
    )
