"""Versions of a run's sweep file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.sweep_versions import SweepVersions, changes_between, in_words

SWEEP = {"seeds": [1, 2], "base": {"train": {"steps": 20}}, "notes": "a"}


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (SWEEP, ""),
        ({**SWEEP, "seeds": [1]}, "seeds: [1, 2] before, [1] now"),
        ({**SWEEP, "base": {"train": {"steps": 21}}}, "base.train.steps: 20 before, 21 now"),
        ({"seeds": [1, 2], "base": SWEEP["base"]}, "notes: a before, None now"),
        ({}, "base: {'train': {'steps': 20}} before, None now; notes: a before, None now; seeds: [1, 2] before, None"),
    ],
    ids=str,
)
def test_changes_are_told_key_by_key(now: dict[str, Any], text: str) -> None:
    """Nothing for equal specs; else each key that differs, with both values."""
    assert in_words(changes_between(SWEEP, now)).startswith(text)
    assert bool(changes_between(SWEEP, now)) == bool(text)


def test_long_lists_of_changes_are_cut() -> None:
    """Three changes are shown and the others counted; a long value is cut."""
    text = in_words(changes_between({}, {f"key{index}": "x" * 1000 for index in range(10)}))
    assert text.endswith("; and 7 more") and len(text) < 400


def test_a_version_is_kept_with_its_time_and_trials(tmp_path: Path) -> None:
    """One file per version, numbered; the newest is not added twice, an older one that returns is a new version."""
    versions = SweepVersions(tmp_path / "versions")
    assert len(versions) == 0 and versions.planned() is None
    versions.add("a: 1\n", ["one", "two"], written_at=0)
    versions.add("a: 1\n", ["one", "two"])
    versions.add("a: 2\n", ["one"])
    versions.add("a: 1\n", None)
    names = sorted(path.name for path in versions.root.iterdir())
    assert names == ["001.trial_ids.txt", "001.yaml", "002.trial_ids.txt", "002.yaml", "003.yaml"]
    first = (versions.root / "001.yaml").read_text()
    assert first == "# written 1970-01-01T00:00:00Z, 2 trials planned\na: 1\n"
    assert (versions.root / "001.trial_ids.txt").read_text() == "one\ntwo\n"
    assert versions.planned() is None  # of the newest
