"""Trials as rows for a terminal or JSON: some columns, those that keep a condition, in an order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from results.tables.load import load_columns
from results.tables.schema import TRIALS
from results.tables.settings import KEY_OF_COLUMN
from results.tables.where import Where, column_named

FIRST = ("trial_id", "status")
LAST = ("ce", "total_bytes", "tokens_per_s", "usd")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """Rows as plain values by column (times as ISO text, NaN and infinity as None), and how many there are."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    num_matching: int
    num_trials: int

    @property
    def headers(self) -> list[str]:
        """Settings by their keys, other columns by their names."""
        return [KEY_OF_COLUMN.get(name, name) for name in self.columns]


def listing(
    folders: str | Path | Iterable[str | Path],
    *,
    where: str | None = None,
    sort: Sequence[str] = (),
    limit: int | None = None,
    columns: Sequence[str] | None = None,
) -> Listing:
    """The trials that keep a condition. Only the columns that are needed are read from the files.

    Of a trial that two files hold, the last row counts, so conditions are applied to what was read and not to files.

    Args:
        where: see `Where`.
        sort: columns or keys of settings, smallest first; `-ce` largest first. Missing values are last.
        columns: those to list; None: status, results, and the settings that vary among the listed trials.

    Raises:
        ResultsError: if a column is unknown, the condition cannot be read, or a folder holds no tables.
    """
    condition = None if where is None else Where(where)
    keys = [(column_named(name.removeprefix("-")), name.startswith("-")) for name in sort]
    chosen = None if columns is None else [column_named(name) for name in columns]
    shown = [*FIRST, *KEY_OF_COLUMN, *LAST] if chosen is None else chosen
    needed = [*shown, *(name for name, _ in keys), *(condition.columns if condition else ())]
    table = load_columns(folders, needed)
    matching = table if condition is None else table.filter(condition.mask(table))
    if keys:
        matching = matching.take(_order(matching, keys))
    if chosen is None:
        varied = [name for name in KEY_OF_COLUMN if _varies(matching.column(name))]
        several = ["sweep"] if _varies(table.column("sweep")) else []
        chosen = [*several, *FIRST, *varied, *LAST]
    part = matching.select(list(dict.fromkeys(chosen))).slice(0, limit)
    rows = [{name: _plain(value) for name, value in row.items()} for row in part.to_pylist()]
    return Listing(
        columns=tuple(part.column_names), rows=rows, num_matching=matching.num_rows, num_trials=table.num_rows
    )


def is_text(column: str) -> bool:
    """Whether a column of the table of trials holds words."""
    kind = next(one.type for one in TRIALS if one.name == column)
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind))


def _order(table: pa.Table, keys: Sequence[tuple[str, bool]]) -> pa.Array:
    """Indices of rows in order; equal rows stay as they were."""
    columns = [_sortable(table.column(name)) for name, _ in keys]
    names = [str(index) for index in range(len(keys))]
    ways = [(name, "descending" if is_down else "ascending") for name, (_, is_down) in zip(names, keys, strict=True)]
    together = pa.table([*columns, pa.array(range(table.num_rows), pa.int64())], names=[*names, "row"])
    return pc.sort_indices(together, sort_keys=[*ways, ("row", "ascending")])  # missing values are last by default


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(column.type) else column


def _varies(column: pa.ChunkedArray) -> bool:
    return len(column.unique()) > 1


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return None if isinstance(value, float) and not math.isfinite(value) else value
