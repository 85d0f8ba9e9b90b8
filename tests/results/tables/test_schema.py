"""The owned columns against the trainer's words, the generated page, and what pandas makes of a file."""

from __future__ import annotations

import datetime
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from synthetic import write_synthetic_run
from trial_builder import make_trial, write_fragment

import results
from results.analysis.pareto_info import pareto_info
from results.tables import schema
from results.tables.configs import write_configs
from results.tables.sentinels import sentinels_table
from trainer.config.recipe_options import RECIPE_SECTIONS, SECTIONS_OF_RECIPE
from trainer.config.trial import TrialConfig
from trainer.result import CurvePoint, TrialResult

ROOT = Path(schema.__file__).parents[2]
KINDS = {int: {schema.INT}, float: {schema.FLOAT}, bool: {schema.BOOL}, str: {schema.STRING, schema.WORD}}
TRIAL_TYPES = {column.name: column.type for column in schema.TRIALS}
CURVE_TYPES = {column.name: column.type for column in schema.CURVES}


def plain_type(annotation: Any) -> type:
    """The one value type in an annotation: optional, literal, or a tuple of strings (stored joined)."""
    args = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
    if typing.get_origin(annotation) is Literal:
        return type(args[0])
    if typing.get_origin(annotation) is tuple:
        return str
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return plain_type(args[0])
    return annotation  # type: ignore[no-any-return]


def config_leaves(model: type[BaseModel], prefix: str = "") -> dict[str, type]:
    leaves: dict[str, type] = {}
    for name, field in model.model_fields.items():
        inner = plain_type(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            leaves |= config_leaves(inner, f"{prefix}{name}_")
        else:
            leaves[prefix + name] = inner
    return leaves


def test_config_columns_are_the_leaves_of_the_trial_config() -> None:
    """There is one cfg_ column for each leaf of TrialConfig, with its type, and none beyond."""
    leaves = config_leaves(TrialConfig)
    for identity in ("recipe", "data", "seed"):
        assert TRIAL_TYPES[identity] in KINDS[leaves.pop(identity)]
    columns = {name.removeprefix("cfg_"): kind for name, kind in TRIAL_TYPES.items() if name.startswith("cfg_")}
    assert columns.keys() == leaves.keys()
    assert {name for name, kind in leaves.items() if columns[name] not in KINDS[kind]} == set()


def test_result_columns_are_the_fields_of_the_trial_result() -> None:
    """Each field of TrialResult is a column of the same name and type; times are timestamps."""
    for name, annotation in typing.get_type_hints(TrialResult).items():
        wanted = {schema.TIME} if name.endswith("_at") else KINDS[plain_type(annotation)]
        assert TRIAL_TYPES[name] in wanted, name


def test_curve_columns_are_the_fields_of_a_curve_point() -> None:
    """CURVES holds sweep, trial, seed and CurvePoint's fields with their types, nothing else."""
    hints = typing.get_type_hints(CurvePoint)
    assert CURVE_TYPES.keys() == {"sweep", "trial_id", "seed", *hints}
    assert {name for name, kind in hints.items() if CURVE_TYPES[name] not in KINDS[kind]} == set()


def test_recipe_sections_and_statuses_are_the_trainers() -> None:
    """Sections that only some recipes read are those of the trainer, and its statuses are known here."""
    assert schema.RECIPE_SECTIONS == RECIPE_SECTIONS
    # an interrupted trial has no row: it simply waits
    assert set(typing.get_args(typing.get_type_hints(TrialResult)["status"])) - {"interrupted"} == set(schema.STATUSES)


def test_names_are_unique_and_documented() -> None:
    """No table has a column twice, and each column says what it means."""
    for columns in (schema.TRIALS, schema.CURVES):
        assert len({column.name for column in columns}) == len(columns)
        assert all(column.meaning and column.since <= schema.SCHEMA_VERSION for column in columns)


def test_page_is_the_generated_one() -> None:
    """SCHEMA.md is what `python -m results.tables.schema` prints."""
    printed = subprocess.run([sys.executable, "-m", "results.tables.schema"], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / "results" / "SCHEMA.md").read_bytes() == printed.stdout == schema.render_markdown().encode()


@pytest.mark.parametrize("recipe", sorted(set(SECTIONS_OF_RECIPE) - {"low_rank"}))
def test_a_real_config_flattens_into_columns(recipe: str) -> None:
    """A config as JSON values becomes cfg_ columns that the table takes; tuples are joined by commas."""
    config = TrialConfig.model_validate({"recipe": recipe})
    flat = schema.flatten_config(config.model_dump(mode="json"))
    row = schema.trials_table([flat]).to_pylist()[0]
    assert (row["cfg_model_dim"], row["cfg_train_steps"]) == (192, 3000)
    frozen = {"baseline": None, "full_adapter": "*"}
    assert row["cfg_freeze_matrices"] == frozen.get(recipe, "gate,up")
    assert row["cfg_adapter_rank"] == (16 if recipe == "full_adapter" else None)
    assert row["cfg_ensemble_members"] == ("learned,frozen" if recipe == "ensemble" else None)
    assert flat == schema.flatten_config(config.model_dump())


def test_missing_is_null_and_unknown_is_named() -> None:
    """A missing key, None and an empty string are null; a key without a column is our mistake, by name."""
    row = schema.trials_table([{"sweep": "demo", "host": "", "error": None}]).to_pylist()[0]
    assert row.pop("sweep") == "demo"
    assert set(row.values()) == {None}
    with pytest.raises(AssertionError, match="no column for cfg_modle_dim"):
        schema.trials_table([{"cfg_modle_dim": 3}])


@pytest.mark.parametrize(
    "text", ["2025-01-02T03:04:05Z", "2025-01-02T04:04:05+01:00", "2025-01-02T03:04:05", "2025-01-02 03:04:05.000000"]
)
def test_times_are_utc(text: str) -> None:
    """ISO strings of any zone become UTC; those without a zone are taken for UTC."""
    row = schema.trials_table([{"started_at": text}]).to_pylist()[0]
    assert row["started_at"] == datetime.datetime(2025, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def test_bare_pandas_reads_good_frames(tmp_path: Path) -> None:
    """pd.read_parquet on the folder keeps integers whole beside nulls, categories and UTC times, and no temp files."""
    big = 2**63 - 1
    write_fragment(tmp_path, [make_trial(seed=big, cfg_freeze_seed=2**62 + 1)], 0)
    path = write_fragment(tmp_path, [make_trial(status="failed", ce=None, artifact_bytes=None, accelerator="A40")], 1)
    write_fragment(tmp_path, [], 2)
    path.with_name(".trials-000003.parquet.tmp").write_bytes(b"half a file")
    frame = pd.read_parquet(path.parent)
    assert frame["seed"].tolist() == [big, 1]
    assert frame["cfg_freeze_seed"].iloc[0] == 2**62 + 1
    assert str(frame["artifact_bytes"].dtype) == "Int64" and frame["artifact_bytes"].isna().tolist() == [False, True]
    assert str(frame["feasible"].dtype) == "boolean"
    assert isinstance(frame["accelerator"].dtype, pd.CategoricalDtype)
    assert frame["accelerator"].tolist() == ["CPU", "A40"]
    assert str(frame["started_at"].dtype) == "datetime64[us, UTC]"
    assert frame[frame.status == "completed"].ce.mean() == pytest.approx(3.2)


def test_version_is_in_the_file(tmp_path: Path) -> None:
    """Each file says which version of the schema it was written by."""
    metadata = pq.read_schema(write_fragment(tmp_path, [make_trial()])).metadata
    assert metadata[b"schema_version"] == str(schema.SCHEMA_VERSION).encode()
    assert pa.types.is_int64(schema.curves_schema().field("step").type)


@pytest.mark.parametrize("table", ["trials", "curves", "attempts", "nodes", "sentinels", "configs"])
def test_a_file_says_what_its_columns_are(tmp_path: Path, table: str) -> None:
    """Each column of a file has its description and unit, which pandas leaves alone; SCHEMA.md says the same."""
    folder = write_synthetic_run(tmp_path, 40, points=5)
    write_configs(folder, pareto_info(results.load(folder)))
    pq.write_table(sentinels_table([{"sweep": "x", "node": "n"}]), folder / "tables" / "sentinels.parquet")
    path = next(one for one in folder.rglob("*.parquet") if one.name.startswith(table))
    page = schema.render_markdown().partition(f"## {table}\n")[2].partition("\n## ")[0]
    for field in pq.read_schema(path):
        description, unit = (field.metadata.get(key, b"").decode() for key in (b"description", b"unit"))
        assert description and f"| `{field.name}` |" in page and f" | {unit} | {description} |" in page
    bare = pq.read_table(path).replace_schema_metadata(pq.read_schema(path).metadata)
    plain = pa.Table.from_arrays(bare.columns, schema=pa.schema([one.remove_metadata() for one in bare.schema]))
    plain = plain.replace_schema_metadata(bare.schema.metadata)
    pd.testing.assert_frame_equal(pd.read_parquet(path), plain.to_pandas())


def test_files_with_and_without_descriptions_are_read_together(tmp_path: Path) -> None:
    """A run that an older version began: pandas alone, and `load`, read its files beside those of today."""
    table = pq.read_table(write_fragment(tmp_path, [make_trial()], 0))
    fields = [one.remove_metadata() for one in table.schema]
    old = pa.Table.from_arrays(table.columns, schema=pa.schema(fields, metadata=table.schema.metadata))
    for number, rows in ((0, old), (1, schema.trials_table([make_trial(seed=2)]))):
        pq.write_table(rows, tmp_path / "tables" / "trials" / f"trials-00000{number}.parquet")
    assert pd.read_parquet(tmp_path / "tables" / "trials").seed.tolist() == [1, 2]
    assert results.load(tmp_path).trials.seed.tolist() == [1, 2]
