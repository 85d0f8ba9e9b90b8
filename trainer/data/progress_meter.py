"""Progress of long work on stderr: a progress bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]

SECONDS_BEFORE_FIRST_LINE = 2.0
SECONDS_BETWEEN_LINES = 10.0


def human_bytes(num_bytes: float) -> str:
    """Decimal units, as disks and the competition's budget count: 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(num_bytes) < 1000:
            return f"{num_bytes:.0f} B" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"


class LineMeter:
    """Progress in plain lines: none for short work, then one every ten seconds and one at the end."""

    def __init__(self, label: str, total_bytes: int, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._label, self._total, self._say, self._clock = label, total_bytes, say, clock
        self._done = 0
        self._start = clock()
        self._next_line = self._start + SECONDS_BEFORE_FIRST_LINE

    def advance(self, num_bytes: int) -> None:
        self._done += num_bytes
        now = self._clock()
        if now >= self._next_line:
            self._next_line = now + SECONDS_BETWEEN_LINES
            left = (now - self._start) * max(self._total - self._done, 0) / max(self._done, 1)
            share = f"{min(self._done / max(self._total, 1), 1):.0%} of {human_bytes(self._total)}"
            self._say(f"{self._label}: {share}, about {left:.0f} s left")

    def close(self) -> None:
        seconds = self._clock() - self._start
        if seconds >= SECONDS_BEFORE_FIRST_LINE:
            self._say(f"{self._label}: done, {human_bytes(self._done)} in {seconds:.1f} s")


@contextmanager
def meter(label: str, total_bytes: int) -> Iterator[Advance]:
    """Yield a function that takes the number of bytes done since its last call.

    Example:
        >>> with meter("reading", 2_000) as advance:
        ...     advance(1_000)
    """
    if total_bytes and sys.stderr.isatty():
        with _bar(label, total_bytes) as advance:
            yield advance
        return
    lines = LineMeter(label, total_bytes, lambda line: print(line, file=sys.stderr, flush=True), time.monotonic)
    yield lines.advance
    lines.close()


@contextmanager
def _bar(label: str, total_bytes: int) -> Iterator[Advance]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=total_bytes)
        yield lambda num_bytes: bars.advance(task, num_bytes)
