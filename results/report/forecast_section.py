"""The section of a report that sets what was forecast beside what came."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from results.report.markdown import markdown_table

HEADERS = ("", "expected", "four in five nights", "came", "")
_LATE = ("interrupt", "fault", "pause")


def forecast_section(folder: Path) -> Iterator[str]:
    """One table for each call of `frostline run` that began with a forecast; nothing without `forecasts.jsonl`."""
    calls = _calls(folder / "forecasts.jsonl")
    if not calls:
        return
    yield from ("## Forecast and truth", "")
    for made, truth in calls:
        forecast = made["forecast"]
        yield f"Made at {made['at'][:16].replace('T', ' ')} UTC from {forecast['num_nights']} simulated nights."
        if truth is None:
            yield from ("Nobody knows what came of it: the driver was killed, or is at work.", "")
            continue
        if truth["end"] in _LATE:
            yield f"The call was ended by {truth['end']}, which no forecast holds."
        yield ""
        yield from markdown_table(HEADERS, _rows(forecast, truth))


def _rows(forecast: Mapping[str, Any], truth: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    statuses = sorted({*forecast["counts"], *truth["counts"]})
    nothing = {"low": 0.0, "middle": 0.0, "high": 0.0}
    for status in statuses:
        expected = forecast["counts"].get(status, nothing)
        yield _row(f"trials {status.replace('_', ' ')}", expected, truth["counts"].get(status, 0), "{:,.0f}")
    yield _row("minutes", _scaled(forecast["seconds"], 1 / 60), truth["seconds"] / 60, "{:,.1f}")
    if forecast["usd"] is not None:
        yield _row("USD", forecast["usd"], truth["usd"], "{:,.2f}")


def _row(name: str, expected: Mapping[str, float], came: float, shown: str) -> tuple[str, ...]:
    low, middle, high = (shown.format(expected[key]) for key in ("low", "middle", "high"))
    # as shown: a forecast of 3 to 3 trials is met by 3
    is_within = expected["low"] <= came <= expected["high"] or shown.format(came) in (low, high)
    return name, middle, f"{low} to {high}", shown.format(came), "within" if is_within else "outside"


def _scaled(found: Mapping[str, float], factor: float) -> dict[str, float]:
    return {key: value * factor for key, value in found.items()}


def _calls(path: Path) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Every forecast with what came of it, oldest first; a line that cannot be read is left out."""
    found: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if values.get("kind") == "forecast":
            found.append((values, None))
        elif values.get("kind") == "truth" and found and found[-1][1] is None:
            found[-1] = (found[-1][0], values["truth"])
    return found
