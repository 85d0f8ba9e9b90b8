"""The picture of comparisons: a line per config with a control, and none where there is nothing to compare."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from trial_builder import Row, make_tables, make_trial, quickstart_trials

from results.forest import plot_controls
from results.published import Scale
from results.study_table import study_table


def drawn(trials: list[Row], path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure | None:
    """The figure of a table of trials, caught on its way into the file."""
    caught: list[Figure] = []
    monkeypatch.setattr("results.forest.save", lambda figure, path: caught.append(figure) or path)
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


def test_many_configs_and_single_seeds_are_drawn(tmp_path: Path) -> None:
    """One seed has no interval, and a hundred configs are cut to those that matter; both give a PNG."""
    many = [make_trial(f"recipe{i}", ce=3 + i / 100) for i in range(100)]
    for trials in (quickstart_trials(), [make_trial(), *many]):
        path = plot_controls(study_table(make_tables(trials), [], Scale()), tmp_path / "controls.png")
        assert path is not None and path.read_bytes().startswith(b"\x89PNG")
