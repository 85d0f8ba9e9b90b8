"""What the sections that Python alone computes say, at their edges too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from page_runs import SWEEP, dated, night_trials, page_info, write_forecast, write_night
from trial_builder import make_trial, quickstart_trials, write_run

from results.analysis.importance import EQUAL_BYTES, Importance
from results.page.html import Section
from results.page.page_info import PageInfo
from results.page.sections import controls, failures, headline, hypervolume, importance, money, reproduce, runs

ALL = (headline, hypervolume, importance, money, controls, failures, reproduce, runs)


def text_of(found: Section | None) -> str:
    """The section's words, as a reader sees them."""
    assert found is not None
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found.html)).replace("&lt;", "<").replace("&gt;", ">")


@pytest.fixture
def night(tmp_path: Path) -> PageInfo:
    return page_info(write_night(tmp_path / "night", night_trials()))


@pytest.mark.parametrize("status", ["failed", "infeasible", "stopped_early", "completed"])
def test_every_section_stands_a_run_of_one_trial(tmp_path: Path, status: str) -> None:
    """Completed, failed, refused or stopped, without an account: nothing breaks, and no section is empty."""
    ce = 3.0 if status == "completed" else None
    page = page_info(write_run(tmp_path / "run", [make_trial(status=status, ce=ce, artifact_bytes=ce and 9)]))
    for module in ALL:
        found = module.section(page)
        assert found is None or found.html.strip(), module.__name__
    assert hypervolume.section(page) is None or ce


def test_nothing_is_said_of_nan(tmp_path: Path) -> None:
    """A loss that is not a number is no score, and no picture holds a coordinate of it."""
    trials = [*quickstart_trials(), make_trial(layers=9, ce=float("nan"))]
    page = page_info(write_night(tmp_path / "run", dated(trials)))
    for module in ALL:
        found = module.section(page)
        assert found is None or not re.search(r"\bnan\b|\binf\b", found.html, re.IGNORECASE), module.__name__


def test_equal_tables_give_equal_sections(night: PageInfo) -> None:
    """Twice the same text: no id, no clock and no order of a set is in it."""
    assert [module.section(night) for module in ALL] == [module.section(night) for module in ALL]


def test_the_headline_has_the_whole_answer(night: PageInfo) -> None:
    """The best under the limit, what was spent, and what was not counted."""
    text = text_of(headline.section(night))
    assert "Best CE under artifact_bytes <= 500,000: selective 4L128d, CE 3.4450 ± 0.0635" in text
    assert "– searched, not confirmed." in text
    assert "12 of 15 trials completed; 3 of 15 trials are not counted: 1 stopped early, 1 infeasible, 1 failed" in text
    assert "14 min with trials at work, 16 min of 1 machine, 0.28 USD." in text
    assert "the configs were chosen by what had scored well" not in text


def test_an_adaptive_search_is_warned_of(tmp_path: Path) -> None:
    """The best of many that were chosen by their scores had luck; the page says so until it is confirmed."""
    folder = write_night(tmp_path / "night", night_trials())
    (folder / "suggestions.jsonl").write_text("")
    assert "chance helped its score" in text_of(headline.section(page_info(folder)))


def test_notes_of_the_author_and_hidden_nodes(tmp_path: Path) -> None:
    """Paragraphs as they were written; a suspect node with its reason."""
    trials = night_trials()
    trials[0] |= {"suspect": "slow by 30 %", "node": "abcdef123456", "host": "h7"}
    page = page_info(write_night(tmp_path / "n", trials, SWEEP + "notes: |\n  Does *freezing* pay?\n\n  Second.\n"))
    html = text_of(headline.section(page))
    assert "Does *freezing* pay?" in html and "1 completed on a suspect node" in html
    assert "h7 (abcdef12) is suspect: slow by 30 %" in html


def test_the_headline_counts_claims(tmp_path: Path) -> None:
    """What confirmation decided stands at the top, all of it beside the controls."""
    fresh = [
        make_trial(recipe, seed=seed, ce_test=ce + 0.01 * seed, stage="confirm", confirm_against=rival)
        for recipe, ce, rival in (("selective", 3.1, "baseline-6-192"), ("baseline", 3.5, None))
        for seed in (11, 12, 13)
    ]
    for one in fresh:
        one["trial_id"] += "-fresh"
    searched = [make_trial(recipe, seed=seed) for recipe in ("selective", "baseline") for seed in (1, 2)]
    page = page_info(write_night(tmp_path / "n", dated([*searched, *fresh]), ""))
    top, beside = text_of(headline.section(page)), text_of(controls.section(page))
    assert "Of 1 claim, tested together with fresh seeds" in top
    assert "1 better than a learned model of about as many bytes, 0 worse, 0 not decided" in top
    assert "nats/token, better, p" in top and "nats/token, better, p" in beside
    assert "Confirmed with fresh seeds" in beside and "Searched, and still noise" in beside


def test_the_second_half_of_a_night(night: PageInfo) -> None:
    """One sentence of what it brought, two pictures, and the forecast beside what came."""
    found = hypervolume.section(night)
    text = text_of(found)
    assert re.search(r"The second half \(7 min, 0\.\d\d USD\) made \d+\.\d % of the hypervolume", text)
    assert (
        "the best cross-entropy (nats/token) went from 3.6650 to 3.4450, more than its 95 % interval of ± 0.0635"
        in text
    )
    assert found is not None and found.html.count('class="half"') == 2 and "US dollars" in text
    assert "trials completed 12 10 to 14 12 within" in text and "minutes 0.2 0.2 to 0.2 15.0 outside" in text


def test_the_second_half_names_the_first_objective(tmp_path: Path) -> None:
    """The sentence is of the objective whose values it gives, also where that is no loss."""
    sweep = "name: demo\nobjectives: {artifact_bytes: min, ce: min}\n"
    sizes = [1_600_000, 1_500_000, 1_400_000, 1_200_000]
    trials = [
        make_trial(trial_id=f"t{i}", config_id=f"t{i}", ce=3.0 + i, artifact_bytes=size) for i, size in enumerate(sizes)
    ]
    text = text_of(hypervolume.section(page_info(write_night(tmp_path / "n", dated(trials), sweep))))
    assert "the best artifact bytes went from 1,500,000 to 1,200,000" in text and "nats" not in text.split(".")[0]


def test_a_steep_beginning_is_cut_off(tmp_path: Path) -> None:
    """Where the first configs win most, the picture begins after a twentieth of the time, and says so."""
    trials = [
        make_trial(trial_id=f"t{i}", config_id=f"t{i}", ce=ce, artifact_bytes=50_000 if i else 100_000)
        for i, ce in enumerate([9.0, 3.5, *(3.3 - i / 100 for i in range(60))])
    ]
    found = hypervolume.section(page_info(write_night(tmp_path / "a", dated(trials))))
    assert "What the first twentieth of the time has won is cut off below." in text_of(found)
    assert found is not None
    paths = re.findall(r'd="([^"]*)" class="step', found.html)
    heights = [float(y) for path in paths for y in re.findall(r"V([\d.]+)", path)]
    assert heights and max(heights) <= hypervolume.HEIGHT - hypervolume.BOTTOM
    few = hypervolume.section(page_info(write_night(tmp_path / "b", night_trials())))
    assert "cut off" not in text_of(few)


def test_a_second_half_that_was_not_worth_it(tmp_path: Path) -> None:
    """Nothing new, or a first config that came late: said in words."""
    good = [make_trial(trial_id=f"t{i}", config_id=f"t{i}", ce=3.0 + i, artifact_bytes=10_000 + i) for i in range(4)]
    text = text_of(hypervolume.section(page_info(write_night(tmp_path / "a", dated(good)))))
    assert "found nothing that the front did not have" in text
    late = [*(make_trial(layers=i, status="failed", ce=None) for i in (7, 8)), make_trial(ce=3.0, artifact_bytes=9_000)]
    text = text_of(hypervolume.section(page_info(write_night(tmp_path / "b", dated(late)))))
    assert "The first config with a score came in the second half" in text


@pytest.mark.parametrize(
    ("end", "words"),
    [("interrupt", "The call was ended by interrupt, which no forecast holds."), ("", "Nobody knows what came of it")],
)
def test_a_forecast_without_its_end(tmp_path: Path, end: str, words: str) -> None:
    """An interrupt is named; a call that left no truth is said to."""
    folder = write_night(tmp_path / "night", night_trials())
    write_forecast(folder, end)
    if not end:
        first = (folder / "forecasts.jsonl").read_text().splitlines()[0]
        (folder / "forecasts.jsonl").write_text(first + "\n{broken\n")
    assert words in text_of(hypervolume.section(page_info(folder)))


def test_money_adds_up_on_the_page(night: PageInfo) -> None:
    """The sums of the table are those of the machines, and each use has its colour."""
    found = money.section(night)
    assert found is not None
    rows = re.findall(r"<tr>(.*?)</tr>", found.html)[1:]
    cells = [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)] for row in rows]
    *uses, sums = cells
    assert [row[0] for row in uses] == ["front", "over a limit", "stopped early", "failed", "idle"] and sums[0] == "sum"
    assert sum(float(row[-2]) for row in uses) == pytest.approx(float(sums[-2]), abs=0.03)
    assert sums[-2] == "0.28" and sums[-1] == "16 min"
    assert text_of(found).strip().startswith("0.28 USD: 61 % for configs on the front, 15 % idle.")
    assert all(f"bar {name}" in found.html for name in ("front", "infeasible", "stopped", "wasted", "idle"))


def test_old_runs_have_hours_alone(tmp_path: Path) -> None:
    """Without an account there is no idle time and no dollar, and the page says why."""
    text = text_of(money.section(page_info(write_run(tmp_path / "old", dated(quickstart_trials())))))
    assert "USD" not in text and "no account of its machines" in text and "idle is unknown" in text


def test_the_forest_shows_forty_and_says_how_many_more(tmp_path: Path) -> None:
    """The best differences first; each row with seeds, and with devices where there are several."""
    trials = [
        make_trial(recipe, 2, 8 * dim, seed, 3.0 + 0.001 * dim * (recipe == "selective"), accelerator=kind)
        for dim in range(1, 46)
        for recipe in ("baseline", "selective")
        for seed, kind in ((1, "H100"), (2, "A40" if dim == 1 else "H100"))
    ]
    found = controls.section(page_info(write_run(tmp_path / "many", trials)))
    text = text_of(found)
    assert "The 40 with the best difference; 5 more configs are in the table." in text
    assert found is not None and found.html.count('<g class="row">') == 40
    assert "2 seeds, A40+H100" in text and text.index("2L8d") < text.index("2L320d")


def test_without_controls_there_is_no_forest(tmp_path: Path) -> None:
    """A run of one recipe compares with nothing."""
    assert controls.section(page_info(write_run(tmp_path / "run", [make_trial("selective")]))) is None


def test_a_wide_interval_does_not_hide_the_others(tmp_path: Path) -> None:
    """Two seeds that disagree have an interval of thirteen times their spread: it is cut at the edge, without a cap."""
    trials = [
        make_trial(recipe, 2, 64, seed, 3.0 + 0.5 * seed * (recipe == "selective"))
        for recipe in ("baseline", "selective")
        for seed in (1, 2)
    ]
    found = controls.section(page_info(write_run(tmp_path / "run", trials)))
    assert found is not None
    lines = re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)" class="stroke', found.html)
    assert lines and all(0 <= float(value) <= controls.WIDTH for line in lines for value in line[::2])
    assert sum(y1 != y2 for _, y1, _, y2 in lines) < 2 * sum(y1 == y2 for _, y1, _, y2 in lines)


def row(setting: str | None, effect: float | None, low: float | None, **changes: Any) -> Importance:
    found = {"target": EQUAL_BYTES, "unit": "nats", "num_configs": 60, "high": None if low is None else 2 * low + 1}
    return Importance(setting=setting, effect=effect, low=low, **{**found, **changes})


def test_importance_has_intervals_or_a_reason(night: PageInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten bars at most, what may be chance in grey; too few configs are said to be, with the notes of the method."""
    assert "Too little to tell: 6 configs are too few" in text_of(importance.section(night))
    rows = tuple(row(f"setting.{i}", 1.0 / (i + 1), 0.5 if i == 0 else 0.0, notes=("a note",)) for i in range(12))
    monkeypatch.setattr(importance, "importances", lambda tables, info: rows)
    found = importance.section(night)
    text = text_of(found)
    assert (
        found is not None and found.html.count('class="bar plain"') == 1 and found.html.count('class="bar chance"') == 9
    )
    assert "setting.0 (60 configs) 1.0000 nats" in text and "2 more settings with a smaller effect" in text
    assert text.count("a note") == 1


def test_failures_are_grouped(night: PageInfo) -> None:
    """Statuses with shares, and the last line of each error."""
    text = text_of(failures.section(night))
    assert "completed 12 80 %" in text and "ValueError: step 3 1 H100" in text and "expected to be too large" in text
    assert "early stopping: 1 trials stopped early" in text.lower()


def test_how_to_get_this_again(tmp_path: Path) -> None:
    """Commands that a shell takes as they are, versions of each call, devices and hashes of the data."""
    folder = write_night(tmp_path / "a night", night_trials())
    session = {
        "started_at": "2026-01-01T22:00:00+00:00",
        "commit": "c0ffee",
        "python": "3.12",
        "packages": {"torch": "2.9"},
    }
    sessions = {"sessions": [{**session, "nodes": [{"kind": "H100"}, {"kind": "H100"}]}]}
    (folder / "environment.json").write_text(json.dumps(sessions))
    page = page_info(folder)
    best = page.info.front[0].replicates[0].trial_id
    (folder / "trials" / best).mkdir(parents=True)
    (folder / "trials" / best / "config.yaml").touch()
    found = reproduce.section(page)
    text = text_of(found).replace("&#x27;", "'")
    assert "frostline run 'runs/a night'/sweep.yaml --out 'runs/a night-again'" in text
    assert f"frostline train 'runs/a night/trials/{best}/config.yaml'" in text
    assert f"frostline replay 'runs/a night' {best}" in text
    assert "2026-01-01 22:00 c0ffee 3.12 torch 2.9 2 × H100" in text and "d" * 64 in text
    assert found is not None and 'href="../sweep.yaml"' in found.html and 'href="../environment.json"' in found.html
    assert "H100 test processor 2.9.0 – 14 14 min 10,000" in text and str(tmp_path) not in text


def test_trials_without_a_score_are_no_other_dataset(tmp_path: Path) -> None:
    """They do not say what would have been scored; where nothing was scored, the data are named all the same."""
    stopped = make_trial(layers=3, ce=None, status="stopped_early", eval_tokens=None, eval_bytes=None)
    text = text_of(reproduce.section(page_info(write_run(tmp_path / "a", [make_trial(), stopped]))))
    assert "1 dataset; 1 trial without a score not listed; losses" in text
    text = text_of(reproduce.section(page_info(write_run(tmp_path / "b", [stopped]))))
    assert "1 dataset; losses" in text and "d" * 64 in text


def test_runs_side_by_side(tmp_path: Path) -> None:
    """What changed, each run's own front with its mark, and hypervolumes up to one reference."""
    better = [{**one, "ce": one["ce"] and one["ce"] - 0.1} for one in night_trials()]
    first = write_night(tmp_path / "first", night_trials(), SWEEP + "base: {train: {steps: 100}}\n")
    second = write_night(tmp_path / "second", better, SWEEP + "base: {train: {steps: 200}}\n")
    page = page_info(first, second)
    found = runs.section(page)
    text = text_of(found)
    assert "base.train.steps 100 200" in text and "All were scored on the same text: dddddddd, 100,000 tokens" in text
    assert found is not None and "step run-0" in found.html and "step run-1" in found.html
    volumes = [float(value) for value in re.findall(r"USD (\d\.\d{4}) ", text)]
    assert len(volumes) == 2 and volumes[1] > volumes[0]
    assert hypervolume.section(page) is None and text_of(money.section(page)).count("for configs on the front") == 2


def test_runs_on_other_data_have_no_common_front(tmp_path: Path) -> None:
    """Their losses are never compared: said so, with what each was scored on; settings are compared all the same."""
    other = [{**one, "data_sha256": "e" * 64} for one in night_trials()]
    first = write_night(tmp_path / "first", night_trials(), SWEEP + "seeds: [1]\n")
    second = write_night(tmp_path / "second", other, SWEEP + "seeds: [2]\n")
    found = runs.section(page_info(first, second))
    text = text_of(found)
    assert "their losses are never compared: there is no common front" in text
    assert "runs/first: dddddddd" in text and "runs/second: eeeeeeee" in text
    assert found is not None and "<svg" not in found.html and "hypervolume" not in text and "seeds 1 2" in text


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    """And a single run has no such section."""
    folders = [write_night(tmp_path / name, night_trials()) for name in ("a", "b")]
    assert "Nothing: same settings, seeds, versions and devices." in text_of(runs.section(page_info(*folders)))
    assert runs.section(page_info(folders[0])) is None
