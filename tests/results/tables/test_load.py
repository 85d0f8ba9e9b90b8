"""Loading tables: one run or several, old, foreign, damaged and missing files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import write_synthetic_run
from trial_builder import make_curve, make_tables, make_trial, quickstart_trials, write_fragment, write_run

import results
from results.analysis.pareto_info import pareto_info
from results.errors import ResultsError
from results.tables import schema


def test_load_gives_what_was_written(tmp_path: Path) -> None:
    """Fragments come back as one frame of trials and one of curves, equal to the same rows in memory."""
    trials = quickstart_trials()
    curves = [point for trial in trials for point in make_curve(trial)]
    tables = results.load(write_run(tmp_path / "run", trials, curves))
    expected = make_tables(trials, curves)
    pd.testing.assert_frame_equal(tables.trials, expected.trials, check_categorical=False)
    pd.testing.assert_frame_equal(tables.curves, expected.curves, check_categorical=False)


def test_several_folders_by_list_or_pattern(tmp_path: Path) -> None:
    """A list and a pattern give the rows of all runs; a folder named twice counts once; other folders do not match."""
    for name in ("one", "two"):
        write_run(tmp_path / name, [make_trial(sweep=name)])
    (tmp_path / "notes").mkdir()
    assert results.load(str(tmp_path / "*")).trials["sweep"].tolist() == ["one", "two"]
    folders = [tmp_path / "two", tmp_path / "one", str(tmp_path / "t*")]
    assert results.load(folders).trials["sweep"].tolist() == ["two", "one"]


def test_the_function_survives_its_modules() -> None:
    """`results.load` stays the function, and importing the package loads neither pandas nor pyarrow."""
    code = (
        "import sys, results; assert not {'pandas', 'pyarrow', 'numpy', 'matplotlib', 'moocore'} & set(sys.modules);"
        "import results.tables, results.report; assert callable(results.load)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_old_and_foreign_files_are_filled_with_null(tmp_path: Path) -> None:
    """A file without version, with few columns, other widths and extra columns fits, in the types of the schema."""
    path = write_fragment(tmp_path, [make_trial()])
    old = pd.DataFrame({"trial_id": ["old"], "status": ["completed"], "seed": [7.0], "ce": [3], "notes": ["x"]})
    old.astype({"status": "category"}).to_parquet(path.with_name("trials-000001.parquet"))
    frame = results.load(tmp_path).trials
    assert list(frame.columns) == [column.name for column in schema.TRIALS]
    assert frame["seed"].tolist() == [1, 7] and str(frame["seed"].dtype) == "Int64"
    assert frame["status"].tolist() == ["completed", "completed"]
    assert frame["config_id"].isna().tolist() == [False, True]


def test_a_trial_twice_in_one_folder_counts_once(tmp_path: Path) -> None:
    """Where fragments overlap, the row of the last one counts."""
    write_fragment(tmp_path, [make_trial(ce=3.0), make_trial(seed=2)], 0)
    write_fragment(tmp_path, [make_trial(ce=2.0)], 1)
    frame = results.load(tmp_path).trials
    assert sorted(frame["ce"]) == [2.0, 3.2]


def test_several_files_are_one_table(tmp_path: Path) -> None:
    """However many files a table is in, it is the same frame."""
    one, many = (write_synthetic_run(tmp_path / str(number), 120, 5, trials_a_file=number) for number in (120, 7))
    assert len(list((many / "tables" / "trials").iterdir())) == 18
    pd.testing.assert_frame_equal(results.load(one).trials, results.load(many).trials, check_categorical=False)


def write_with_version(tmp_path: Path, version: str) -> None:
    path = write_fragment(tmp_path, [make_trial()])
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"schema_version": version}), path)


def test_newer_files_are_refused(tmp_path: Path) -> None:
    """A file of a later version says that frostline is too old for it."""
    write_with_version(tmp_path, "99")
    with pytest.raises(ResultsError, match=r"trials-000000.parquet has schema_version 99, but .* update it"):
        results.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 10])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    """A file that is no Parquet is an error of one line with its path."""
    write_fragment(tmp_path, [make_trial()]).write_bytes(content)
    with pytest.raises(ResultsError, match=r"trials-000000.parquet cannot be read as Parquet") as caught:
        results.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"a": [1]}), "is no table of frostline: it has no column trial_id"),
        (pa.table({"trial_id": ["x"], "ce": ["low"]}), "column ce must be double, but got"),
        (pa.table({"trial_id": ["x"], "seed": [1.5]}), "column seed must be int64, but got double"),
    ],
)
def test_foreign_tables_are_named(tmp_path: Path, table: pa.Table, message: str) -> None:
    """A Parquet file that is no table of ours, or holds other types, says which column."""
    pq.write_table(table, write_fragment(tmp_path, []))
    with pytest.raises(ResultsError, match=message):
        results.load(tmp_path)


def test_missing_folders_and_tables(tmp_path: Path) -> None:
    """A missing folder, a file, a folder without tables, a pattern without a match and no folder each say so."""
    (tmp_path / "file").write_text("x")
    for given, message in [
        (tmp_path / "absent", "absent does not exist"),
        (tmp_path / "file", "is a file"),
        (tmp_path, "holds no tables/trials"),
        (str(tmp_path / "x*"), "no folder that matches"),
        ([], "no run folder is given"),
    ]:
        with pytest.raises(ResultsError, match=message):
            results.load(given)  # type: ignore[arg-type]


def test_an_empty_table_is_no_error(tmp_path: Path) -> None:
    """A run whose table has no rows yet loads, and its summary is empty."""
    write_fragment(tmp_path, [])
    tables = results.load(tmp_path)
    assert (len(tables.trials), len(tables.curves), pareto_info(tables).groups) == (0, 0, ())
