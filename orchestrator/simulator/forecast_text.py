"""A forecast in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from orchestrator.progress.display import duration
from orchestrator.simulator.forecast import Forecast, Range

_WIDTH = 100
_NAME_WIDTH = 10
ENDS = {
    "finished": "with nothing left to do",
    "hours": "by budget.hours",
    "until": "by budget.until",
    "usd": "by budget.usd",
    "fault": "with no machine left for what waits",
}


def lines_of(forecast: Forecast) -> list[str]:
    """One line for each question, folded at 100 characters."""
    machines = ", ".join(f"{number} {kind}" for kind, number in forecast.fleet.items())
    head = f"forecast for {machines} ({forecast.num_nights} simulated nights; in brackets, four in five of them):"
    return [head, *(line for name, text in _parts(forecast) for line in _folded(name, text))]


def one_line(forecast: Forecast) -> str:
    """The trials, the time and the money."""
    parts = [f"{_number(forecast.counts['completed'])} trials completed" if "completed" in forecast.counts else ""]
    parts += [f"in {_time(forecast.seconds)}", f"for {_usd(forecast.usd)}" if forecast.usd else ""]
    return "forecast: " + " ".join(part for part in parts if part)


def _parts(forecast: Forecast) -> Iterator[tuple[str, str]]:
    counts = [f"{_number(found)} {status.replace('_', ' ')}" for status, found in forecast.counts.items() if found.high]
    yield "trials", ", ".join(counts) or "none ends"
    first = forecast.first_result_seconds
    yield "time", _time(forecast.seconds) + (f"; first result after {_time(first)}" if first else "")
    yield "money", _usd(forecast.usd) if forecast.usd else "unknown: a machine has no price (`prices` in the file)"
    yield "busy", ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in forecast.busy.items())
    ends = ", ".join(f"{100 * share:.0f} % {ENDS[end]}" for end, share in forecast.ends.items())
    cut = f"; the budget cuts {_number(forecast.num_left)} trials" if forecast.num_left.high else ""
    yield "ends", ends + cut
    if forecast.refused_share:
        yield "not run", f"{100 * forecast.refused_share:.0f} % of the configs cannot keep the limits in bytes"
    for line in forecast.cannot_run:
        yield "not run", line
    for line in forecast.basis:
        yield "basis", line


def _folded(name: str, text: str) -> list[str]:
    indent = " " * (2 + _NAME_WIDTH)
    return textwrap.wrap(f"  {name:<{_NAME_WIDTH}}{text}", _WIDTH, subsequent_indent=indent)


def _number(found: Range) -> str:
    if found.low == found.high:
        return f"{found.middle:,.0f}"
    return f"{found.middle:,.0f} ({found.low:,.0f} to {found.high:,.0f})"


def _time(found: Range) -> str:
    return f"{duration(found.middle)} ({duration(found.low)} to {duration(found.high)})"


def _usd(found: Range) -> str:
    return f"{found.middle:,.2f} USD ({found.low:,.2f} to {found.high:,.2f})"
