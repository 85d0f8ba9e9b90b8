"""Every JSON file of a run is read by one function: a value, or an error that names file, key and value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.files import read_json, remove_stray_temporaries, replacing
from trainer.result import FINAL_STATUSES, TrialResult


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[1]", "it must hold an object, but holds [1]"),
        ("[" * 100_000, "it is no JSON"),
        ("null", "it must hold an object, but holds None"),
        ("{}", "it has no step"),
        ('{"step": "x"}', "step must be of type int, but is x"),
        ('{"step": true}', "step must be of type int, but is True"),
        ('{"step": null}', "step must be of type int, but is None"),
        ('{"step": 1, "seconds": "long"}', "seconds must be of type float, but is long"),
    ],
)
def test_a_damaged_file_is_a_named_problem(tmp_path: Path, text: str, error: str) -> None:
    """Cut, empty, or of a wrong type: the error says file, key and value."""
    path = tmp_path / "progress.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"progress\.json is damaged") as caught:
        read_json(path, {"step": int}, {"seconds": float})
    assert error in str(caught.value)


def test_a_right_file_is_its_values(tmp_path: Path) -> None:
    """A whole number may stand for a float, and an optional key may be null or absent."""
    path = tmp_path / "progress.json"
    for values in ({"step": 1}, {"step": 1, "seconds": 2}, {"step": 1, "seconds": None, "other": []}):
        path.write_text(json.dumps(values))
        assert read_json(path, {"step": int}, {"seconds": float}) == values


@pytest.mark.parametrize("value", ['"abc"', "[]", "{}"])
def test_a_result_with_a_wrong_type_is_a_named_problem(tmp_path: Path, value: str) -> None:
    """A result that would break the table is refused where it is read."""
    path = tmp_path / "result.json"
    path.write_text(f'{{"status": "completed", "ce": {value}}}')
    with pytest.raises(ValueError, match=r"result\.json is no trial result: ce"):
        TrialResult.load(path)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"status": "stopped_early"}, "status must be one of completed"),
        ({"status": "completed"}, "has no ce"),
        ({"status": "failed", "steps": 10**30}, "steps is beyond"),
        ({"status": "failed", "finished_at": "yesterday"}, "isoformat"),
    ],
)
def test_a_result_that_says_what_cannot_be_is_refused(tmp_path: Path, values: dict[str, object], error: str) -> None:
    """An open status in a final file, a score that is not there, a number or a time that no table holds."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=error):
        TrialResult.load(path, FINAL_STATUSES)


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    """What `replacing` left goes, everything else stays."""
    (tmp_path / ".a.json.x1_abcd9.tmp").touch()
    (tmp_path / ".lock").touch()
    (tmp_path / ".important.tmp").touch()
    with replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("1")
    remove_stray_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".important.tmp", ".lock", "a.json"]
