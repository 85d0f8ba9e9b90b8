"""The study's layout on synthetic runs: controls, equal bytes, published figures, and what sets these apart."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from trial_builder import Row, make_tables, make_trial, write_run

from results.analysis.control_comparison import StudyRow, load_study_table, study_table
from results.analysis.published_figures import FIGURES, MARKS, Published, Scale, find, load_published, marks, percentage
from results.errors import ResultsError
from results.report.study_table import cells, remarks

SWEEPS = Path(__file__).parents[3] / "search_spaces" / "seed_paper"
ROWS = load_published(FIGURES)
FULL = Scale()
FINEWEB = {"data": "fineweb10B_sp1024", "sweep": "section2_fineweb"}


def row_of(name: str) -> Published:
    return next(row for row in ROWS if row.row == name)


def fineweb(recipe: str, layers: int, dim: int, seed: int, ce: float, dropout: float, **changes: Any) -> Row:
    return make_trial(recipe, layers, dim, seed, ce, cfg_model_dropout=dropout, **FINEWEB, **changes)


def run_of_section_2() -> list[Row]:
    """Two seeds of the baseline and of three other rows, with bytes and weights of their shapes."""
    counts = {"num_params": 100, "num_params_seeded": 39, "num_params_stored_frozen": 0}
    return [
        trial
        for seed, noise in ((1, 0.0), (2, 0.01))
        for trial in (
            fineweb("baseline", 6, 192, seed, 3.2 + noise, 0.2, artifact_bytes=2_400_000),
            fineweb("baseline", 12, 384, seed, 2.7 + noise, 0.1, artifact_bytes=18_000_000),
            fineweb("baseline", 7, 384, seed, 2.8 + noise, 0.1, artifact_bytes=10_800_000),
            fineweb("selective", 12, 384, seed, 2.9 + noise, 0.1, artifact_bytes=11_000_000, **counts),
            fineweb("selective", 8, 256, seed, 3.1 + noise, 0.0, artifact_bytes=3_400_000, **counts),
        )
    ]


def study_rows(trials: list[Row], scale: Scale = FULL) -> dict[str, StudyRow]:
    table = study_table(make_tables(trials), ROWS, scale)
    return {row.label.split(" dropout")[0]: row for row in table.rows}


def test_a_row_stands_against_its_control_and_the_learned_one_of_its_bytes() -> None:
    """The control has the same shape and dropout; the model of equal bytes has another shape. Both are paired."""
    row = study_rows(run_of_section_2())["selective 12L384d"]
    assert row.ce_pct is not None and row.control == "baseline 12L384d dropout 0.1"
    assert row.ce_pct.mean == pytest.approx(100 * (2.9 / 2.7 - 1), abs=0.05) and row.ce_pct.num == 2
    assert row.same_bytes is not None and row.same_bytes.label == "baseline 7L384d dropout 0.1"
    assert row.same_bytes.ratio == pytest.approx(10.8 / 11, rel=0.01)
    assert (row.seeded_share, row.stored_frozen_share, row.artifact_bytes) == (0.39, 0.0, 11_000_000)
    assert row.published is not None and row.published.ce == 2.8803
    assert row.published_pct == pytest.approx(-11.5, abs=0.05)
    assert row.marks == "kb"


def test_a_control_of_the_same_bytes_is_not_chosen_for_its_weakness() -> None:
    """Of learned models within a fifth, one of the same MLP goes first, then the nearest, then the better one."""
    learned = {
        ("geglu", 5): (900_000, 3.3),
        ("gelu", 6): (1_000_000, 3.9),
        ("geglu", 7): (900_000, 3.2),
        ("geglu", 8): (1_201_000, 3.0),
    }
    trials = [
        make_trial("baseline", layers, 64, 1, ce, cfg_model_mlp=mlp, artifact_bytes=size)
        for (mlp, layers), (size, ce) in learned.items()
    ]
    [row] = [
        row
        for row in study_table(
            make_tables([*trials, make_trial("selective", 9, 64, 1, 3.1, artifact_bytes=1_000_000)]), [], FULL
        ).rows
        if not row.is_control
    ]
    assert row.same_bytes is not None and row.same_bytes.label == "baseline 7L64d geglu"
    assert row.same_bytes.ratio == 0.9


def test_fewer_pairs_than_seeds_are_told(tmp_path: Path) -> None:
    """A difference that rests on one pair of three seeds says so, and claims no interval."""
    trials = [make_trial("baseline", seed=seed, ce=3.1, accelerator="H100") for seed in (1, 2, 3)]
    trials += [
        make_trial("selective", seed=seed, ce=3.0 + seed / 10, accelerator="H100" if seed == 1 else "A40")
        for seed in (1, 2, 3)
    ]
    [row] = [row for row in study_table(make_tables(trials), [], FULL).rows if not row.is_control]
    assert cells(row)[2:4] == ("3", "+0.00 (1 of 3 seeds)")


def test_without_a_control_of_its_shape_a_row_is_marked() -> None:
    """8L 256d has no learned twin, as in the study; it is held against the study's baseline, and says so."""
    row = study_rows(run_of_section_2())["selective 8L256d"]
    assert row.control == "baseline 6L192d dropout 0.2" and row.same_bytes is None
    assert row.ce_pct is not None and row.ce_pct.mean < 0
    assert "c" in row.marks


def test_marks_say_what_differs() -> None:
    """Data, dropout, scale, settings and scoring each have their letter."""
    row = row_of("Selective 8L 256d")
    same = make_trial("selective", 8, 256, **FINEWEB)
    assert marks(same, FULL, row) == "kb"
    other = {**same, "data": "gutenberg", "cfg_model_dropout": 0.1}
    assert marks(other, Scale(name="cpu", divide={"model.dim": 4}), row) == "sdrkb"
    progressive = row_of("Progressive 8L 256d (sp4096)")
    carried_on = {**same, "data": "fineweb10B_sp4096", "cfg_progressive_restart": False}
    assert marks(carried_on, FULL, progressive) == "o"


def test_a_small_run_stands_beside_the_row_that_it_was_divided_from() -> None:
    """Numbers are multiplied back before they are matched, and the sweep's own rows go first."""
    scale = Scale(name="cpu", divide={"model.dim": 4})
    small = make_trial("baseline", 6, 48, data="gutenberg", cfg_model_dropout=0.0)
    assert find(small, "section3_fineweb_cpu", scale, ROWS) == row_of("Baseline 6L 192d (sp4096)")
    assert find(small, "section3_gutenberg_cpu", scale, ROWS) == row_of("Baseline 6L 192d (A40 Gutenberg)")
    assert find(small, "section3_fineweb", FULL, ROWS) is None


def test_the_printed_table_says_all(tmp_path: Path) -> None:
    """From a run folder: figures, marks with their meaning, verdicts, and published rows that were not run."""
    folder = write_run(tmp_path, run_of_section_2(), sweep="name: section2_fineweb\n")
    table = load_study_table(folder, FIGURES)
    frozen = next(cells(row) for row in table.rows if row.label.startswith("selective 12L"))
    assert frozen[2:4] == ("2", "+7.39 ± 0.17") and frozen[5:9] == (
        *("7L384d dropout 0.1 ×0.98", "11,000,000"),
        *("39.0r", "2.8803 (-11.5)"),
    )
    text = "\n".join(remarks(table))
    assert MARKS["b"] in text and MARKS["d"] not in text
    assert "wrong size: 7.3 is the model with its whole MLP frozen" in text
    assert "not run here: section2_fineweb: published as Selective + dropout 0.2 6L 192d" in text
    assert json.loads(json.dumps(table.as_dict(), allow_nan=False))["sweep"] == "section2_fineweb"


def test_published_percentages_recompute() -> None:
    """What the study prints against its baselines follows from its own figures."""
    claims = {
        "Selective 8L 256d": -3.4,
        "Selective + dropout 12L 384d": -11.5,
        "Fully trained 12L 384d": -16.1,
        "Selective + dropout 0.2 6L 192d": 5.8,
        "Selective gate+up 6L 192d (Gutenberg)": -2.1,
        "Progressive 8L 256d (sp4096)": -2.2,
        "Progressive 12L 384d (sp4096)": -8.9,
        "Low-rank r32": 10.0,
        "Low-rank r128": 6.2,
        "Selective gate+up 6L 192d": -2.8,
        "Teacher 6L 192d to student 8L 256d": 3.8,
        "Progressive + distill 8L 256d": 0.4,
    }
    for name, claim in claims.items():
        found = percentage(row_of(name), ROWS)
        assert found is not None and round(found, 1) == claim, name


def test_every_row_is_whole() -> None:
    """Each row names a shipped sweep, known rules, settings that are columns, a source and a verdict."""
    values = yaml.safe_load(FIGURES.read_text())
    columns = {"recipe", "data", *(name for name in make_trial() if name.startswith("cfg_"))}
    columns |= {"cfg_adapter_kind", "cfg_adapter_rank", "cfg_low_rank_rank", "cfg_low_rank_activation"}
    columns |= {"cfg_freeze_matrices", "cfg_freeze_layers", "cfg_ensemble_members", "cfg_progressive_restart"}
    for row in ROWS:
        assert (SWEEPS / f"{row.sweep}.yaml").exists()
        assert row.byte_rule in values["byte_rules"] and row.scoring in values["scorings"]
        assert row.source and row.verdict
        assert (row.size is None) == (row.byte_rule == "none")
        for key in (*row.match, *row.alike):
            assert key in columns or "cfg_" + key.replace(".", "_") in columns, key
    assert len({row.row for row in ROWS}) == len(ROWS)


def test_a_file_of_other_keys_is_refused(tmp_path: Path) -> None:
    """A row with an unknown key is one message that names the file."""
    path = tmp_path / "figures.yaml"
    path.write_text("rows:\n  - {row: one, cee: 3.2}\n")
    with pytest.raises(ResultsError, match=re.escape(str(path))):
        load_published(path)
