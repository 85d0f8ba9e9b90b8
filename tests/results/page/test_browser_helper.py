"""The helper that opens pages sees a request, an error and a refused script: else the other tests prove nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import PHONE, executable, missing, opened, overflow_pixels

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[3]
HEAD = "<!doctype html><meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>test</title>"
STRICT = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"


def test_what_a_page_does_is_recorded(browser: Browser, tmp_path: Path) -> None:
    """A picture from the network, a script that the policy refuses, and one that throws."""
    page = tmp_path / "page.html"
    page.write_text(f"{HEAD}<img src='http://192.0.2.1/x.png'><script>throw new Error('broken')</script>")
    with opened(browser, page) as found:
        assert found.others(page.as_uri()) == ["http://192.0.2.1/x.png"]
        assert any("broken" in text for text in found.errors) and found.violations == []
    page.write_text(f"{HEAD}{STRICT}<script>window.hacked = 1</script><p>text")
    with opened(browser, page) as found:
        assert found.violations == ["script-src-elem inline"] and found.errors
        assert found.others(page.as_uri()) == [] and found.page.evaluate("window.hacked") is None


def test_a_page_that_is_too_wide_is_found(browser: Browser, tmp_path: Path) -> None:
    """What is wider than a phone makes its reader scroll sideways."""
    page = tmp_path / "page.html"
    page.write_text(f"{HEAD}<div style='width:500px'>wide</div>")
    with opened(browser, page, PHONE) as found:
        assert overflow_pixels(found) > 100
    with opened(browser, page) as found:
        assert overflow_pixels(found) == 0 and found.errors == []


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Chromium, the reason says what to install."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert executable() is None
    assert (missing() is not None and "install chromium" in str(missing())) or "install playwright" in str(missing())


def test_tests_that_did_not_run_are_counted_aloud(tmp_path: Path) -> None:
    """Without a browser the run says in one line how many tests of the page it left out, and what to install."""
    test = f"{Path(__file__)}::test_a_page_that_is_too_wide_is_found"
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 test of the page did NOT run: browser tests need" in found.stdout
