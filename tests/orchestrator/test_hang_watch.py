"""A trial that hangs in any stage ends its process and leaves where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny import tiny_config

from orchestrator.hang_watch import HangWatch, read_hang
from trainer.control import Stage
from trainer.training.state import Report

STAGES: list[Stage] = ["data", "compile", "train", "score", "pack"]

# The interpreter itself is held by a C call that does not let go of it, as by a driver or a broken disk.
HANGING = """
import ctypes, sys
from pathlib import Path
from orchestrator import hang_watch
from trainer.config.trial import TrialConfig

hang_watch.STAGES_PER_LIMIT = hang_watch.STEPS_PER_LIMIT = 0
hang_watch.SECONDS_BEYOND_STAGE = hang_watch.SECONDS_BEYOND_STEPS = 1.0
with hang_watch.HangWatch(Path(sys.argv[1]), TrialConfig()) as watch:
    watch.stage(sys.argv[2])
    ctypes.PyDLL(None).sleep(60)
"""


def report(step: int) -> Report:
    return Report(step=step, total_steps=100, ce=1.0, tokens_per_s=2_000.0)


@pytest.mark.parametrize("stage", STAGES)
def test_a_hang_in_any_stage_ends_the_process(stage: Stage, tmp_path: Path) -> None:
    """Even while the interpreter is stuck; the file says the stage, its limit, and what every thread was doing."""
    path = tmp_path / "hang.txt"
    ended = subprocess.run([sys.executable, "-c", HANGING, str(path), stage], timeout=50, check=False)
    hang = read_hang(path)
    assert ended.returncode == 1 and hang is not None
    assert hang == f"hung: {stage} took more than its limit of 1 s"
    assert "<string>" in path.read_text()


def test_a_trial_that_goes_on_leaves_nothing(tmp_path: Path) -> None:
    """Stages and steps within their limits: no process ends, and no file stays."""
    with HangWatch(tmp_path / "hang.txt", tiny_config()) as watch:
        for stage in STAGES:
            watch.stage(stage)
            assert read_hang(tmp_path / "hang.txt") is None
    assert not (tmp_path / "hang.txt").exists()


def test_the_limit_of_steps_follows_their_median(tmp_path: Path) -> None:
    """Ten times the median of the trial's own steps and a minute; before any, its first step, done while compiling."""
    now = [0.0]
    with HangWatch(tmp_path / "hang.txt", tiny_config(), clock=lambda: now[0]) as watch:
        watch.stage("compile")
        now[0] = 40.0
        watch.stage("train")
        assert watch.limit_seconds("train") == 460.0
        for index in range(1, 10):
            now[0] += 2.0
            watch.report(report(4 * index))
        assert watch.limit_seconds("train") == 65.0


def test_the_limit_of_a_stage_is_three_times_what_is_expected_and_five_minutes(tmp_path: Path) -> None:
    """Scoring is expected at the trial's own throughput, once more for each window that slides."""
    config = tiny_config(eval={"tokens": 100_000, "stride": 16})
    with HangWatch(tmp_path / "hang.txt", config) as watch:
        watch.report(report(1))
        assert watch.limit_seconds("score") == pytest.approx(3 * 2 * 50 + 300)
        assert 300 < watch.limit_seconds("pack") < 301
