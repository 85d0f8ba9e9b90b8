"""The page in a real browser: silent, safe, without a script, on paper, in the dark and on a phone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import PHONE, Opened, opened, overflow_pixels
from page_runs import FORMULA, HOSTILE, HOSTILE_IMAGE, hostile_trials, night_trials, page_of, write_night
from trial_builder import make_trial, write_run

from results.page.page_info import RunState

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE_SWEEP = f"name: {HOSTILE!r}\nnotes: {HOSTILE_IMAGE!r}\nbase: {{data: {HOSTILE!r}}}\n"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a night of fifteen trials."""
    return page_of(write_night(tmp_path_factory.mktemp("runs") / "night", night_trials()))


def ready(found: Opened) -> None:
    """Wait until the page's script has drawn everything."""
    found.page.wait_for_selector("html[data-ready=yes]", state="attached")


def is_silent(found: Opened, page: Path) -> bool:
    """No error, nothing refused, and nothing asked for but the file."""
    return (found.errors, found.violations, found.others(page.resolve().as_uri())) == ([], [], [])


def test_it_opens_in_silence(browser: Browser, night: Path) -> None:
    """No error or warning on the console, no violation of its own policy, no request beyond the file."""
    with opened(browser, night) as found:
        ready(found)
        assert is_silent(found, night)
        titles = found.page.locator("main h2").all_inner_texts()
        assert titles[0] == "In short" and len(titles) == len(set(titles)) >= 8


@pytest.mark.parametrize("scripts", [True, False])
def test_hostile_texts_are_texts(browser: Browser, tmp_path: Path, scripts: bool) -> None:
    """Scripts and formulas as names of sweep, data, device, host, setting, trial and error are shown, not run."""
    page = page_of(write_night(tmp_path / "run", hostile_trials(), HOSTILE_SWEEP))
    with opened(browser, page, with_scripts=scripts) as found:
        if scripts:
            ready(found)
            assert is_silent(found, page)
            found.page.locator("#filter input[type=search]").fill("hacked")
            found.page.locator("#table tr.row").first.click()
            found.page.wait_for_selector("#pin", state="visible")
            assert HOSTILE in found.page.locator("#pin").inner_text()
        assert found.page.evaluate("window.hacked") is None
        assert found.page.locator("img").count() == 0 and found.page.locator("[onerror]").count() == 0
        assert HOSTILE in found.page.locator("h1").inner_text()
        text = found.page.locator("main").inner_text()
        assert HOSTILE in text and HOSTILE_IMAGE in text and FORMULA in text


def test_two_hostile_runs_on_one_page(browser: Browser, tmp_path: Path) -> None:
    """What changed between them is text, too."""
    first = write_night(tmp_path / "a", hostile_trials(), HOSTILE_SWEEP)
    second = write_night(tmp_path / "b", hostile_trials(), HOSTILE_SWEEP + f"space: {{recipe: {FORMULA!r}}}\n")
    page = page_of(first, second)
    with opened(browser, page) as found:
        ready(found)
        assert is_silent(found, page) and found.page.evaluate("window.hacked") is None
        assert FORMULA in found.page.locator("#runs").inner_text() and overflow_pixels(found) == 0


def test_without_a_script_all_is_there(browser: Browser, night: Path) -> None:
    """With JavaScript off: the headline, the front as a picture, its rows, and every computed section."""
    with opened(browser, night, with_scripts=False) as found:
        page = found.page
        assert "Best CE under" in page.locator("#headline .lead").inner_text()
        assert page.locator("#front svg.chart").is_visible() and page.locator("#front svg .mark.front").count() > 0
        assert page.locator("#table tbody tr").count() > 0
        for name in ("hypervolume", "money", "failures", "controls", "reproduce"):
            assert page.locator(f"#{name}").is_visible(), name
        assert found.errors == []


def test_on_paper(browser: Browser, night: Path) -> None:
    """Light even for a reader in the dark, with the front and its rows; it becomes a PDF of a few pages."""
    with opened(browser, night, color_scheme="dark") as found:
        ready(found)
        pdf = found.page.pdf(format="A4", print_background=True)
        assert pdf.startswith(b"%PDF") and 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 15
        found.page.emulate_media(media="print")
        assert found.page.locator("#front svg.chart").first.is_visible()
        assert found.page.locator("#table table").first.is_visible()
        assert not found.page.locator("#filter").is_visible()
        assert is_silent(found, night)


def brightness(found: Opened, selector: str, name: str) -> float:
    """Of a colour, 0 for black and 255 for white."""
    colour = found.page.evaluate("([s, n]) => getComputedStyle(document.querySelector(s))[n]", [selector, name])
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def test_in_the_dark(browser: Browser, night: Path) -> None:
    """The page follows its reader: light text on dark, and the other way round."""
    for scheme, is_dark in (("dark", True), ("light", False)):
        with opened(browser, night, color_scheme=scheme) as found:
            ready(found)
            ground, ink = brightness(found, "body", "backgroundColor"), brightness(found, "body", "color")
            assert (ground < 60 and ink > 180) if is_dark else (ground > 220 and ink < 80)
            assert abs(brightness(found, ".chart .tick", "fill") - ground) > 60
            assert is_silent(found, night)


@pytest.mark.parametrize("scripts", [True, False])
def test_on_a_phone_nothing_scrolls_sideways(browser: Browser, night: Path, scripts: bool) -> None:
    """At 390 pixels only tables and wide pictures scroll, within themselves."""
    with opened(browser, night, PHONE, with_scripts=scripts, is_mobile=True, has_touch=True) as found:
        if scripts:
            ready(found)
        assert overflow_pixels(found) == 0
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_sweep_that_still_runs_says_so(browser: Browser, tmp_path: Path) -> None:
    """The head of the page has the counts and the time of the last word of its driver."""
    state = RunState(state="running", num_done=15, num_all=40, num_running=2, updated_at="2026-01-02T03:04:05+00:00")
    page = page_of(write_night(tmp_path / "run", night_trials()), states=[state])
    with opened(browser, page, with_scripts=False) as found:
        text = found.page.locator("header").inner_text()
        assert "15 of 40 trials" in text and "2026-01-02 03:04 UTC" in text


@pytest.mark.parametrize("status", ["failed", "infeasible"])
def test_a_run_without_a_score_has_a_page(browser: Browser, tmp_path: Path, status: str) -> None:
    """All failed, or nothing fits: the page opens, says so, and is silent."""
    trials = [make_trial(seed=seed, ce=None, artifact_bytes=None, status=status, error="why") for seed in (1, 2)]
    page = page_of(write_run(tmp_path / "run", trials))
    with opened(browser, page) as found:
        ready(found)
        assert is_silent(found, page)
        lead = found.page.locator("#headline .lead").inner_text()
        assert lead.startswith("No trial has completed yet" if status == "failed" else "No trial was trained")
        assert "why" in found.page.locator("#failures").inner_text()


@pytest.mark.parametrize("view", ["front", "settings", "devices"])
def test_after_a_drag_the_pointer_still_tells(browser: Browser, night: Path, view: str) -> None:
    """A drag ends when the button is let go: then a view answers a pointer without a button, in silence."""
    with opened(browser, night) as found:
        ready(found)
        picture, mouse = found.page.locator(f"[data-view={view}] .picture"), found.page.mouse
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        assert box is not None
        mouse.move(box["x"] + 0.01 * box["width"], box["y"] + 0.02 * box["height"])
        mouse.down()
        mouse.move(box["x"] + 0.99 * box["width"], box["y"] + 0.98 * box["height"], steps=4)
        mouse.up()
        tooltip = found.page.locator("#tooltip")
        for step in range(900):
            x, y = 0.02 + step % 30 / 31, 0.02 + step // 30 / 31
            mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if found.errors or tooltip.is_visible():
                break
        assert found.errors == [] and len(tooltip.inner_text()) > 10
