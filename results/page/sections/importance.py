"""The section `importance`: which settings mattered, and what should I vary next?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from results.analysis.importance import Importance, importances
from results.page.bars import Bar, bars_chart
from results.page.html import Html, Section, element, joined
from results.page.page_info import PageInfo
from results.page.texts import items, number_of

MOST = 10
_QUESTIONS = {
    "ce at equal bytes": (
        "For cross-entropy at equal bytes",
        "How much cross-entropy typically changes when the setting is drawn anew while bytes and all else stay.",
    ),
    "reaching the front": (
        "For reaching the front",
        "Share of what tells configs near the front from the others.",
    ),
}


def section(page: PageInfo) -> Section | None:
    """Bars with intervals for both targets; what cannot be told is said instead. None where nothing has a score."""
    if not page.info.groups:
        return None
    found = importances(page.tables, page.info)
    parts = [joined(_of_target(list(rows))) for _, rows in groupby(found, key=lambda one: one.target)]
    notes = list(dict.fromkeys(note for one in found for note in one.notes))
    html = joined([element("div", *(element("div", part) for part in parts), class_="pair"), items(notes, "notes")])
    return Section(id="importance", title="Which settings mattered?", html=html) if parts else None


def _of_target(rows: Sequence[Importance]) -> Iterator[Html]:
    first = rows[0]
    heading, meaning = _QUESTIONS.get(first.target, (first.target, ""))
    yield element("h3", heading)
    if first.reason is not None:
        yield element("p", f"Too little to tell: {first.reason}", class_="empty")
        return
    effects = [one for one in rows if one.effect is not None]
    yield element("p", f"{meaning} Lines are 95 % intervals; grey: may be chance.", class_="note")
    yield bars_chart([_bar(one) for one in effects[:MOST]], f"Importance of settings: {heading}")
    if (more := len(effects) - MOST) > 0:
        yield element("p", f"{number_of(more, 'more setting')} with a smaller effect.", class_="note")


def _bar(one: Importance) -> Bar:
    value = one.effect or 0.0
    is_share = one.unit == "share"
    shown = f"{100 * value:.0f} %" if is_share else f"{value:.4f} nats"
    return Bar(
        name=f"{one.setting} ({number_of(one.num_configs, 'config')})",
        value=value,
        shown=shown,
        class_="plain" if one.low is None or one.low > 0 else "chance",
        low=one.low,
        high=one.high,
    )
