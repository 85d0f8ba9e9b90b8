"""A real browser for tests of pages: Chromium without a network, and what went wrong in it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Debian's and Google's names of it; the one that playwright would download needs the network.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PHONE = (390, 844)  # CSS pixels
LAPTOP = (1280, 800)
# What the page's own policy refused: the browser tells it by an event alone.
_TELL_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""


def missing() -> str | None:
    """What to install before browser tests can run; None if all is there."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "browser tests need playwright: pip install playwright"
    if executable() is None:
        return "browser tests need Chromium: apt-get install chromium, or put chromium or google-chrome on the PATH"
    return None


def executable() -> str | None:
    """The browser on the PATH."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """A running browser. Inside, no other event loop can run in this thread: keep it short."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=[*ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()


@dataclasses.dataclass
class Opened:
    """A page that was opened, and what it did that it should not have.

    `requests`: every address that was asked for, the page's own too. `errors`: errors and warnings on the console, and
    exceptions that nobody caught.
    """

    page: Page
    requests: list[str] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """What the content security policy of the page refused."""
        found: list[str] = self.page.evaluate("() => window.violations || []")
        return found

    def others(self, own: str) -> list[str]:
        """Requests beyond the page itself."""
        return [one for one in self.requests if one.partition("#")[0] != own]


@contextmanager
def opened(
    browser: Browser,
    path: Path,
    size: tuple[int, int] = LAPTOP,
    *,
    with_scripts: bool = True,
    init_script: str = "",
    **context: Any,
) -> Iterator[Opened]:
    """Open a file in a fresh profile.

    Args:
        size: of the window, in CSS pixels.
        with_scripts: whether JavaScript is on.
        init_script: run before any script of the page.
        context: further options of playwright's `new_context`, such as `color_scheme="dark"`.
    """
    width, height = size
    viewport = {"width": width, "height": height}
    profile = browser.new_context(viewport=viewport, java_script_enabled=with_scripts, offline=True, **context)
    try:
        page = profile.new_page()
        found = Opened(page)
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda said: found.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        if with_scripts:
            page.add_init_script(_TELL_VIOLATIONS + init_script)
        page.goto(path.resolve().as_uri(), wait_until="load")
        yield found
    finally:
        profile.close()


def overflow_pixels(opened_page: Opened) -> int:
    """How much wider the page is than its window: more than 0 makes a reader scroll sideways."""
    found: int = opened_page.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(0, found)
