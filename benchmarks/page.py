"""How large and how quick the page of a report is, in a real Chromium, on made-up runs of any size.

    python benchmarks/page.py                                      # 10, 300 and 10,000 trials
    python benchmarks/page.py --trials 10000 --repeats 5
    python benchmarks/page.py --trials 300 --screenshots build/page
    python benchmarks/page.py --page runs/quickstart/report/index.html --pictures docs

Prints a Markdown table: medians over fresh profiles, opened from the disk. "Quiet": the end of the last task of over
50 ms after the page was asked for. "A selection": how long the main thread works when a box is drawn on the front.
The heap is measured after a collection of garbage, and holds no canvas.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthetic_run import write_synthetic_run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from browser import LAPTOP, PHONE, Opened, chromium, missing, opened

from results.page.build import write_page
from results.page.page_info import read_page_info

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession

HEADERS = (
    *("trials", "page, MB", "gzipped, MB", "read tables, s", "build, s"),
    *("first paint, s", "quiet, s", "a selection, s", "heap, MB"),
)
QUIET_SECONDS = 1.0  # without a long task, before the page counts as quiet
MOST_SECONDS = 120.0
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.longTasks.push(one.startTime + one.duration);
}).observe({type: "longtask", buffered: true});
"""
SHOTS: Mapping[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "light": (LAPTOP, {}),
    "dark": (LAPTOP, {"color_scheme": "dark"}),
    "phone": (PHONE, {}),
    "print": ((720, 1020), {}),  # the text area of A4
    "no_script": (LAPTOP, {"with_scripts": False}),
}
PICTURE_SIZE = (1180, 1500)  # of those in docs/


def build(folder: Path) -> tuple[Path, float, float]:
    """The page of a run, and the seconds of reading its tables and of making it."""
    start = time.perf_counter()
    page = read_page_info([folder], folder / "report")
    middle = time.perf_counter()
    path = write_page(page)
    return path, middle - start, time.perf_counter() - middle


def is_ready(found: Opened) -> None:
    found.page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=1_000 * MOST_SECONDS)


def until_quiet(found: Opened) -> float:
    """Seconds from the request to the end of the last long task, or to the first paint where there is none."""
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        now, last = found.page.evaluate("[performance.now(), Math.max(0, ...window.longTasks)]")
        if now - last > 1_000 * QUIET_SECONDS:
            return float(last or first_paint(found) * 1_000) / 1_000
        found.page.wait_for_timeout(100)
    raise SystemExit(f"the page was not quiet after {MOST_SECONDS:.0f} s")


def first_paint(found: Opened) -> float:
    """Seconds from the request to the first text or picture."""
    code = "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0] || 0"
    return float(found.page.evaluate(code)) / 1_000


def metrics(client: CDPSession) -> dict[str, float]:
    """What the browser measures of the page: TaskDuration in seconds, JSHeapUsedSize in bytes, and more."""
    client.send("HeapProfiler.collectGarbage")
    return {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}


def selection_seconds(found: Opened, client: CDPSession) -> float:
    """Work of the main thread while a box is drawn over half of the front, and until all views have followed."""
    place = found.page.locator("[data-view=front] canvas").first
    if not place.count():
        return 0.0
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    before, mouse = metrics(client)["TaskDuration"], found.page.mouse
    mouse.move(box["x"] + 80, box["y"] + 50)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 60, steps=8)
    mouse.up()
    found.page.wait_for_timeout(1_500)
    return metrics(client)["TaskDuration"] - before


def measure(browser: Browser, page: Path) -> tuple[float, float, float, float]:
    """First paint, quiet, a selection (seconds), and the heap (MB), in a fresh profile."""
    with opened(browser, page, init_script=WATCH) as found:
        is_ready(found)
        quiet, painted = until_quiet(found), first_paint(found)
        client = found.page.context.new_cdp_session(found.page)
        client.send("Performance.enable")
        heap = metrics(client)["JSHeapUsedSize"] / 1e6
        return painted, quiet, selection_seconds(found, client), heap


def table(browser: Browser, sizes: Sequence[int], repeats: int, folder: Path) -> list[str]:
    """Lines of Markdown; every page stays in `folder` for the screenshots."""
    lines = [f"| {' | '.join(HEADERS)} |", f"|{' --- |' * len(HEADERS)}"]
    for size in sizes:
        print(f"{size:,} trials …", file=sys.stderr, flush=True)
        path, read, made = build(write_synthetic_run(folder / f"run{size}", size))
        content = path.read_bytes()
        loads = [measure(browser, path) for _ in range(repeats)]
        painted, quiet, selected, heap = (statistics.median(column) for column in zip(*loads, strict=True))
        sizes_mb = f"{len(content) / 1e6:.2f} | {len(gzip.compress(content, mtime=0)) / 1e6:.2f}"
        seconds = f"{read:.2f} | {made:.2f} | {painted:.2f} | {quiet:.2f} | {selected:.2f}"
        lines.append(f"| {size:,} | {sizes_mb} | {seconds} | {heap:.1f} |")
    return lines


def screenshots(browser: Browser, page: Path, folder: Path) -> None:
    """The whole page as PNG: light, dark, on a phone, as printed, and without JavaScript."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (size, options) in SHOTS.items():
        with opened(browser, page, size, **options) as found:
            if options.get("with_scripts", True):
                is_ready(found)
            if name == "print":
                found.page.pdf(path=folder / "print.pdf", format="A4", print_background=True)
                found.page.emulate_media(media="print")
                found.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
            found.page.screenshot(path=folder / f"{name}.png", full_page=True)


def pictures(browser: Browser, page: Path, folder: Path) -> None:
    """The upper part of the page for docs/, small: `page_light.png` and `page_dark.png`."""
    for scheme in ("light", "dark"):
        with opened(browser, page, PICTURE_SIZE, color_scheme=scheme) as found:
            is_ready(found)
            path = folder / f"page_{scheme}.png"
            found.page.screenshot(path=path)
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 300, 10_000])
    parser.add_argument("--repeats", type=int, default=3, help="loads of each page")
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="also write pictures of the last page")
    parser.add_argument("--page", type=Path, help="an index.html that is there already: nothing is measured")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write page_light.png and page_dark.png of --page")
    given = parser.parse_args()
    if why := missing():
        raise SystemExit(why)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        page = given.page
        if page is None:
            print("\n".join(table(browser, given.trials, given.repeats, Path(folder))))
            page = Path(folder) / f"run{given.trials[-1]}" / "report" / "index.html"
        if given.screenshots:
            screenshots(browser, page, given.screenshots)
        if given.pictures:
            pictures(browser, page, given.pictures)


if __name__ == "__main__":
    main()
