"""The table of trials. Without a script: the configs on the front."""

from __future__ import annotations

from results.page.html import Html, Section, element, joined, table
from results.page.page_info import PageInfo
from results.page.sections.front import mark
from results.page.states import FRONT
from results.report import formatting

_MAX_ROWS = 100


def section(page: PageInfo) -> Section | None:
    front = page.info.front
    rows = ((mark(FRONT), *formatting.group_cells(group)[1:]) for group in front[:_MAX_ROWS])
    headers = ("", *formatting.HEADERS[1:])
    static = table(headers, rows, text_columns=(0, 1), caption="Configs on the front, best first") if front else ""
    empty = "" if front else element("p", "No config is on the front.", class_="empty")
    live = Html('<div class="live" data-view="table"></div>')
    return Section(id="table", title="The rows", html=joined([element("div", static, empty, class_="static"), live]))
