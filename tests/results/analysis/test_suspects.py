"""Rows of suspect nodes take part in no comparison, and are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trial_builder import make_tables, make_trial, write_run

from results.analysis.claims import claims_of
from results.analysis.control_comparison import study_table
from results.analysis.pareto_info import SUSPECT, pareto_info
from results.analysis.published_figures import Scale
from results.report.formatting import not_counted_text
from results.tables.load import load

WHY = {"suspect": "50% slower than the median of 3 nodes with A40", "host": "gpu-7", "node": "0a1b2c3d4e"}


def trials(**of_the_best: Any) -> list[dict[str, Any]]:
    """Two controls, and two seeds of a better config, one of them as the arguments say."""
    return [
        make_trial(seed=1),
        make_trial(seed=2),
        make_trial("selective", seed=1, ce=3.0),
        make_trial("selective", seed=2, ce=2.0, **of_the_best),
    ]


def test_a_suspect_row_is_left_out_and_named() -> None:
    """Of means, pairs with the control and the front; a note says how many, where and why."""
    info = pareto_info(make_tables(trials(**WHY)))
    selective = next(group for group in info.groups if group.recipe == "selective")
    assert selective.ce.mean == 3.0 and [one.seed for one in selective.replicates] == [1]
    assert selective.control is not None and selective.control.ce_pct is not None and selective.control.ce_pct.num == 1
    assert selective.num_not_completed == 0 and info.not_counted == {SUSPECT: 1}
    [note] = [one for one in info.notes if "suspect" in one]
    assert note.startswith("1 trial is left out, as gpu-7 (0a1b2c3d) is suspect: 50% slower")
    assert "frostline explain" in note and SUSPECT in not_counted_text(info)
    before = pareto_info(make_tables(trials()))
    assert before.not_counted == {} and not any("suspect" in one for one in before.notes)
    assert next(group for group in before.groups if group.recipe == "selective").ce.mean == 2.5


def test_a_config_of_suspect_rows_alone_is_in_no_group() -> None:
    """It is not on the front, however good, nor is it anybody's control."""
    rows = [make_trial(seed=1, ce=1.0, **WHY), make_trial("selective", seed=1)]
    [group] = pareto_info(make_tables(rows)).groups
    assert group.recipe == "selective" and group.on_front and group.control is None


def test_the_table_of_a_run_leaves_them_out() -> None:
    """`frostline table` compares the others alone."""
    scale = Scale(name=None, divide={})
    found = {row.recipe: row for row in study_table(make_tables(trials(**WHY)), [], scale).rows}
    assert found["selective"].ce.mean == 3.0
    assert found["selective"].ce_pct is not None and found["selective"].ce_pct.num == 1


def test_a_claim_is_not_decided_without_them() -> None:
    """A fresh trial on a suspect node is one that gave no score: what is left may be too good."""
    fresh = [
        make_trial(recipe, seed=seed, stage="confirm", ce_test=ce, confirm_against=against, feasible=True, **more)
        for recipe, ce, against in (("selective", 2.0, "baseline-6-192"), ("baseline", 3.0, None))
        for seed, more in ((101, {}), (102, {}), (103, WHY if recipe == "selective" else {}))
    ]
    [claim] = claims_of(fresh)
    assert claim.num_lost == 1 and not claim.is_decided


def test_tables_of_earlier_versions_have_no_suspects(tmp_path: Path) -> None:
    """A run without the column, and without sentinels, is read as before."""
    write_run(tmp_path / "run", trials())
    found = load(tmp_path / "run")
    assert found.trials.suspect.isna().all() and len(found.sentinels) == 0
