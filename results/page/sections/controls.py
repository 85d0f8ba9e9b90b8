"""The section `controls`: what does each recipe gain or lose against equal learned models?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from results.analysis.control_comparison import UNLIKE_CONTROL, StudyRow, StudyTable, study_table
from results.analysis.published_figures import FIGURES, load_published, scale_of
from results.analysis.statistics import Estimate
from results.page import svg
from results.page.html import Html, Section, element, joined
from results.page.marks import recipe_class, recipe_mark
from results.page.page_info import PageInfo
from results.page.texts import blocks_of, items, number_of
from results.report.conclusions import conclusions

MOST = 40
WIDTH, ROW, TOP, BOTTOM = 900.0, 32.0, 26.0, 60.0
_LETTER, _SMALL_LETTER, _LEFT_MOST, _RIGHT, _SEEDS = 6.6, 5.6, 400.0, 170.0, 125.0


def section(page: PageInfo) -> Section | None:
    """A forest plot of each run, the best first, and in words what is beyond the noise between seeds."""
    parts: list[Html] = []
    figures = load_published(FIGURES)
    info = page.info if len(page.parts) == 1 else None  # of all runs together: of one alone it is not known yet
    for name, folder, part in zip(page.run_names, page.folders, page.parts, strict=True):
        rows = compared(study_table(part, figures, scale_of(folder), info))
        if rows:
            heading = [element("h3", name)] if len(page.parts) > 1 else []
            parts += [*heading, *_of_run(rows)]
    parts += _words(page)
    return Section(id="controls", title="Against learned controls", html=joined(parts)) if parts else None


def compared(found: StudyTable) -> list[StudyRow]:
    """The configs with a difference from a control, the best first."""
    return sorted((row for row in found.rows if _estimates(row)), key=_best)


def _estimates(row: StudyRow) -> Sequence[Estimate]:
    return [found for found in (_same_shape(row), row.same_bytes and row.same_bytes.ce_pct) if found]


def _same_shape(row: StudyRow) -> Estimate | None:
    """The difference from the control; one of another shape is none, whatever the study did."""
    return None if UNLIKE_CONTROL in row.marks else row.ce_pct


def _best(row: StudyRow) -> tuple[float, str]:
    return min(found.mean for found in _estimates(row)), row.label


def _of_run(rows: Sequence[StudyRow]) -> Iterator[Html]:
    shown = rows[:MOST]
    if len(rows) > MOST:
        cut = f"The {MOST} with the best difference; {number_of(len(rows) - MOST, 'more config')} are in the table."
        yield element("p", cut, class_="note")
    yield element("div", forest(shown), class_="scroll wide")
    kinds = sorted({kind for row in shown for kind in row.accelerators})
    where = f" All on {kinds[0]}." if len(kinds) == 1 else ""
    yield element(
        "p",
        "Difference of cross-entropy in %, paired by seed and accelerator, with its 95 % interval; left of zero is "
        "better. Filled: against the learned model that is equal in all but the recipe, which was not tuned itself. "
        f"Hollow: against the learned model with about as many bytes, named with its bytes over the config's.{where}",
        class_="note",
    )


def forest(rows: Sequence[StudyRow]) -> Html:
    """A line for each config: name, both differences with intervals, seeds, and devices where they differ."""
    several = len({kind for row in rows for kind in row.accelerators}) > 1
    left = min(_LEFT_MOST, 12.0 + _LETTER * max(len(row.label) for row in rows))
    bottom = TOP + ROW * len(rows)
    x = _scale(rows, left)
    marks = sorted({(row.recipe or "?") for row in rows})
    return svg.chart(
        WIDTH,
        bottom + BOTTOM + 8.0,
        f"Differences of {number_of(len(rows), 'config')} from learned controls",
        svg.x_axis(
            x,
            bottom,
            "cross-entropy against the control (%)",
            top=TOP,
            write=lambda value: f"{value:+g}" if value else "0",
        ),
        svg.line((x(0.0), TOP - 6.0), (x(0.0), bottom), "zero"),
        svg.text(x(0.0) - 8.0, TOP - 12.0, "← better", "label", "end"),
        *(_row(row, TOP + ROW * (i + 0.5), x, left, several) for i, row in enumerate(rows)),
        _legend(marks, bottom + BOTTOM),
    )


def _scale(rows: Iterable[StudyRow], left: float) -> svg.Scale:
    """Around zero and all differences; an interval of two seeds may be far wider than all else, and is cut."""
    found = [one for row in rows for one in _estimates(row)]
    means = [0.0, *(one.mean for one in found)]
    reach = [0.0, *(one.mean + sign * (one.half_width or 0.0) for one in found for sign in (-1, 1))]
    room = 1.5 * max(max(means) - min(means), 0.5)
    low, high = max(min(reach), min(means) - room), min(max(reach), max(means) + room)
    pad = 0.03 * (high - low)
    return svg.Scale(low - pad, high + pad, left + 10.0, WIDTH - _RIGHT)


def _row(row: StudyRow, y: float, x: svg.Scale, left: float, several: bool) -> Html:
    label = row.label if len(row.label) * _LETTER <= left else row.label[: int(left / _LETTER) - 1] + "…"
    seeds = number_of(row.ce.num, "seed") + (f", {'+'.join(row.accelerators)}" if several else "")
    parts = [
        element("text", element("title", row.label), label, x=svg.pixel(left), y=svg.pixel(y + 4), text_anchor="end"),
        svg.text(WIDTH - 6.0, y + 4.0, seeds, "tick", "end"),
    ]
    same_bytes = row.same_bytes
    for found, fill, shift in ((_same_shape(row), "filled", -5.0), (same_bytes and same_bytes.ce_pct, "hollow", 6.0)):
        if found:
            parts.append(_difference(row, found, (x, y + shift), fill))
    if same_bytes and same_bytes.ce_pct:
        parts.append(_name(same_bytes.name, same_bytes.ce_pct, (x, y + 10.0)))
    return svg.group("row", *parts)


def _name(name: str, found: Estimate, place: tuple[svg.Scale, float]) -> Html:
    """Beside the interval: on its right, or on its left where there is no room."""
    x, y = place
    half = found.half_width or 0.0
    right = x(min(found.mean + half, x.high)) + 8.0
    if right + _SMALL_LETTER * len(name) <= WIDTH - _SEEDS:
        return svg.text(right, y, name, "small")
    return svg.text(x(max(found.mean - half, x.low)) - 8.0, y, name, "small", "end")


def _difference(row: StudyRow, found: Estimate, place: tuple[svg.Scale, float], fill: str) -> Html:
    x, y = place
    colour = recipe_class(row.recipe)
    half = found.half_width
    text = f"{found.mean:+.2f} %" + ("" if half is None else f" ± {half:.2f}") + f", {number_of(found.num, 'pair')}"
    parts = []
    if half is not None:
        low, high = x(max(found.mean - half, x.low)), x(min(found.mean + half, x.high))
        parts.append(svg.line((low, y), (high, y), f"stroke {colour}"))
        ends = [(low, found.mean - half >= x.low), (high, found.mean + half <= x.high)]
        parts += [svg.line((end, y - 3), (end, y + 3), f"stroke {colour}") for end, is_whole in ends if is_whole]
    parts.append(recipe_mark((x(found.mean), y), row.recipe, f"{fill} {colour}", 4.5, text))
    return joined(parts)


def _legend(recipes: Sequence[str], y: float) -> Html:
    parts, x = [], 14.0
    for recipe in recipes:
        parts += [recipe_mark((x, y), recipe, f"filled {recipe_class(recipe)}", 4.5), svg.text(x + 10, y + 4, recipe)]
        x += 34.0 + _LETTER * len(recipe)
    return svg.group("legend", *parts)


def _words(page: PageInfo) -> Iterator[Html]:
    """What was confirmed, what was found, and what is still noise."""
    for heading, lines in blocks_of(conclusions(page.info)):
        yield element("p", heading)
        yield items(lines)
