"""The section `curves`."""

from __future__ import annotations

from results.page.html import Section
from results.page.page_info import PageInfo


def section(page: PageInfo) -> Section | None:
    return None
