"""`make gpu-check` without a card: its sections run on the CPU, and one that fails stops no other."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_check.py"


def check(out: Path, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and the outcome of each section by its name."""
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--tiny", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    outcomes = json.loads((out / "gpu_check.json").read_text())
    return done.returncode, {outcome["section"]: outcome for outcome in outcomes}


def test_sections_run_on_the_cpu(tmp_path: Path) -> None:
    """The same code as on a card: frozen maps, a deliberate out-of-memory."""
    names = ["environment", "frozen_maps", "out_of_memory"]
    code, outcomes = check(tmp_path, "--device", "cpu", "--only", *names)
    assert code == 0 and list(outcomes) == names, outcomes
    assert outcomes["out_of_memory"]["findings"]["status"] == "out_of_memory"
    page = (tmp_path / "gpu_check.md").read_text()
    assert all(f"| {name} | ok |" in page for name in names)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_section_that_fails_stops_no_other(tmp_path: Path) -> None:
    """Without a card every section fails by itself, with its reason, and the exit code is 1."""
    code, outcomes = check(tmp_path, "--device", "cuda", "--only", "environment", "frozen_maps")
    assert code == 1 and [outcome["ok"] for outcome in outcomes.values()] == [False] * 2
    assert outcomes["environment"]["error"] is None and outcomes["frozen_maps"]["error"]


def test_a_section_that_hangs_is_ended_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is its own, and the sweep that it had begun ends with it."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    gpu_check = importlib.import_module("gpu_check")
    setting = gpu_check.Setting(folder=tmp_path, device="cpu", tiny=True)
    outcome = gpu_check.run_section("recipes", setting, tmp_path / "log", 12.0)
    assert (outcome.ok, outcome.error) == (False, "took more than 12 s")
    assert [gpu_check.limit_of(seconds) for seconds in (600.0, 100.0, -5.0)] == [200.0, 100.0, 10.0]
    deadline = time.monotonic() + 10
    while any(str(tmp_path) in line for line in commands()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def commands() -> list[str]:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_text().replace("\0", " "))
    return found
