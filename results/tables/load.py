"""Reads the Parquet tables of one or several runs into pandas, in today's schema."""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from results.errors import ResultsError
from results.object_store import fetch_run, is_uri
from results.tables import account, schema, sentinels
from results.tables.columns import SCHEMA_VERSION

NUM_AT_ONCE = 4  # files


@dataclasses.dataclass(frozen=True)
class Tables:
    """`trials`: one row per trial; `curves`: one row per reported step; `attempts` and `nodes`: what the run has cost;
    `sentinels`: what showed that nodes were healthy. Columns: SCHEMA.md.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    folders: tuple[Path, ...] = ()
    attempts: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    nodes: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    sentinels: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)


def load(folders: str | Path | Iterable[str | Path]) -> Tables:
    """Read the tables of a run folder, or of several (a list, or a pattern such as `runs/*`).

    A run may also be in an object store: `s3://bucket/runs/night`; keys come from the environment, see `open_bucket`.

    Columns that a file lacks are null, columns it has beyond the schema are left out. Where one folder holds a trial
    twice (a recorder that died between writing and removing), the row of the last file counts.

    Raises:
        ResultsError: if a folder is missing or holds no tables, or a file is damaged, foreign or too new.
    """
    chosen = _resolve(folders)
    trials = [_read_folder(folder, "trials", schema.trials_schema(), ["sweep", "trial_id"]) for folder in chosen]
    curves = [
        _read_folder(folder, "curves", schema.curves_schema(), ["sweep", "trial_id", "step"]) for folder in chosen
    ]
    attempts = [_read_folder(one, "attempts", account.attempts_schema(), ["sweep", "attempt"]) for one in chosen]
    nodes = [_read_folder(one, "nodes", account.nodes_schema(), ["sweep", "node"]) for one in chosen]
    key = ["sweep", "node", "started_at"]
    measured = [_read_folder(one, "sentinels", sentinels.sentinels_schema(), key) for one in chosen]
    return Tables(
        trials=_to_frame(trials),
        curves=_to_frame(curves),
        folders=tuple(chosen),
        attempts=_to_frame(attempts),
        nodes=_to_frame(nodes),
        sentinels=_to_frame(measured),
    )


def load_columns(folders: str | Path | Iterable[str | Path], names: Sequence[str]) -> pa.Table:
    """Some columns of the table of trials alone, as an Arrow table: quick where there are many trials.

    `sweep` and `trial_id` come first. See `load` for folders, old files and errors.
    """
    full, key = schema.trials_schema(), ["sweep", "trial_id"]
    wanted = pa.schema([full.field(name) for name in dict.fromkeys([*key, *names])], metadata=full.metadata)
    return pa.concat_tables(
        [_read_folder(one, "trials", wanted, key) for one in _resolve(folders)]
    ).unify_dictionaries()


def from_arrow(trials: pa.Table, curves: pa.Table | None = None) -> Tables:
    """Tables in memory → the frames that `load` would give for them."""
    return Tables(trials=_to_frame([trials]), curves=_to_frame([schema.curves_table([]) if curves is None else curves]))


def _resolve(folders: str | Path | Iterable[str | Path]) -> list[Path]:
    given = [folders] if isinstance(folders, str | Path) else list(folders)
    if not given:
        raise ResultsError("no run folder is given")
    found: dict[Path, Path] = {}
    for item in given:
        for path in _expand(str(item)):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _expand(name: str) -> list[Path]:
    if is_uri(name):
        return [fetch_run(name)]
    if Path(name).is_dir():
        return [Path(name)]
    if Path(name).exists():
        raise ResultsError(f"{name} is a file: give the run folder that `frostline run SPEC --out FOLDER` made")
    if glob.has_magic(name):
        matches = sorted(path for path in map(Path, glob.glob(name)) if _fragments(path, "trials"))
        if matches:
            return matches
        raise ResultsError(f"no folder that matches {name} holds tables/trials/*.parquet")
    raise ResultsError(f"{name} does not exist: give the run folder that `frostline run SPEC --out FOLDER` made")


def _fragments(folder: Path, table: str) -> list[Path]:
    return sorted(p for p in (folder / "tables" / table).glob("*.parquet") if not p.name.startswith("."))


def _read_folder(folder: Path, table: str, wanted: pa.Schema, key: list[str]) -> pa.Table:
    fragments = _fragments(folder, table)
    if not fragments and table == "trials":
        raise ResultsError(
            f"{folder} holds no tables/trials/*.parquet: either it is no run folder, or no trial has ended yet"
        )
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        parts = list(pool.map(lambda path: _conform(_read_file(path, wanted), wanted, path), fragments))
    return _last_of_each(parts, key) if parts else wanted.empty_table()


def _read_file(path: Path, wanted: pa.Schema) -> pa.Table:
    """The wanted columns of a file.

    One thread for each file: of a file with many columns, as that of trials, more threads only take longer.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if name in wanted.names]
            return file.read(columns=names, use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ResultsError(f"{path} cannot be read as Parquet: {first_line}") from error


def _conform(table: pa.Table, wanted: pa.Schema, path: Path) -> pa.Table:
    """Bring a file's table to the present schema."""
    version = _schema_version(table, path)
    if version > SCHEMA_VERSION:
        raise ResultsError(
            f"{path} has schema_version {version}, but this frostline reads up to {SCHEMA_VERSION}: update it"
        )
    names = set(table.column_names)
    if not {"trial_id", "node"} & names:
        raise ResultsError(f"{path} is no table of frostline: it has no column trial_id")
    if table.schema.equals(wanted):
        return pa.Table.from_arrays(table.columns, schema=wanted)
    columns = [
        _cast(table.column(field.name), field, path)
        if field.name in names
        else pa.chunked_array([pa.nulls(len(table), field.type)])
        for field in wanted
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def _schema_version(table: pa.Table, path: Path) -> int:
    text = (table.schema.metadata or {}).get(b"schema_version", b"0")
    try:
        return int(text)
    except ValueError:
        raise ResultsError(f"{path} has schema_version {text!r}, which is no number") from None


def _cast(column: pa.ChunkedArray, field: pa.Field, path: Path) -> pa.ChunkedArray:
    if column.type == field.type:
        return column
    try:
        if pa.types.is_dictionary(field.type):  # by way of strings: widths of dictionary indices do not cast
            return column.cast(pa.string()).dictionary_encode()
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ResultsError(
            f"{path}: column {field.name} must be {field.type}, but got {column.type} ({str(error).splitlines()[0]})"
        ) from error


def _last_of_each(parts: list[pa.Table], key: list[str]) -> pa.Table:
    """All rows, of equal keys the last. A writer repeats no key within a file."""
    table = pa.concat_tables(parts).unify_dictionaries()
    if _are_disjoint([part.column(key[1]) for part in parts]):
        return table
    duplicated = table.select(key).to_pandas().duplicated(keep="last")
    return table.filter(pa.array(~duplicated)) if duplicated.any() else table


def _are_disjoint(columns: list[pa.ChunkedArray]) -> bool:
    """Whether no value is in two of the columns."""
    distinct = [column.unique().cast(pa.string()) for column in columns]
    return len(columns) == 1 or sum(map(len, distinct)) == len(pa.chunked_array(distinct).unique())


def _to_frame(tables: list[pa.Table]) -> pd.DataFrame:
    together = pa.concat_tables(tables).unify_dictionaries() if len(tables) > 1 else tables[0]
    to_pandas: Callable[[], pd.DataFrame] = together.to_pandas
    return to_pandas()
