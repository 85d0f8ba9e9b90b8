"""Curves: did the trials converge, and which were stopped rightly? Drawn by the script."""

from __future__ import annotations

from results.analysis.early_stopping import stopping_summary
from results.page.html import Html, Section, element, escape
from results.page.page_info import PageInfo
from results.page.sections.settings import NEEDS_SCRIPT


def section(page: PageInfo) -> Section | None:
    title = "Did they converge, and who was stopped?"
    if page.tables.curves.empty:
        empty = element("p", "The tables hold no curves: no trial has reported a step yet.", class_="empty")
        return Section(id="curves", title=title, html=empty)
    stopping = stopping_summary(page.rows, page.metric)
    note = None if stopping is None else escape(f"Early stopping: {stopping.text()}.")
    live = Html('<div class="live tall" data-view="curves"></div>')
    return Section(
        id="curves",
        title=title,
        note=note,
        html=NEEDS_SCRIPT + live,
    )
