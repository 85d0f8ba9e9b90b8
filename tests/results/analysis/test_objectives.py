"""Objectives and constraints as text, and where they come from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.analysis.objectives import BUDGET, Constraint, Goals, parse_constraint, parse_objective, read_goals
from results.errors import ResultsError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("total_bytes <= 16_000_000", BUDGET),
        ("total_bytes<=16e6", BUDGET),
        ("  tokens_per_s >= 1000.5 ", Constraint("tokens_per_s", ">=", 1000.5)),
        ("ce < -1", Constraint("ce", "<", -1)),
        ("ce > .5", Constraint("ce", ">", 0.5)),
    ],
)
def test_constraints_are_read(text: str, expected: Constraint) -> None:
    """A constraint is column, relation, number; underscores and exponents are numbers too."""
    assert parse_constraint(text) == expected


@pytest.mark.parametrize(
    "text", ["", "artifact_bytes", "artifact_bytes == 5", "16 <= artifact_bytes", "a <= b", "a <= _"]
)
def test_other_texts_are_refused(text: str) -> None:
    """Anything else is an error that quotes the text and shows the form."""
    with pytest.raises(ResultsError, match="must read like `total_bytes <= 16_000_000`, but got"):
        parse_constraint(text)


@given(st.integers(0, 10**12), st.sampled_from(["<=", "<", ">=", ">"]))
def test_text_of_a_constraint_reads_back(limit: int, relation: str) -> None:
    """What a constraint prints, without the commas, is itself again."""
    constraint = Constraint("artifact_bytes", relation, limit)
    assert parse_constraint(str(constraint).replace(",", "")) == constraint


def test_a_bound_holds_for_all_or_not() -> None:
    """Every value must keep the bound, the limit itself keeps `<=` and not `<`, and a NaN keeps none."""
    assert BUDGET.holds([16_000_000, 1]) and not BUDGET.holds([16_000_001, 1]) and not BUDGET.holds([math.nan])
    assert not Constraint("ce", "<", 3).holds([3]) and Constraint("ce", ">", 2).holds([3])


def test_objectives_are_read() -> None:
    """A column alone is minimised; a direction that is none is refused."""
    assert parse_objective("ce") == ("ce", "min")
    assert parse_objective("tokens_per_s=max") == ("tokens_per_s", "max")
    with pytest.raises(ResultsError, match="but got 'ce=least'"):
        parse_objective("ce=least")


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "sweep.yaml").write_text(text)
    return folder


def test_goals_come_from_the_sweep(tmp_path: Path) -> None:
    """sweep.yaml says objectives and constraints; what it leaves out is the default, an empty list is no constraint."""
    a = write(tmp_path / "a", "objectives: {bpb: min, tokens_per_s: max}\nconstraints: ['artifact_bytes <= 1_000']\n")
    assert read_goals([a]) == Goals(
        objectives={"bpb": "min", "tokens_per_s": "max"}, constraints=(Constraint("artifact_bytes", "<=", 1000),)
    )
    assert read_goals([write(tmp_path / "b", "name: x")]) == read_goals([tmp_path]) == Goals()
    assert read_goals([write(tmp_path / "c", "constraints: []")]).constraints == ()
    with pytest.raises(ResultsError, match="give --objective and --limit"):
        read_goals([a, tmp_path / "b"])


@pytest.mark.parametrize(
    "text",
    ["constraints: [big]", "objectives: {ce: least}", "objectives: [ce]", "constraints: 5", "- a", "a: [", "\x00"],
)
def test_damaged_sweeps_are_named(tmp_path: Path, text: str) -> None:
    """A sweep.yaml that cannot be understood is an error of one line with its path."""
    with pytest.raises(ResultsError, match=r"sweep\.yaml") as caught:
        read_goals([write(tmp_path, text)])
    assert "\n" not in str(caught.value)
