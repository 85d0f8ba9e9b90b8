"""The report sets what was forecast beside what came."""

from __future__ import annotations

import json
from pathlib import Path

from results.report.forecast_section import forecast_section

RANGE = {"low": 60.0, "middle": 90.0, "high": 120.0}
FORECAST = {
    "kind": "forecast",
    "at": "2026-11-28T01:36:38+00:00",
    "forecast": {
        "num_nights": 100,
        "counts": {"completed": {"low": 18.0, "middle": 18.0, "high": 18.0}},
        "seconds": RANGE,
        "usd": {"low": 1.0, "middle": 2.0, "high": 3.0},
    },
}


def truth(end: str = "finished", **values: object) -> dict[str, object]:
    found = {"counts": {"completed": 18}, "seconds": 119.0, "usd": 4.0, "end": end}
    return {"kind": "truth", "at": "", "truth": {**found, **values}}


def text(folder: Path, *lines: object) -> str:
    (folder / "forecasts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "\n".join(forecast_section(folder))


def test_each_figure_says_whether_it_was_within_its_range(tmp_path: Path) -> None:
    """Counts, time and money; a status that nobody expected has a row too."""
    page = text(tmp_path, FORECAST, truth(counts={"completed": 17, "failed": 1}))
    assert "| trials completed | 18 | 18 to 18 | 17 | outside |" in page
    assert "| trials failed | 0 | 0 to 0 | 1 | outside |" in page
    assert "| minutes | 1.5 | 1.0 to 2.0 | 2.0 | within |" in page
    assert "| USD | 2.00 | 1.00 to 3.00 | 4.00 | outside |" in page


def test_a_call_without_an_end_says_so(tmp_path: Path) -> None:
    """A killed driver left no truth; the next call has a table of its own, and a cut line hides nothing."""
    page = text(tmp_path, FORECAST, FORECAST, truth())
    assert page.count("Made at 2026-11-28 01:36 UTC from 100 simulated nights.") == 2
    assert page.count("Nobody knows what came of it") == 1 and page.count("| trials completed |") == 1
    with (tmp_path / "forecasts.jsonl").open("a") as file:
        file.write('{"kind": "fore')
    assert "\n".join(forecast_section(tmp_path)) == page


def test_an_interrupt_is_named(tmp_path: Path) -> None:
    """What a user ended was not forecast."""
    assert "The call was ended by interrupt, which no forecast holds." in text(tmp_path, FORECAST, truth("interrupt"))


def test_without_forecasts_there_is_no_section(tmp_path: Path) -> None:
    """Runs of earlier versions have none."""
    assert list(forecast_section(tmp_path)) == []
