"""The section of a report that sets what was forecast beside what came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from results.analysis.night.forecasts import LATE, Expected, read_forecasts
from results.report.markdown import markdown_table

HEADERS = ("", "expected", "four in five nights", "came", "")


def forecast_section(folder: Path) -> Iterator[str]:
    """One table for each call of `frostline run` that began with a forecast; nothing without `forecasts.jsonl`."""
    calls = read_forecasts(folder)
    if not calls:
        return
    yield from ("## Forecast and truth", "")
    for call in calls:
        yield f"Made at {call.made_at[:16].replace('T', ' ')} UTC from {call.num_nights} simulated nights."
        if call.end is None:
            yield from ("Nobody knows what came of it: the driver was killed, or is at work.", "")
            continue
        if call.end in LATE:
            yield f"The call was ended by {call.end}, which no forecast holds."
        yield ""
        yield from markdown_table(HEADERS, map(forecast_cells, call.figures))


def forecast_cells(figure: Expected) -> tuple[str, ...]:
    """One row under HEADERS."""
    low, middle, high, came = map(figure.shown.format, (figure.low, figure.middle, figure.high, figure.came))
    return figure.name, middle, f"{low} to {high}", came, "within" if figure.is_within else "outside"
