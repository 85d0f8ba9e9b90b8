"""The picture of comparisons: a line per config with a control, and none where there is nothing to compare."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from trial_builder import Row, make_tables, make_trial, quickstart_trials

from results.analysis.control_comparison import study_table
from results.analysis.published_figures import FIGURES, Scale, load_published
from results.plots.controls_plot import plot_controls


def drawn(trials: list[Row], path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure | None:
    """The figure of a table of trials, caught on its way into the file."""
    caught: list[Figure] = []
    monkeypatch.setattr("results.plots.controls_plot.save", lambda figure, path: caught.append(figure) or path)
    plot_controls(study_table(make_tables(trials), [], Scale()), path)
    return caught[0] if caught else None


def test_every_compared_config_has_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best difference comes first, at the mean over seeds; controls themselves are not compared."""
    trials = [
        make_trial(recipe, seed=seed, ce=ce + seed / 100)
        for recipe, ce in (("baseline", 4.0), ("worse", 4.4), ("better", 3.6))
        for seed in (1, 2)
    ]
    figure = drawn(trials, tmp_path / "controls.png", monkeypatch)
    assert figure is not None
    [axes] = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["better 6L192d", "worse 6L192d"]
    marks = {(round(float(x), 1), round(float(y))) for line in axes.lines for x, y in line.get_xydata()[:1]}
    assert {(-10.0, 0), (10.0, 1)} <= marks


def test_no_comparison_no_picture(tmp_path: Path) -> None:
    """Controls alone, or no trial at all, give no picture and no file."""
    for trials in ([], [make_trial(seed=seed) for seed in (1, 2)]):
        assert plot_controls(study_table(make_tables(trials), [], Scale()), tmp_path / "controls.png") is None
    assert not list(tmp_path.iterdir())


def test_a_control_of_another_shape_is_not_drawn_as_one_of_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the published table's baseline stands in for a missing control, the picture shows no difference from it."""
    settings = {"data": "fineweb10B_sp1024", "sweep": "section2_fineweb", "cfg_model_dropout": 0.2}
    trials = [make_trial("baseline", ce=3.2, **settings), make_trial("selective", 12, 384, ce=2.9, **settings)]
    table = study_table(make_tables(trials), load_published(FIGURES), Scale())
    assert any("c" in row.marks and row.ce_pct for row in table.rows)
    assert plot_controls(table, tmp_path / "controls.png") is None


def test_a_cut_is_told_and_one_seed_has_no_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred configs forty are drawn and the title says so; bars are drawn for intervals alone."""
    many = [make_trial(f"recipe{i}", ce=3 + i / 100) for i in range(100)]
    figure = drawn([make_trial(), *many], tmp_path / "controls.png", monkeypatch)
    assert figure is not None
    [axes] = figure.axes
    assert len(axes.get_yticklabels()) == 40 and "the best 40 of 100" in axes.get_title(loc="left")
    assert not any(isinstance(part, LineCollection) for part in axes.collections)
    figure = drawn(quickstart_trials(), tmp_path / "controls.png", monkeypatch)
    assert figure is not None and any(isinstance(part, LineCollection) for part in figure.axes[0].collections)
