"""Conditions of `frostline ls`: what they mean, what they refuse, and that nothing of Python is reached."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.errors import ResultsError
from results.tables.schema import trials_table
from results.tables.where import Where, column_named

ROWS: list[dict[str, Any]] = [
    {
        "trial_id": "a",
        "recipe": "baseline",
        "ce": 3.0,
        "seed": 1,
        "total_bytes": 100,
        "cfg_model_dim": 64,
        "feasible": True,
    },
    {"trial_id": "b", "recipe": "selective", "ce": 2.5, "seed": 2, "total_bytes": 200, "cfg_model_dim": 96},
    {"trial_id": "c", "recipe": "selective", "ce": math.nan, "seed": 1, "total_bytes": None, "feasible": False},
    {"trial_id": "d", "recipe": None, "ce": None, "seed": None, "started_at": "2026-05-01T10:00:00Z"},
]
TABLE = trials_table(ROWS)


def kept(text: str) -> str:
    mask = Where(text).mask(TABLE)
    return "".join(TABLE.filter(mask).column("trial_id").to_pylist())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recipe == 'selective'", "bc"),
        ("recipe == selective and ce < 2.6", "b"),
        ("recipe != baseline", "bc"),
        ("ce <= 3", "ab"),
        ("not ce <= 2.6", "a"),
        ("2.6 > ce", "b"),
        ("2 < ce < 2.9", "b"),
        ("ce is None", "cd"),
        ("ce is not None and seed == 1", "a"),
        ("recipe == null", "d"),
        ("model.dim in (64, 128)", "a"),
        ("cfg_model_dim == 96 or model.dim == 64", "ab"),
        ("recipe in (baseline, 'other')", "a"),
        ("recipe not in ['baseline']", "bc"),
        ("not (ce in (3, 4))", "b"),
        ("not (ce not in (3, 4))", "a"),
        ("ce in (3, null)", "acd"),
        ("ce not in (3, null)", "b"),
        ("not (ce in (3, null))", "b"),
        ("seed in (1.0, 1.5)", "ac"),
        ("seed > 1.5", "b"),
        ("total_bytes / 100 + 1 <= 2 * 1.5 - 1", "a"),
        ("-ce < -2.9", "a"),
        ("feasible", "a"),
        ("not feasible", "c"),
        ("feasible == false", "c"),
        ("started_at >= '2026-05-01'", "d"),
        ("total_bytes <= 16e6", "ab"),
        ("ce > seed", "ab"),
        ("  ce > 2 ", "ab"),
    ],
)
def test_what_conditions_mean(text: str, expected: str) -> None:
    """Text with or without quotes, chains, lists, null, arithmetic, times, keys of settings; `not` of null is null."""
    assert kept(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reciep == 'x'", "reciep is no column of the table of trials; did you mean recipe?"),
        ("cee < 3", "cee is no column of the table of trials; did you mean ce?"),
        ("ce < cee", "cee is no column"),
        ("model.dmi == 3", "did you mean model.dim?"),
        ("ce <", "is no condition"),
        ("", "is no condition"),
        ("ce", "compare a column with a value"),
        ("ce < 'a'", "cannot be compared"),
        ("recipe < 3", "cannot be compared"),
        ("recipe in selective", "cannot be compared"),
        ("ce < None", "cannot be compared"),
        ("ce is 3", "cannot be compared"),
        ("1 == 1", "cannot be compared"),
        ("started_at > 'yesterday'", "cannot be compared"),
        ("seed == 1" + "0" * 30, "cannot be compared"),
        ("ce < 'a' * 1000000000", "cannot be compared"),
        ("ce < 1 " + "and ce < 1 " * 400, "must not be longer than 2,000 characters"),
        ("(" * 500 + "ce < 1" + ")" * 500, "is no condition"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    """A misspelt column gives the nearest name; what means nothing is one line that says what is understood."""
    with pytest.raises(ResultsError, match=words.replace("?", r"\?").replace("*", r"\*")):
        Where(text).mask(TABLE)


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os').system('true')", "ce.__class__ == 3", "recipe.str.len() > 1", "(lambda: 1)()", "@ce < 1"),
        *("[x for x in ce]", "ce if ce else ce", "f'{ce}' == 'a'", "ce[0] < 1", "(y := 3) < ce", "2 ** 99 ** 99 < ce"),
        *("ce < b'a'", "ce < 1j", "{'a': 1} == ce", "ce << 1 < 2", "print", "ce < ...", "*ce < 1"),
    ],
)
def test_nothing_of_python_is_reached(text: str) -> None:
    """Calls, attributes of values, comprehensions, names of Python: each is refused before a row is looked at."""
    with pytest.raises(ResultsError):
        Where(text).mask(TABLE)


@given(st.text(alphabet="ce<>=!()[]'\"and or not in1.0e_-+*/recipe,:@{}\\\n", max_size=60))
def test_any_text_is_a_condition_or_one_error(text: str) -> None:
    """No text ends in another error than ours."""
    try:
        found = Where(text).mask(TABLE)
    except ResultsError:
        return
    assert len(found) == len(ROWS)


@pytest.mark.parametrize(("name", "column"), [("model.dim", "cfg_model_dim"), ("ce", "ce"), ("recipe", "recipe")])
def test_columns_by_either_name(name: str, column: str) -> None:
    """A setting goes by its key or its column."""
    assert column_named(name) == column == column_named(column)
