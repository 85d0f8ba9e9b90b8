"""The files of the tables `trials` and `curves`: few, each replaced whole, and no row ever moves from one to another.

Who reads the folder with pandas alone lists its files and then opens one after the other, while a driver may be at
work. As a trial stays in the file in which it was first written, and a file is replaced at once, no such reader sees a
row twice or a file half-written, wherever a driver is killed. Files are never removed. The last one grows: file 0 to
100 trials, file 1 to 900, file 2 to 9,000, and all others to 10,000.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainer.files import replacing

TABLES = ("curves", "trials")  # in the order in which they are written: a trial that has a row has its curve
TRIALS_OF_FIRST_FILES = (100, 900, 9_000)
TRIALS_OF_OTHER_FILES = 10_000


def most_trials(number: int) -> int:
    """How many trials a file takes, by its number from 0."""
    return TRIALS_OF_FIRST_FILES[number] if number < len(TRIALS_OF_FIRST_FILES) else TRIALS_OF_OTHER_FILES


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet. Numbers that hardly repeat get no dictionary: it takes most of the time."""
    words = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    pq.write_table(table, path, use_dictionary=words)


@dataclasses.dataclass(frozen=True)
class TableFiles:
    """Args: `root`: the folder `tables` of a run."""

    root: Path

    def path(self, table: str, number: int) -> Path:
        return self.root / table / f"{table}-{number:06d}.parquet"

    def numbers(self) -> list[int]:
        """Of all files of the two tables, in order."""
        names = [path.name for table in TABLES for path in (self.root / table).glob(f"{table}-*.parquet")]
        found = (re.fullmatch(r"\w+-(\d+)\.parquet", name) for name in names)
        return sorted({int(match[1]) for match in found if match})

    def places(self) -> dict[str, int]:
        """The number of the file that each trial is in. A file that cannot be read holds none."""
        found: dict[str, int] = {}
        for table in reversed(TABLES):  # a driver that was killed may have left a curve without a row
            for number in self.numbers():
                column = self.read(table, number, ["trial_id"])
                for trial_id in [] if column is None else column["trial_id"].unique().to_pylist():
                    found.setdefault(trial_id, number)
        return found

    def read(self, table: str, number: int, columns: list[str] | None = None) -> pa.Table | None:
        """A file, or some of its columns; None where there is none, or it cannot be read."""
        try:
            with pq.ParquetFile(self.path(table, number)) as file:
                return file.read(columns)
        except (OSError, ValueError):
            return None

    def replace(self, table: str, number: int, rows: pa.Table) -> None:
        """Write a file whole, at once."""
        with replacing(self.path(table, number)) as temporary:
            write_table(rows, temporary)


def joined(parts: Collection[pa.Table]) -> pa.Table:
    """Tables of one schema as one, in one piece."""
    return pa.concat_tables(parts).unify_dictionaries().combine_chunks()


def without(table: pa.Table, trial_ids: Collection[str]) -> pa.Table:
    """The rows of all other trials."""
    column = table.column("trial_id").cast(pa.string())
    return table.filter(pc.invert(pc.is_in(column, pa.array(list(trial_ids), pa.string()))))
