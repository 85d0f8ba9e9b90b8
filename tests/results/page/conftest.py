"""The browser of the page's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import chromium, missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser


# of one module and no longer: while it runs, no other test in this process could have an event loop of its own
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium; the tests that need it are skipped where there is none, and say what to install."""
    if why := missing():
        pytest.skip(why)
    with chromium() as found:
        yield found
