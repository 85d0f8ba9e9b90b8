"""The kernel's counter of kills for want of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster import memory_kills
from orchestrator.cluster.memory_kills import num_memory_kills


def test_kills_are_read_from_the_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of that very name; 0 where there is none, or no such file."""
    monkeypatch.setattr(memory_kills, "COUNTERS", tmp_path / "vmstat")
    assert num_memory_kills() == 0
    (tmp_path / "vmstat").write_text("drop_pagecache 9\noom_killer 8\n")
    assert num_memory_kills() == 0
    (tmp_path / "vmstat").write_text("drop_pagecache 9\noom_kill 3\nnuma_hit 7\n")
    assert num_memory_kills() == 3
