"""The views in a real browser: one selection reaches all of them, and a click anywhere shows one config."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import PHONE, Opened, opened, overflow_pixels
from synthetic import write_synthetic_run
from trial_builder import make_curve, make_trial, write_run

from results.page.build import write_page
from results.page.page_info import read_page_info
from results.page.payload.payload import payload, size_of
from results.tables.schema import flatten_config
from search_spaces.spec.load import load_trial
from trainer.config.trial import TrialConfig

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
DRAWN = ("front", "settings", "curves", "devices")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a made-up night of 120 trials."""
    folder = write_synthetic_run(tmp_path_factory.mktemp("runs") / "night", 120, points=20)
    return write_page(read_page_info([folder]))


def data_of(page: Path) -> Any:
    return json.loads(page.read_text().partition('id="data">')[2].partition("</script>")[0])


def ready(found: Opened) -> None:
    found.page.wait_for_selector("html[data-ready=yes]", state="attached")


def drawn(found: Opened) -> dict[str, str]:
    """What each view shows now: its pixels."""
    found.page.wait_for_timeout(100)  # two frames and more
    script = "name => document.querySelector(`[data-view=${name}] canvas`).toDataURL()"
    return {name: found.page.evaluate(script, name) for name in DRAWN}


def pinned(found: Opened) -> str:
    """What the panel of the chosen config says."""
    found.page.wait_for_timeout(100)
    return found.page.locator("#pin").inner_text()


def count(found: Opened) -> int:
    found.page.wait_for_timeout(50)
    return int(found.page.locator("#filter .count").inner_text().split()[0].replace(",", ""))


def drag(found: Opened, view: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of a view's picture to another, both as shares of its width and height."""
    picture = found.page.locator(f"[data-view={view}] .picture")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    mouse = found.page.mouse
    mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    mouse.down()
    mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=4)
    mouse.up()


def only_the_front(found: Opened) -> None:
    found.page.locator("#filter .chip").first.dblclick()


def feasible_only(found: Opened) -> None:
    found.page.get_by_label("feasible only").check()


def words(found: Opened) -> None:
    found.page.get_by_label("filter by words").fill("SELECTIVE completed")


def box_on_the_front(found: Opened) -> None:
    drag(found, "front", (0.1, 0.1), (0.6, 0.85))


def range_of_an_axis(found: Opened) -> None:
    drag(found, "settings", (0.035, 0.05), (0.035, 0.3))  # the first axis: recipe


@pytest.mark.parametrize("select", [only_the_front, feasible_only, words, box_on_the_front, range_of_an_axis])
def test_a_selection_reaches_every_view(browser: Browser, night: Path, select: Callable[[Opened], None]) -> None:
    """Each way to select changes the count, every picture and the rows; Escape brings all back, pixel by pixel."""
    with opened(browser, night) as found:
        ready(found)
        before, rows = drawn(found), found.page.locator("#table [data-view] tbody").inner_text()
        assert count(found) == 120
        select(found)
        found.page.mouse.move(2, 2)
        kept, after = count(found), drawn(found)
        assert 0 < kept < 120
        assert [name for name in DRAWN if before[name] == after[name]] == []
        assert f"of {kept} trials listed" in found.page.locator("#table").inner_text()
        found.page.keyboard.press("Escape")
        assert count(found) == 120 and drawn(found) == before
        assert found.page.locator("#table [data-view] tbody").inner_text() == rows
        assert found.errors == [] and found.violations == []


def test_a_selection_is_exact(browser: Browser, night: Path) -> None:
    """The number of trials on the front, over a limit, and of one recipe is that of the data."""
    states = data_of(night)["trials"]["state"]
    recipe = next(one for one in data_of(night)["settings"]["varying"] if one["key"] == "recipe")
    last = len(recipe["values"]) - 1  # at the top of its axis
    of_recipe = sum(recipe["codes"][config] == last for config in data_of(night)["trials"]["config"])
    with opened(browser, night) as found:
        ready(found)
        only_the_front(found)
        assert count(found) == states.count(0) > 0
        found.page.keyboard.press("Escape")
        feasible_only(found)
        configs = data_of(night)["configs"]["state"]
        within = [configs[one] < 2 for one in data_of(night)["trials"]["config"]]
        assert count(found) == sum(ok and state < 2 for ok, state in zip(within, states, strict=True)) < sum(within)
        found.page.keyboard.press("Escape")
        range_of_an_axis(found)
        assert count(found) == of_recipe > 0
        found.page.get_by_label("drop the range of recipe").click()
        assert count(found) == 120


def test_a_range_of_none(browser: Browser, night: Path) -> None:
    """A brush below an axis keeps the configs that have no such value."""
    settings = data_of(night)["settings"]
    index = next(i for i, one in enumerate(settings["axes"]) if settings["varying"][one]["key"] == "freeze.matrices")
    codes = settings["varying"][settings["axes"][index]]["codes"]
    with opened(browser, night) as found:
        ready(found)
        width = found.page.locator("[data-view=settings] .picture").bounding_box()["width"]  # type: ignore[index]
        x = (34 + index / (len(settings["axes"]) + 1) * (width - 76)) / width
        drag(found, "settings", (x, 0.925), (x, 0.99))
        assert count(found) == sum(codes[config] < 0 for config in data_of(night)["trials"]["config"])


def test_nothing_left_says_so(browser: Browser, night: Path) -> None:
    """A filter that keeps no trial leaves no empty table, and the way back is named."""
    with opened(browser, night) as found:
        ready(found)
        found.page.get_by_label("filter by words").fill("no such word")
        assert count(found) == 0
        assert "Press Esc to clear it" in found.page.locator("#table [data-view] tbody").inner_text()
        found.page.locator("#filter button", has_text="clear").click()
        assert count(found) == 120


def test_rows_sort_and_grow(browser: Browser, night: Path) -> None:
    """Best within the limits first; a click on a head sorts up, then down; 50 rows, then 50 more; also by keyboard."""
    with opened(browser, night) as found:
        ready(found)
        rows = found.page.locator("#table tr.row")
        assert rows.count() == 50
        best = data_of(night)["trials"]
        first = int(rows.first.get_attribute("data-trial") or -1)
        assert best["state"][first] < 2 and best["y"][first] == min(
            y for y, state in zip(best["y"], best["state"], strict=True) if state < 2
        )
        found.page.locator("#table button", has_text="more of").click()
        assert rows.count() == 100
        head = found.page.locator("#table th", has_text="minutes")
        for order, better in (("ascending", min), ("descending", max)):
            head.locator("button").focus()
            found.page.keyboard.press("Enter")
            assert head.get_attribute("aria-sort") == order
            shown = int(rows.first.get_attribute("data-trial") or -1)
            assert best["minutes"][shown] == better(one for one in best["minutes"] if one is not None)


def test_the_chosen_config(browser: Browser, tmp_path: Path) -> None:
    """By keyboard: its score, its control, its seeds, files that exist, commands for a shell, and settings as YAML."""
    rows = [make_trial(seed=seed, ce=3.0 + seed / 100) for seed in (1, 2)]
    rows += [make_trial("selective", seed=seed, ce=2.9 + seed / 100) for seed in (1, 2)]
    folder = write_run(tmp_path / "a run", rows)
    (folder / "trials" / rows[2]["trial_id"]).mkdir(parents=True)
    (folder / "trials" / rows[2]["trial_id"] / "artifact.frost").write_text("")
    page = write_page(read_page_info([folder]))
    with opened(browser, page) as found:
        ready(found)
        found.page.locator("#table tr.row").first.focus()
        found.page.keyboard.press("Enter")
        pin = found.page.locator("#pin")
        pin.wait_for(state="visible")
        text = pin.inner_text()
        assert "selective 6L192d" in text and "2.9150 ± 0.0635" in text
        assert "against baseline 6L192d" in text and "(2 seeds)" in text and "-3.3" in text
        assert "frostline replay 'runs/a run' selective-6-192-s1" in text
        assert "frostline eval 'runs/a run/trials/selective-6-192-s1/artifact.frost'" in text
        [link] = pin.locator("a").all()
        assert link.get_attribute("href") == "../trials/selective-6-192-s1/artifact.frost"
        assert link.evaluate("(one) => one.href").startswith(folder.resolve().as_uri())
        pin.locator("tr.row").nth(1).click()
        text = pinned(found)
        assert "frostline eval" not in text and "selective-6-192-s2" in text
        found.page.keyboard.press("Escape")
        pin.wait_for(state="hidden")
        assert found.errors == []


BIG = 2**62 + 1  # a script's numbers would round it
CONFIGS: tuple[dict[str, Any], ...] = (
    {"recipe": "selective", "seed": BIG, "freeze": {"seed": BIG + 2}},
    {"recipe": "selective", "seed": BIG, "freeze": {"seed": 3}},
    {"recipe": "baseline", "model": {"family": "competition"}, "optimizer": {"learning_rate": 0.012345678901234567}},
    {"recipe": "selective", "freeze": {"matrices": ["fc", "q"]}, "model": {"family": "competition"}},
    {"recipe": "baseline", "model": {"family": "competition", "logit_softcap": None}, "optimizer": {"epsilon": 1e-10}},
    {"recipe": "ensemble", "ensemble": {"members": ["learned", "frozen"]}, "freeze": {"matrices": ["gate"]}},
)


@pytest.mark.parametrize("values", [CONFIGS, CONFIGS[:1]], ids=["that vary", "that all share"])
def test_copied_settings_make_a_trial_file(browser: Browser, tmp_path: Path, values: Sequence[dict[str, Any]]) -> None:
    """`copy config` gives YAML that `frostline train` reads: a trial with the same id, nulls, lists and digits too."""
    configs = [TrialConfig.model_validate({"data": "stdlib", "seed": 7, **one}) for one in values]
    rows = [
        make_trial(
            one.recipe, seed=one.seed, trial_id=one.trial_id, ce=3.0 + i, **flatten_config(one.model_dump(mode="json"))
        )
        for i, one in enumerate(configs)
    ]
    page = write_page(read_page_info([write_run(tmp_path / "run", rows)]))
    texts = []
    with opened(browser, page, permissions=["clipboard-read", "clipboard-write"]) as found:
        ready(found)
        for one in configs:
            found.page.locator("#table tr.row", has_text=one.trial_id).click()
            found.page.locator("#pin button", has_text="copy config").click()
            found.page.locator("#pin button", has_text="copied").wait_for()
            texts.append(found.page.evaluate("() => navigator.clipboard.readText()"))
    for text, config in zip(texts, configs, strict=True):
        path = tmp_path / "trial.yaml"
        path.write_text(text)
        assert load_trial(path) == config


@pytest.mark.parametrize("view", ["front", "curves", "devices"])
def test_the_pointer_tells_what_it_is_on(browser: Browser, night: Path, view: str) -> None:
    """Somewhere over each picture a text appears, and a click there shows a config."""
    with opened(browser, night) as found:
        ready(found)
        picture = found.page.locator(f"[data-view={view}] .picture")
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        assert box is not None
        tooltip = found.page.locator("#tooltip")
        for step in range(400):
            x, y = box["x"] + box["width"] * (0.2 + step % 20 / 33), box["y"] + box["height"] * (0.2 + step // 20 / 33)
            found.page.mouse.move(x, y)
            if tooltip.is_visible():
                break
        assert len(tooltip.inner_text()) > 10
        found.page.mouse.click(x, y)
        found.page.locator("#pin").wait_for(state="visible")
        found.page.mouse.move(2, 2)
        assert not tooltip.is_visible() and found.errors == []


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"status": "stopped_early", "ce": None}, "no rank: a replicate was stopped early"),
        ({"total_bytes": None}, "no rank: a value that a constraint needs is missing"),
    ],
)
def test_a_config_without_a_rank_says_why(browser: Browser, tmp_path: Path, other: dict[str, Any], why: str) -> None:
    """The best score and the fewest bytes, but no rank: no text says that another config is better."""
    unranked = [make_trial(layers=2, ce=2.0), {**make_trial(layers=2, seed=2, ce=2.1), **other}]
    page = write_page(read_page_info([write_run(tmp_path / "run", [*unranked, make_trial(layers=3, ce=3.0)])]))
    with opened(browser, page) as found:
        ready(found)
        row = found.page.locator("#table tr.row", has_text="baseline-2-192-s1")
        assert why in (row.locator("td").first.get_attribute("title") or "")
        row.click()
        text = pinned(found)
        assert why in text and "another config is better" not in text
        feasible_only(found)
        assert count(found) == (1 if "total_bytes" in other else 2)
        assert found.errors == []


def test_why_a_trial_was_stopped(browser: Browser, tmp_path: Path) -> None:
    """Step, forecast, best case and the rival stand in the panel."""
    stop: dict[str, Any] = {"stop_step": 20, "steps_planned": 300, "stop_predicted": 3.5, "stop_best_case": 3.4}
    rival = make_trial(seed=1)
    stopped = make_trial(
        layers=3, ce=None, status="stopped_early", steps=20, **stop, stop_dominated_by=rival["trial_id"]
    )
    curves = [*make_curve(rival), *make_curve({**stopped, "ce": 3.4}, 3)]
    page = write_page(read_page_info([write_run(tmp_path / "run", [rival, stopped], curves)]))
    with opened(browser, page) as found:
        ready(found)
        found.page.locator("#table tr.row").nth(1).click()
        text = pinned(found)
        assert "stopped early at step 20 of 300" in text and "end with 3.5000, at best 3.4000" in text
        assert f"{rival['trial_id']} is better" in text and "frostline retry" in text


@pytest.mark.parametrize(("room", "said"), [(0, "No curves are drawn"), (5_000, "At most 30 curves are drawn")])
def test_a_page_without_curves_says_so(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, said: str
) -> None:
    """Curves that were left out to keep the file small are named where they would be."""
    rows = [make_trial(seed=seed) for seed in range(1, 120)]
    info = read_page_info([write_run(tmp_path / "run", rows, [one for row in rows for one in make_curve(row, 100)])])
    without = size_of({**payload(info), "curves": None})
    monkeypatch.setattr("results.page.payload.payload.MAX_BYTES", without + room)
    with opened(browser, write_page(info)) as found:
        ready(found)
        assert said in found.page.locator("#curves").inner_text() and found.errors == []


def test_time_zooms_and_comes_back(browser: Browser, night: Path) -> None:
    """A drag over the devices shows less time in more room; a button shows all again; nothing is filtered."""
    with opened(browser, night) as found:
        ready(found)
        before = drawn(found)["devices"]
        drag(found, "devices", (0.3, 0.5), (0.5, 0.6))
        found.page.mouse.move(2, 2)
        whole = found.page.locator("[data-view=devices] button", has_text="whole time")
        assert whole.is_visible() and drawn(found)["devices"] != before and count(found) == 120
        whole.click()
        assert drawn(found)["devices"] == before and not whole.is_visible()


def test_hostile_texts_in_every_view(browser: Browser, tmp_path: Path) -> None:
    """A script as a setting's value, in a tooltip, an axis, a row and the panel, is a text."""
    rows = [make_trial(seed=1, sweep=HOSTILE, cfg_freeze_scheme=HOSTILE, ce=3.1, host=HOSTILE), make_trial(layers=3)]
    page = write_page(read_page_info([write_run(tmp_path / "run", rows)]))
    with opened(browser, page) as found:
        ready(found)
        found.page.locator("#table tr.row", has_text="</script>").first.click()
        assert HOSTILE in pinned(found)
        assert found.page.evaluate("() => window.hacked") is None and found.page.locator("img").count() == 0
        assert found.errors == [] and found.violations == [] and found.others(page.resolve().as_uri()) == []


def test_two_runs_in_one_table(browser: Browser, tmp_path: Path) -> None:
    """Each row names its run, and words filter by it."""
    folders = [write_run(tmp_path / name, [make_trial(seed=1, ce=3.0), make_trial(seed=2)]) for name in ("one", "two")]
    page = write_page(read_page_info(folders, tmp_path / "page"))
    with opened(browser, page) as found:
        ready(found)
        found.page.get_by_label("filter by words").fill("runs/two")
        assert count(found) == 2
        found.page.locator("#table tr.row").first.click()
        assert "frostline replay runs/two" in pinned(found)


@pytest.mark.parametrize("rows", [[make_trial()], [make_trial(ce=None, status="failed", artifact_bytes=None)]])
def test_a_run_of_one_trial(browser: Browser, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Completed or failed: no view breaks, on a laptop and on a phone."""
    page = write_page(read_page_info([write_run(tmp_path / "run", rows)]))
    for size in (PHONE, (1280, 800)):
        with opened(browser, page, size) as found:
            ready(found)
            assert found.page.locator("#filter .count").inner_text() == "1 of 1 trial"
            found.page.locator("#table tr.row").click()
            assert pinned(found) and overflow_pixels(found) == 0 and found.errors == []


@pytest.mark.parametrize("scripts", [True, False])
def test_paper_is_light(browser: Browser, night: Path, scripts: bool) -> None:
    """Of a reader in the dark too, with and without a script; pictures fit the paper and are finer than a screen."""
    with opened(browser, night, (718, 1000), color_scheme="dark", with_scripts=scripts) as found:
        if scripts:
            ready(found)
            found.page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
            assert found.page.evaluate("() => document.querySelector('[data-view=curves] canvas').width") == 3 * 690
        found.page.emulate_media(media="print", color_scheme="dark")
        shade = found.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert shade == "rgb(253, 253, 252)"
        assert found.page.locator("#front .chart").is_visible() and overflow_pixels(found) == 0
        if scripts:
            found.page.emulate_media(media="screen", color_scheme="dark")
            found.page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
            assert found.page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
