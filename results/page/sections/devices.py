"""Devices: where did they stand idle, and what was lost? Drawn by the script, with a table that needs none."""

from __future__ import annotations

import pandas as pd

from results.page.html import Html, Section, element, joined, table
from results.page.page_info import PageInfo
from results.page.sections.settings import NEEDS_SCRIPT

_MAX_NODES = 40


def section(page: PageInfo) -> Section | None:
    title = "Where did the devices stand idle?"
    if page.tables.attempts.empty:
        empty = element(
            "p",
            "The tables of this run do not say which device a trial held when: an older frostline wrote them, "
            "or no trial was on a device yet.",
            class_="empty",
        )
        return Section(id="devices", title=title, html=empty)
    hint = "A bar is a trial on a device. Drag to zoom, double-click to see all. Times are UTC."
    note = element("span", hint, class_="live note")
    live = Html('<div class="live" data-view="devices"></div>')
    return Section(id="devices", title=title, note=note, html=joined([NEEDS_SCRIPT, live, _nodes(page.tables.nodes)]))


def _nodes(nodes: pd.DataFrame) -> Html:
    """What each machine's hours went into; those that cost most idle first."""
    if nodes.empty:
        return Html("")
    ordered = nodes.sort_values(["idle_seconds", "node"], ascending=[False, True], kind="stable")
    rows = [
        (
            f"{one['host']} ({str(one['node'])[:8]})",
            one["accelerator"],
            *(_hours(one[name]) for name in ("up_seconds", "busy_seconds", "lost_seconds", "idle_seconds")),
            "–" if not one["up_seconds"] > 0 else f"{100 * one['busy_seconds'] / one['up_seconds']:.0f} %",
            "–" if pd.isna(one["usd_idle"]) else f"{one['usd_idle']:,.2f}",
        )
        for _, one in ordered.head(_MAX_NODES).iterrows()
    ]
    headers = ("machine", "device", "hours up", "busy", "lost", "idle", "busy share", "USD idle")
    more = len(nodes) - _MAX_NODES
    tail = element("p", f"{more} more machines are in the tables.", class_="note") if more > 0 else ""
    return joined([table(headers, rows, text_columns=(0, 1)), tail])


def _hours(seconds: float) -> str:
    return "–" if pd.isna(seconds) else f"{seconds / 3600:.2f}"
