"""Short texts, bars and marks that the static sections share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from results.page.bars import WIDTH, Bar, bars_chart
from results.page.marks import RECIPES, mark, recipe_class, recipe_mark
from results.page.texts import blocks_of, hours_text, items, number_of, sentence, share_text, unit_of, usd_text
from results.plots import style


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (0.07, "0.1 s"), (9.94, "9.9 s"), (44.4, "44 s"), (119, "119 s")),
        *((120, "2 min"), (7_199, "120 min"), (7_200, "2.0 h"), (28_440, "7.9 h"), (3_600_000, "1,000.0 h")),
    ],
)
def test_times_have_the_unit_of_a_reader(seconds: float, text: str) -> None:
    """Hours from two on, minutes from two on, else seconds."""
    assert hours_text(seconds) == text
    assert unit_of(seconds)[0] in text


def test_sums_and_shares() -> None:
    """Cents always, small shares with a digit, nothing of nothing."""
    assert (usd_text(31.871), usd_text(1_234.5), usd_text(0.0), usd_text(None)) == (
        "31.87 USD",
        "1,234.50 USD",
        "0.00 USD",
        "–",
    )
    assert [share_text(part, 200) for part in (0, 1, 19.9, 20, 200)] == ["0 %", "0.5 %", "9.9 %", "10 %", "100 %"]
    assert share_text(0, 0) == "–"
    assert number_of(1, "trial") == "1 trial" and number_of(2_000, "trial") == "2,000 trials"
    assert number_of(2, "keeps", "keep") == "2 keep"
    assert (sentence("all is well"), sentence("Done."), sentence("")) == ("All is well.", "Done.", "")


def test_lists_escape_their_lines() -> None:
    """Texts become texts; no lines, no list."""
    assert items(["<b>", "x"]) == "<ul><li>&lt;b&gt;</li><li>x</li></ul>" and items([]) == ""
    assert blocks_of(["A:", "  one", "  two", "B", "  three"]) == [("A:", ["one", "two"]), ("B", ["three"])]
    assert blocks_of([]) == []


def test_bars_share_one_scale() -> None:
    """Half the value is half the length; an interval may reach further than its bar, and below zero it is cut."""
    bars = [
        Bar(name="<a>", value=10.0, shown="ten"),
        Bar(name="b", value=5.0, shown="five", low=-3.0, high=20.0),
        Bar(name="c", value=0.0, shown="none"),
    ]
    picture = bars_chart(bars, "title")
    widths = [float(one) for one in re.findall(r'width="([\d.]+)" height="[\d.]+" class="bar plain"', picture)]
    assert widths == [pytest.approx((WIDTH - 8) / 2), pytest.approx((WIDTH - 8) / 4), 0]
    assert "&lt;a&gt;" in picture and picture.count('class="interval"') == 3 and 'x1="4"' in picture
    assert "<svg" in bars_chart([], "nothing") and "<svg" in bars_chart([Bar(name="z", value=0.0, shown="0")], "zero")


def test_a_recipe_looks_alike_in_page_and_pictures() -> None:
    """The order of recipes, and so of colours and shapes, is that of the plots; an unknown one looks like the last."""
    assert style.RECIPES == RECIPES
    css = (Path(style.__file__).parents[1] / "page" / "static.css").read_text()
    assert all(f".{recipe_class(name)}" in css for name in RECIPES)
    assert recipe_class("new") == recipe_class(None) == recipe_class(RECIPES[-1])


def test_nine_shapes_differ() -> None:
    """Readers who see no colour tell recipes apart; every mark is around its place."""
    at = (50.0, 50.0)
    marks = [str(mark(at, shape, "m", 5.0)) for shape in range(9)]
    assert len(set(marks)) == 9 and mark(at, 9, "m") == mark(at, 0, "m")
    for one in marks[1:]:
        numbers = [float(number) for number in re.findall(r"[\d.]+", one.partition('d="')[2].partition('"')[0])]
        assert 43 <= min(numbers) < 50 < max(numbers) <= 57
    assert "<title>a&amp;b</title>" in recipe_mark((0, 0), "distill", "m", title="a&b")


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, of `#rrggbb`."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("scheme", "ground"), [(0, "#fdfdfc"), (1, "#14171a")])
def test_bars_and_marks_have_contrast(scheme: int, ground: str) -> None:
    """3:1 against the background, light and dark (WCAG 2.2, 1.4.11)."""
    css = (Path(style.__file__).parents[1] / "page" / "static.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w{6})", css.split("@media", 2)[scheme]))
    assert len(colours) == 12
    for name, colour in colours.items():
        high, low = sorted((luminance(ground), luminance(colour)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3, name
