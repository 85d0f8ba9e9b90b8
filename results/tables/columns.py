"""What a column of a table is, and tables from rows by column name."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 8

INT = pa.int64()
FLOAT = pa.float64()
BOOL = pa.bool_()
STRING = pa.string()
WORD = pa.dictionary(pa.int32(), pa.string())  # strings that repeat: a categorical in pandas
TIME = pa.timestamp("us", tz="UTC")


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table. `unit` is empty where a value has none."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    since: int = 1


def schema_of(columns: tuple[Column, ...]) -> pa.Schema:
    """The schema of a table, with the version in its metadata, and in that of its fields what they are."""
    metadata = {"schema_version": str(SCHEMA_VERSION), "pandas": json.dumps(_pandas_metadata(columns))}
    return described(pa.schema([(column.name, column.type) for column in columns], metadata=metadata), columns)


def described(schema: pa.Schema, columns: tuple[Column, ...]) -> pa.Schema:
    """The schema with the `description` of each column, and its `unit` if it has one, in the metadata of its field."""
    fields = [schema.field(column.name).with_metadata(_description(column)) for column in columns]
    return pa.schema(fields, metadata=schema.metadata)


def _description(column: Column) -> dict[str, str]:
    return {"description": column.meaning} | ({"unit": column.unit} if column.unit else {})


def _pandas_metadata(columns: tuple[Column, ...]) -> dict[str, Any]:
    """What makes `pd.read_parquet` choose nullable types: an int64 seed in a float column would lose its last bits."""
    nullable = {INT: ("int64", "Int64"), BOOL: ("bool", "boolean")}
    described = [
        {
            "name": column.name,
            "field_name": column.name,
            "pandas_type": nullable[column.type][0],
            "numpy_type": nullable[column.type][1],
            "metadata": None,
        }
        for column in columns
        if column.type in nullable
    ]
    return {"index_columns": [], "column_indexes": [], "columns": described, "pandas_version": "2.2.0"}


def table_of(rows: Iterable[Mapping[str, Any]], columns: tuple[Column, ...]) -> pa.Table:
    """Rows by column name → a table; a missing key, None or an empty string is null."""
    rows = list(rows)
    names = {column.name for column in columns}
    for row in rows:
        unknown = sorted(row.keys() - names)
        assert not unknown, f"results/schema.py has no column for {', '.join(unknown)}"
    arrays = [pa.array([_plain(row.get(column.name), column) for row in rows], column.type) for column in columns]
    return pa.Table.from_arrays(arrays, schema=schema_of(columns))


def _plain(value: Any, column: Column) -> Any:
    if isinstance(value, str) and not value:
        return None
    if column.type == TIME and value is not None:
        moment = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return value
