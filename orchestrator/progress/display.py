"""The progress display of a sweep: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.progress.running_trial import Running
from orchestrator.progress.sweep_status import OUTCOMES, SweepStatus

SECONDS_BETWEEN_FRAMES = 0.5
SECONDS_BETWEEN_LINES = 10.0
MAX_RUNNING_ROWS = 16


class Display:
    """Shows a `SweepStatus`; `tick` may be called at any rate."""

    def __init__(self, status: SweepStatus, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.status, self.console, self.clock = status, console, clock
        self._live: Live | None = None
        self._last_frame = -math.inf
        self._last_line = -math.inf
        self._num_printed = 0

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Print what is still to be said, and give the terminal back."""
        self._print_finished()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, line: str) -> None:
        """One plain line, above the live table."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def tick(self) -> None:
        """Draw, if it is time."""
        now = self.clock()
        self._print_finished()
        if self._live is not None and now - self._last_frame >= SECONDS_BETWEEN_FRAMES:
            self._last_frame = now
            self._live.update(render(self.status, now), refresh=True)
        elif self._live is None and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.note(headline(self.status, now))

    def _print_finished(self) -> None:
        for line in self.status.finished_lines[self._num_printed :]:
            self.note(line)
        self._num_printed = len(self.status.finished_lines)


def headline(status: SweepStatus, now_seconds: float) -> str:
    """One line: counts, the best so far, the time gone and the time left."""
    counts = [f"{status.num_finished}/{status.num_trials} done"]
    counts += [f"{status.counts[name]} {name}" for name in OUTCOMES[1:] if status.counts[name]]
    counts += [f"{len(status.running)} running", f"{status.num_waiting} waiting"]
    if status.num_deaths:
        counts.append(f"{status.num_deaths} sent out again after a worker died")
    parts = [", ".join(counts)]
    for best in status.bests.values():
        where = f" on {best.accelerator}" if best.accelerator else ""
        parts.append(f"best {status.objective[0]}{where} {best.value:.4f} ({best.trial_id})")
    if status.front is not None and status.front.is_shown and status.front.points:
        parts.append(status.front.short_text())
    parts += status.details
    if status.suspects:
        parts.append(f"{len(status.suspects)} suspect node{'' if len(status.suspects) == 1 else 's'}")
    parts.append(f"{duration(now_seconds - status.started_seconds)} gone")
    remaining = status.remaining_seconds()
    parts.append(
        f"stopping ({status.stop_reason}): running trials checkpoint"
        if status.is_stopping
        else f"about {duration(remaining)} left"
    )
    return " · ".join(parts)


def duration(seconds: float | None) -> str:
    """Seconds as text: 48 s, 3 min 20 s, 7 h 05 min; a question mark for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def render(status: SweepStatus, now_seconds: float) -> Group:
    """The live table: the running trials, and the headline below them."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("running", no_wrap=True)
    table.add_column("on", no_wrap=True)
    table.add_column("", width=16)
    for name in ("step", "ce", "tokens/s"):
        table.add_column(name, justify="right", no_wrap=True)
    running = list(status.running.values())
    for trial in running[:MAX_RUNNING_ROWS]:
        table.add_row(*_cells(trial))
    lines: list[Table | Text] = [table] if running else []
    if len(running) > MAX_RUNNING_ROWS:
        lines.append(Text(f"… and {len(running) - MAX_RUNNING_ROWS} more", style="dim"))
    return Group(*lines, Text(headline(status, now_seconds), style="bold"))


def _cells(trial: Running) -> tuple[str | ProgressBar, ...]:
    bar = ProgressBar(total=max(1, trial.total_steps), completed=trial.step, width=16)
    ce = "" if math.isnan(trial.ce) else f"{trial.ce:.3f}"
    step = f"{trial.step}/{trial.total_steps}" if trial.stage == "train" and trial.total_steps else trial.stage
    return trial.trial_id, trial.accelerator, bar, step, ce, f"{trial.tokens_per_s:,.0f}" if trial.tokens_per_s else ""
