"""The file: the same bytes for the same tables, nothing from a network, and no text that becomes code."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from trial_builder import make_curve, make_trial, quickstart_trials, write_run

from results.errors import ResultsError
from results.page import svg
from results.page.build import SCRIPTS, SECTIONS, render_page, write_page
from results.page.frame import frame_of
from results.page.html import Html, element, escape, json_script, table
from results.page.page_info import RunState, default_page_folder, read_page_info, run_name
from results.page.sections import front
from results.page.states import STATES

HOSTILE = "</script><script>hacked=1</script><img src=x onerror=hacked=1>\u2028=cmd()"


def page_text(folder: Path, rows: list[dict[str, Any]], sweep: str = "") -> str:
    curves = [point for row in rows if row["ce"] for point in make_curve(row)]
    return write_page(read_page_info([write_run(folder, rows, curves, sweep)])).read_text()


def test_same_tables_same_bytes(tmp_path: Path) -> None:
    """Written again, or of a copy in another place, the page has the same bytes and no path of this machine."""
    texts = [page_text(tmp_path / place / "demo", quickstart_trials()) for place in ("a", "b")]
    again = render_page(read_page_info([tmp_path / "a" / "demo"]))
    assert texts[0] == texts[1] == again and str(tmp_path) not in again


def test_the_policy_names_this_style_and_this_script(tmp_path: Path) -> None:
    """Hashes are those of the texts in the file; nothing else may run, and nothing may be loaded."""
    text = page_text(tmp_path / "run", quickstart_trials())
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert found is not None
    rules = dict(rule.split(" ", 1) for rule in html.unescape(found[1]).split("; "))
    assert rules.keys() == {"default-src", "style-src", "script-src", "img-src"}
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    for name, rule in (("style", "style-src"), ("script", "script-src")):
        [inside] = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"


def test_nothing_is_loaded(tmp_path: Path) -> None:
    """No address of a network, no file beside it, no `style=` that the policy would refuse."""
    text = page_text(tmp_path / "run", quickstart_trials())
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", text.partition('<script type="application/json"')[0])
    assert not re.search(r"<[a-z]+[^>]* style=", text) and "@import" not in text and "url(" not in text
    assert set(re.findall(r"https?://[^\"'\s]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    """Names of sweep, setting, trial and error cannot end the data nor begin an element."""
    rows = [
        make_trial(seed=1, sweep=HOSTILE, cfg_freeze_scheme=HOSTILE),
        make_trial(layers=3, ce=None, sweep=HOSTILE, status="failed", error=HOSTILE, trial_id=HOSTILE, host=HOSTILE),
    ]
    text = page_text(tmp_path / "run", rows)
    assert text.count("<script") == 2 and text.count("</script>") == 2 and "<img" not in text
    assert "\u2028" not in text.partition('id="data">')[2].partition("</script>")[0]
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert data["name"] == HOSTILE and HOSTILE in data["trials"]["id"]


def test_html_is_escaped_once() -> None:
    """Texts are escaped, markup is not escaped again, None leaves an attribute out."""
    assert element("p", "a<b", Html("<i>c</i>"), class_="x", id=None) == '<p class="x">a&lt;b<i>c</i></p>'
    assert escape(escape("<")) == "&lt;" and element("a", aria_label='"') == '<a aria-label="&quot;"></a>'
    found = table(("name", "n"), [("<x>", 1), (Html("<b>y</b>"), 2)])
    assert "&lt;x&gt;" in found and "<b>y</b>" in found and found.count('class="number"') == 3
    assert json.loads(re.sub("<[^>]*>", "", json_script("d", {"a": "</script>&\u2029"}))) == {"a": "</script>&\u2029"}
    with pytest.raises(ValueError, match="JSON"):
        json_script("d", float("nan"))


@pytest.mark.parametrize(
    ("low", "high", "kind", "ticks"),
    [
        (0.0, 10.0, "linear", [0, 2, 4, 6, 8, 10]),
        (2.13, 2.38, "linear", [2.15, 2.2, 2.25, 2.3, 2.35]),
        (90.0, 17e6, "log", [100, 1e3, 1e4, 1e5, 1e6, 1e7]),
        (4e5, 3e6, "log", [5e5, 1e6, 2e6]),
        (0.0, 7200.0, "time", [0, 1800, 3600, 5400, 7200]),
        (5.0, 5.0, "linear", [5.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, kind: Any, ticks: list[float]) -> None:
    """Round values within the range, few enough to read."""
    scale = svg.Scale(low, high, 0, 100, kind)
    assert scale.ticks() == pytest.approx(ticks)
    assert (scale(low), scale(high)) == ((0, 100) if high > low else (50, 50))


def test_the_frame_leaves_the_worst_at_the_edge(tmp_path: Path) -> None:
    """One diverging config does not crowd the others; it is counted. A limit that is near is in the picture."""
    rows = [make_trial(layers=i, ce=3 + i / 100) for i in range(1, 41)]
    rows += [make_trial(layers=41, ce=30.0)]
    size = max(row["total_bytes"] for row in rows)
    sweep = f"constraints: [total_bytes <= {2 * size}]\n"
    page = read_page_info([write_run(tmp_path / "a", rows, sweep=sweep)])
    frame = frame_of(page)
    assert frame is not None and frame.num_above == 1 and frame.y[1] < 4 and frame.is_log
    assert frame.limit is not None and frame.x[0] < frame.limit.artifact_bytes == 2 * size - 40_000 < frame.x[1]
    section = front.section(page)
    assert section is not None and section.note is not None and "1 with a worse score" in section.note


def test_a_limit_that_the_code_alone_breaks(tmp_path: Path) -> None:
    """Of a version with more code than the limit nothing fits: the line of the others' front has no limit to end at."""
    rows = [make_trial(layers=i, dim=32, ce=4 - i / 10, code_bytes=0, total_bytes=9_000) for i in (1, 2, 30)]
    rows += [make_trial(layers=3, dim=32, code_bytes=50_000)]
    page = read_page_info([write_run(tmp_path / "run", rows, sweep="constraints: [total_bytes <= 40_000]\n")])
    frame = frame_of(page)
    assert frame is not None and frame.is_log and frame.limit is None and page.info.front
    assert "front-line" in render_page(page)


def test_a_front_of_speed(tmp_path: Path) -> None:
    """More is better: to the right, without a limit in bytes on the axis, and with one front for each accelerator."""
    rows = [
        make_trial(layers=i, ce=4 - i / 10, tokens_per_s=9e4 / i, accelerator=kind) for kind in "AB" for i in (1, 2)
    ]
    rows = [{**row, "trial_id": f"{row['trial_id']}{row['accelerator']}"} for row in rows]
    sweep = "objectives: {ce: min, tokens_per_s: max}\nconstraints: [total_bytes <= 50_000_000]\n"
    page = read_page_info([write_run(tmp_path / "run", rows, sweep=sweep)])
    frame, section = frame_of(page), front.section(page)
    assert frame is not None and frame.limit is None and frame.x[1] < 1e5
    assert section is not None and section.title == "What do I get for my tokens per second?"
    assert section.note is not None and "further right is better" in section.note
    assert "2 fronts: each of one accelerator" in section.note and section.html.count("front-line") == 2


def test_each_state_has_a_shape_of_its_own() -> None:
    """Colour is not all that tells them apart."""
    assert len({one.shape for one in STATES}) == len({one.name for one in STATES}) == len(STATES)


def test_the_static_picture_is_bounded(tmp_path: Path) -> None:
    """At most 1,500 points, with all of the front among them."""
    rows = [make_trial(layers=i, dim=32, ce=5 - i / 1_000 + (i % 7) / 10) for i in range(1, 2_000)]
    section = front.section(page := read_page_info([write_run(tmp_path / "run", rows)]))
    assert section is not None
    drawn = re.findall(r'class="mark (\w+)"', section.html.partition('class="chart"')[2])
    assert len(drawn) <= front.MAX_POINTS + len(STATES) and drawn.count("front") >= len(page.info.front)


@pytest.mark.parametrize(
    "rows",
    [
        [make_trial(ce=None, status="failed", artifact_bytes=None)],
        [make_trial(ce=None, status="infeasible", artifact_bytes=None)],
        [make_trial()],
        [make_trial(artifact_bytes=None)],
        [make_trial(seed=seed, ce=3.0, artifact_bytes=10**6) for seed in (1, 2)],
    ],
)
def test_every_table_gives_a_page(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Nothing completed, one trial, no bytes, equal ones: each has a page that says what is missing."""
    text = page_text(tmp_path / "run", rows)
    assert text.endswith("</html>\n") and '<section id="front"' in text
    assert "do not say which device" in text


def test_all_scripts_and_sections_are_in_the_page() -> None:
    """No file of `js/` or `sections/` is forgotten."""
    folder = Path(front.__file__).parents[1]
    assert {path.stem for path in (folder / "js").glob("*.js")} == set(SCRIPTS)
    names = {path.stem for path in (folder / "sections").glob("*.py")} - {"__init__"}
    assert names == {section.__module__.rpartition(".")[2] for section in SECTIONS}


def test_scripts_write_texts_only() -> None:
    """No way from a text to markup or to code: only `textContent`."""
    for name in SCRIPTS:
        text = (Path(front.__file__).parents[1] / "js" / f"{name}.js").read_text()
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|fetch\(", text
        )
        assert not found, name
        assert 10 < len(text.splitlines()) <= 250 and max(map(len, text.splitlines())) <= 120, name


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", "The sweep goes on: 15 of 40 trials are done, 2 run, as of 2026-01-02 03:04 UTC."),
        ("stopped", "The sweep was stopped: 15 of 40 trials are done"),
        ("lost", "ended without a word: 15 of 40 trials are done"),
        ("finished", None),
    ],
)
def test_the_state_of_the_run_is_on_top(tmp_path: Path, state: Any, said: str | None) -> None:
    """A page of a sweep that is not at its end says so, and how to renew it."""
    known = RunState(state=state, num_done=15, num_all=40, num_running=2, updated_at="2026-01-02T03:04:05+00:00")
    text = render_page(read_page_info([write_run(tmp_path / "run", quickstart_trials())], states=[known]))
    head = text.partition("<main>")[0]
    assert (said in head and "frostline report runs/run" in head) if said else "The sweep" not in head


def test_where_a_page_lies(tmp_path: Path) -> None:
    """Of one run in its folder, of several in a folder of their names; a command names a run as it was given."""
    assert default_page_folder([Path("runs/a")]) == Path("runs/a/report")
    assert default_page_folder([Path("runs/a"), Path("runs/b")]) == Path("report-a-b")
    assert [run_name(path) for path in (Path("runs/a"), Path("."), tmp_path / "night")] == [
        *("runs/a", ".", "runs/night")
    ]
    with pytest.raises(ResultsError, match="holds no tables"):
        read_page_info([tmp_path])


def test_of_few_configs_all_is_named(tmp_path: Path) -> None:
    """Six configs have their names and their twelve seeds in the picture; of forty, some of the front are named."""
    few = front.section(read_page_info([write_run(tmp_path / "few", quickstart_trials())]))
    assert few is not None and few.html.count('class="name"') == 6 and few.html.count("mark seed") == 12
    rows = [make_trial(layers=i, ce=5 - i / 10) for i in range(1, 41)]
    many = front.section(read_page_info([write_run(tmp_path / "many", rows)]))
    assert many is not None and 1 < many.html.count('class="name"') <= 8 and "mark seed" not in many.html


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, of `#rrggbb`."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_and_texts_have_contrast(scheme: str) -> None:
    """Marks have 3:1 against the background, texts 4.5:1 (WCAG 2.2, 1.4.3 and 1.4.11), light and dark."""
    style = (Path(front.__file__).parents[1] / "page.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in style.split("@media", 2)[:2])
    colours = light | (dark if scheme == "dark" else {})
    ground = luminance(colours["background"])

    def contrast(name: str) -> float:
        high, low = sorted((ground, luminance(colours[name])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    assert {one.name: contrast(one.name) for one in STATES if contrast(one.name) < 3} == {}
    assert {name: contrast(name) for name in ("ink", "soft", "accent", "limit") if contrast(name) < 4.5} == {}
