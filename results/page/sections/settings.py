"""Settings: which do the good configs share? Parallel coordinates, drawn by the script."""

from __future__ import annotations

from results.page.html import Html, Section, element
from results.page.page_info import PageInfo
from results.page.payload.settings import varying_settings

NEEDS_SCRIPT = element("p", "This picture is drawn by a script, which is off or was removed.", class_="static empty")


def section(page: PageInfo) -> Section | None:
    title = "Which settings do the good ones share?"
    if not varying_settings(page.configs.all, frozenset()):
        empty = element("p", "All configs have the same settings: there is nothing to compare.", class_="empty")
        return Section(id="settings", title=title, html=empty)
    note = element(
        "span",
        "A line is a config. Drag along an axis to keep a range, click an axis to clear it. "
        "“none”: the config has no such value.",
        class_="live note",
    )
    live = Html('<div class="live tall" data-view="settings"></div>')
    return Section(
        id="settings",
        title=title,
        note=note,
        html=NEEDS_SCRIPT + live,
    )
