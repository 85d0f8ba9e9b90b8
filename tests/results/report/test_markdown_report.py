"""The report: all of the run on one page, safe against what texts hold, and the same bytes for the same tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trial_builder import make_curve, make_trial, quickstart_trials, write_run

from results.errors import ResultsError
from results.report.markdown import escape, markdown_table
from results.report.markdown_report import write_report

SWEEP = "name: demo\nobjectives: {ce: min, artifact_bytes: min}\nconstraints: ['artifact_bytes <= 500_000']\n"


def test_page_holds_the_run(tmp_path: Path) -> None:
    """Headline, front, statuses, failures, devices and data are on the page, and its links lead to files."""
    failed = make_trial(layers=9, ce=None, status="failed", error="Traceback:\n  line | 1\nValueError: a|b `c`\n")
    trials = [*quickstart_trials(), failed]
    page = write_report(write_run(tmp_path / "demo", trials, [p for t in trials[:-1] for p in make_curve(t)], SWEEP))
    text = page.read_text()
    assert page == tmp_path / "demo" / "report" / "report.md"
    assert "**Best CE under artifact\\_bytes &lt;= 500,000: selective 4L128d, CE 3.4450 ± 0.0635" in text
    assert "1 of 13 trials is not counted: 1 failed" in text
    assert "| baseline-9-192-s1 | failed | CPU | ValueError: a\\|b \\`c\\` |" in text
    assert "| x | baseline 4L128d |" in text and "d" * 64 in text and "test processor" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert {"pareto.png", "controls.png", "curves.png", "../sweep.yaml"} == set(links)
    assert all((page.parent / link).exists() for link in links)


def test_speeds_are_of_trials_that_were_alone(tmp_path: Path) -> None:
    """The median of a device leaves out trials with neighbours, and the page says how many."""
    trials = [make_trial(seed=seed, tokens_per_s=100.0, num_neighbours=0) for seed in (1, 2)]
    trials += [make_trial(seed=3, tokens_per_s=1.0, num_neighbours=2)]
    page = write_report(write_run(tmp_path / "run", trials)).read_text()
    devices = page[page.index("## Devices") :]
    assert "| 100 |" in devices and "1 of 3 trials shared their device with other trials" in devices


def test_tables_have_equal_columns(tmp_path: Path) -> None:
    """Every row of a table has as many cells as its head, whatever its texts hold."""
    trials = [make_trial(data="a|b", error="x | y"), make_trial(seed=2, status="failed", ce=None, error="||\n|")]
    text = write_report(write_run(tmp_path / "demo", trials)).read_text()
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_same_tables_same_bytes(tmp_path: Path) -> None:
    """Writing the report again, or of a copy in another place, changes no byte."""
    trials = quickstart_trials()
    pages = [write_report(write_run(tmp_path / place / "demo", trials)) for place in ("a", "b")]
    again = write_report(tmp_path / "a" / "demo")
    assert pages[0].read_bytes() == pages[1].read_bytes() == again.read_bytes()
    assert str(tmp_path) not in again.read_text()


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    """A run without a completed trial gives a page that says so; an old curve picture does not stay."""
    folder = write_run(tmp_path / "demo", [make_trial(status="out_of_memory", ce=None)])
    (folder / "report").mkdir()
    (folder / "report" / "curves.png").write_bytes(b"old")
    text = write_report(folder).read_text()
    assert "No trial has completed yet" in text and "No config is on it" in text
    assert not (folder / "report" / "curves.png").exists()


def test_a_run_of_which_nothing_fits_says_so(tmp_path: Path) -> None:
    """Where every trial was refused, the page does not promise results to come: it says why there are none."""
    refused = [
        make_trial(seed=seed, status="infeasible", ce=None, artifact_bytes=None, accelerator=None, error="too large")
        for seed in (1, 2)
    ]
    text = write_report(write_run(tmp_path / "demo", refused)).read_text()
    assert "No trial was trained: by their shapes all are infeasible under the limits of the sweep." in text
    assert "2 of 2 trials are not counted: 2 infeasible" in text and "yet" not in text
    assert "| baseline-6-192-s1 | infeasible | – | too large |" in text
    some = write_report(write_run(tmp_path / "some", [*refused, make_trial(seed=3, status="failed", ce=None)]))
    assert "No trial has completed yet" in some.read_text()


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    """Nothing is written where there is nothing to report."""
    with pytest.raises(ResultsError, match="holds no tables"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_escape_shows_text_as_it_is() -> None:
    """Markup in a cell is text, and a cell is one line."""
    assert escape("a|b\n<img> *x* `y` [z](u) & #1") == "a\\|b &lt;img&gt; \\*x\\* \\`y\\` \\[z\\](u) &amp; \\#1"
    assert markdown_table(("h",), [("a|b",)]) == ["| h |", "| --- |", "| a\\|b |", ""]


def test_notes_of_the_sweep_are_on_the_page(tmp_path: Path) -> None:
    """What the author wrote under `notes` stands below the headline, paragraph by paragraph, as it was written."""
    sweep = SWEEP + "notes: |\n  Does *freezing* pay?\n\n  A second | paragraph.\n"
    text = write_report(write_run(tmp_path / "demo", [make_trial()], sweep=sweep)).read_text()
    assert "> Does \\*freezing\\* pay?\n\n> A second \\| paragraph.\n" in text
