"""What differs between runs, and when their losses must not be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trial_builder import make_tables, make_trial

from results.analysis.night.changes import ABSENT, Change, changes_between, common_text, facts_of, of_text, scored_texts
from results.analysis.night.environment import read_sessions
from results.analysis.night.run_fronts import run_fronts
from results.analysis.objectives import DEFAULT_OBJECTIVES, Direction
from results.analysis.pareto_info import pareto_info
from results.analysis.replicate_groups import Row, to_rows

ROW = {"data_sha256": "d" * 64, "eval_tokens": 100, "cfg_model_vocab_size": 512, "status": "completed", "ce": 3.0}


def test_only_what_differs_is_listed() -> None:
    """Nested settings by their path, lists whole, a missing one as a dash; equal ones are left out."""
    first = {"base": {"train": {"steps": 10, "clip": 1.0}}, "seeds": [1, 2], "space": {"recipe": {"choice": ["a"]}}}
    second = {"base": {"train": {"steps": 20, "clip": 1.0}}, "seeds": [1, 2, 3], "confirm": {"configs": 0}}
    assert changes_between([first, second]) == [
        Change(name="base.train.steps", values=("10", "20")),
        Change(name="seeds", values=("1, 2", "1, 2, 3")),
        Change(name="space.recipe.choice", values=("a", ABSENT)),
        Change(name="confirm.configs", values=(ABSENT, "0")),
    ]
    assert changes_between([first, first]) == [] and changes_between([{}, {}]) == []


def test_a_null_is_as_good_as_nothing() -> None:
    """A key that an older version did not write is no change where its value is null."""
    assert changes_between([{"budget": {"usd": None}, "cases": {}}, {"budget": {"hours": None}}]) == []


def test_facts_of_a_run(tmp_path: Path) -> None:
    """Sweep, versions and devices; notes say nothing about what was run, and a missing file is no error."""
    (tmp_path / "sweep.yaml").write_text("name: a\nnotes: words\nbase: {data: x}\n")
    session = {"started_at": "2026", "commit": "abc", "python": "3.12", "packages": {"torch": "2.9", "ray": None}}
    (tmp_path / "environment.json").write_text(json.dumps({"sessions": [session]}))
    facts = facts_of(tmp_path, [{"torch_version": "2.9", "accelerator": "CPU", "device_name": None}])
    assert facts["base"] == {"data": "x"} and "notes" not in facts
    assert facts["versions"] == {"code": "abc", "torch": "2.9"} and facts["accelerators"] == "CPU"
    assert facts["devices"] == ""
    assert facts_of(tmp_path / "none", [])["versions"] == {"code": None}


@pytest.mark.parametrize("content", ["{", "[]", '{"sessions": [3]}', '{"sessions": 3}'])
def test_a_damaged_environment_decides_nothing(tmp_path: Path, content: str) -> None:
    """It is then as if there were none."""
    (tmp_path / "environment.json").write_text(content)
    assert read_sessions(tmp_path) == []


@pytest.mark.parametrize("column", ["data_sha256", "eval_tokens", "cfg_model_vocab_size"])
def test_other_texts_never_compare(column: str) -> None:
    """Other data, other scored tokens or another vocabulary: no common text."""
    other: Row = {**ROW, column: "e" * 64 if column == "data_sha256" else 7}
    assert common_text([[ROW], [other]]) is None
    shared = common_text([[ROW, other, other], [other, ROW], [other]])
    assert shared is not None and of_text([ROW, other], shared) == [other]
    assert "tokens scored, vocabulary" in str(shared)


def test_a_run_without_a_score_has_no_text() -> None:
    """What failed compares with nothing."""
    failed: Row = {**ROW, "status": "failed", "ce": None}
    assert scored_texts([failed]) == set() and common_text([[ROW], [failed]]) is None
    assert common_text([]) is None


def runs(*trials: list[dict[str, Any]], goals: dict[str, Direction] | None = None) -> list[Any]:
    tables = [make_tables(its) for its in trials]
    rows = [to_rows(one.trials) for one in tables]
    text = common_text(rows)
    assert text is not None
    infos = [pareto_info(one, goals) for one in tables]
    return run_fronts(infos, rows, text, goals or DEFAULT_OBJECTIVES)


def trial(name: str, ce: float, size: int, **changes: Any) -> dict[str, Any]:
    return make_trial(trial_id=name, config_id=name, ce=ce, artifact_bytes=size, **changes)


def test_fronts_share_one_reference() -> None:
    """The worst of all runs is the corner of each; what was scored on another text is left out."""
    first = [trial("a", 3.0, 10_000), trial("b", 4.0, 20_000)]
    second = [trial("c", 2.0, 40_000), trial("d", 1.0, 1_000, data_sha256="e" * 64)]
    (found,) = runs(first, second)
    assert found.reference == {"ce": 4.0, "artifact_bytes": 40_000} and found.kind is None
    assert [[group.config_id for group in front] for front in found.fronts] == [["a"], ["c"]]
    # the second run's config is itself the largest of all: it wins no room
    assert found.volumes == pytest.approx((1.0 * 1.3862943611, 0.0))


def test_fronts_by_accelerator() -> None:
    """With speed as an objective only equal devices are set against each other."""
    first = [trial("a", 3.0, 10_000, accelerator="H100"), trial("b", 3.0, 10_000, accelerator="A40")]
    second = [trial("c", 2.0, 40_000, accelerator="H100")]
    (found,) = runs(first, second, goals={"ce": "min", "tokens_per_s": "max"})
    assert found.kind == "H100" and found.unit == "nats × tokens_per_s"


def test_a_run_where_nothing_keeps_the_limits() -> None:
    """Has an empty front and no volume."""
    (found,) = runs([trial("a", 3.0, 10_000)], [trial("b", 3.0, 99_000_000)])
    assert found.fronts[1] == () and found.volumes[1] == 0.0
