"""Pictures: every table gives one, equal tables the same bytes, and names do not cover each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text
from trial_builder import CODE_BYTES, make_curve, make_tables, make_trial, quickstart_trials

from results.analysis.pareto_info import pareto_info
from results.plots.curves_plot import _with_curves, plot_curves
from results.plots.label_layout import place_labels
from results.plots.pareto_plot import plot_pareto
from results.plots.style import new_figure, unit_of

CASES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "nothing completed": [make_trial(status="failed", ce=None)],
    "one": [make_trial()],
    "quickstart": quickstart_trials(),
    "none feasible": [{**trial, "total_bytes": 99_000_000} for trial in quickstart_trials()],
    "equal": [make_trial(recipe, seed=s, ce=3.0, artifact_bytes=10**6) for recipe in ("baseline", "x") for s in (1, 2)],
    "many recipes": [make_trial(f"recipe{i}", ce=3 + i / 10) for i in range(10)],
    "wide": [make_trial(layers=i, dim=64 * i, ce=5 - i / 10) for i in range(1, 14)],
    "no bytes": [make_trial(artifact_bytes=None), make_trial(layers=8)],
    "two datasets": [make_trial(), make_trial(layers=8, data_sha256="e" * 64)],
}


@pytest.mark.parametrize("trials", CASES.values(), ids=CASES.keys())
def test_every_table_gives_a_picture(tmp_path: Path, trials: list[dict[str, Any]]) -> None:
    """No trial, one, equal ones, none feasible, a wide range: each is drawn without a warning."""
    picture = plot_pareto(pareto_info(make_tables(trials)), tmp_path / "deep" / "pareto.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in picture.parent.iterdir()] == ["pareto.png"]


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    """A picture depends on the table alone."""
    infos = [pareto_info(make_tables(rows)) for rows in (quickstart_trials(), quickstart_trials()[::-1])]
    first, second = (plot_pareto(info, tmp_path / f"{i}.png").read_bytes() for i, info in enumerate(infos))
    assert first == second


def test_other_objectives_are_drawn(tmp_path: Path) -> None:
    """Bits per byte takes the y axis where CE is no objective; three objectives have no step line but a picture."""
    tables = make_tables(quickstart_trials())
    for objectives in ({"bpb": "min", "artifact_bytes": "min"}, {"ce": "min", "tokens_per_s": "max"}):
        assert plot_pareto(pareto_info(tables, objectives), tmp_path / "p.png").exists()  # type: ignore[arg-type]


@pytest.mark.parametrize("points", [1, 4, 20])
def test_curves_are_drawn_where_they_exist(tmp_path: Path, points: int) -> None:
    """Curves of any length give a picture; without curves there is none."""
    trials = quickstart_trials()
    tables = make_tables(trials, [point for trial in trials for point in make_curve(trial, points)])
    assert plot_curves(tables, pareto_info(tables), tmp_path / "curves.png") == tmp_path / "curves.png"
    bare = make_tables(trials)
    assert plot_curves(bare, pareto_info(bare), tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


def test_names_cover_neither_each_other_nor_points() -> None:
    """Placed names stay in the frame and apart, and what finds no place is left out rather than written over others."""
    figure, axes = new_figure()
    anchors = [(i / 40, 1 - i / 40) for i in range(40)]
    axes.set(xlim=(0, 1), ylim=(0, 1))
    placed = place_labels(axes, [f"selective {i}L192d gate+up" for i in range(40)], anchors, anchors)
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert placed == len(boxes) and placed >= 10
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(axes.bbox.x0 - 3 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)
    assert figure.axes == [axes]


def test_units_suit_the_size() -> None:
    """The unit is the largest of which there is at least a half."""
    units = ((1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))
    assert [unit_of(size, units)[1] for size in (16e6, 5e5, 4.9e5, 499, 0)] == ["MB", "MB", "kB", "bytes", "bytes"]


def test_no_global_state() -> None:
    """Drawing never imports pyplot, which would hold on to every figure."""
    assert "matplotlib.pyplot" not in sys.modules


def test_a_limit_on_the_total_is_drawn_less_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The axis shows artifacts, so a limit of 500 kB on artifact and code stands where the artifact has 460 kB."""
    drawn: list[tuple[float, str]] = []
    monkeypatch.setattr("results.plots.pareto_plot._draw_limit", lambda axes, limit, *_: drawn.append(limit))
    tables = make_tables(quickstart_trials())
    for limit in ("total_bytes <= 500_000", "artifact_bytes <= 500_000"):
        plot_pareto(pareto_info(tables, constraints=[limit]), tmp_path / "pareto.png")
    assert drawn == [(500_000 - CODE_BYTES, "limit 500 kB less the code"), (500_000, "limit 500 kB")]


def test_curves_are_drawn_beside_the_control_of_their_own_text() -> None:
    """One sweep on two texts has each config twice: a control on the other text is none."""
    rows = [
        make_trial(recipe, ce=ce, artifact_bytes=size, data_sha256=sha * 64)
        for sha, ce in (("d", 3.0), ("e", 5.0))
        for recipe, size in (("baseline", 2_000), ("selective", 1_000))
    ]
    found = _with_curves(pareto_info(make_tables(rows)))
    assert {(one.recipe, one.data_sha256) for one in found} == {(row["recipe"], row["data_sha256"]) for row in rows}
