"""The section `sentinel` of a sweep file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from sweeps import write_sweep

from search_spaces.spec.load import load_sweep
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sections.sentinel import SentinelConfig


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, None),
        ({}, SentinelConfig(every_hours=2, steps=50)),
        ({"every_hours": 0.5, "steps": 20}, SentinelConfig(every_hours=0.5, steps=20)),
        ("off", SentinelConfig(every_hours=0)),
        (False, SentinelConfig(every_hours=0)),
    ],
)
def test_what_it_says_and_that_a_run_keeps_it(tmp_path: Path, written: Any, expected: SentinelConfig | None) -> None:
    """Left out or empty as everywhere, `off`, or settings; the resolved spec reads back as the same."""
    spec = load_sweep(write_sweep(tmp_path, sentinel=written))
    assert spec.sentinel == expected
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(spec.resolved()))
    again = load_sweep(tmp_path / "again.yaml")
    assert again.sentinel == expected and ("sentinel" in again.resolved()) is (expected is not None)
    assert expected is None or expected.is_on is (expected.every_hours > 0)


@pytest.mark.parametrize(("written", "rule"), [({"steps": 1}, "at least 3"), ("on", "off"), ({"hours": 1}, "unknown")])
def test_mistakes_are_named(tmp_path: Path, written: Any, rule: str) -> None:
    """Too few steps for every phase, another word, an unknown key: each with the key and the rule."""
    with pytest.raises(SpecError, match=rule) as error:
        load_sweep(write_sweep(tmp_path, sentinel=written))
    assert "sentinel" in str(error.value)
