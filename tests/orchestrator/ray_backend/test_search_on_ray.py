"""Adaptive sweeps on a real Ray: killed, resumed, and that no slot waits for a method."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from driven_sweep import Sweep, wait_for
from sweeps import write_sweep

pytestmark = pytest.mark.slow

SPACE: dict[str, Any] = {
    "space": {
        "recipe": {"choice": ["baseline", "selective", "full_adapter"]},
        "model.dim": {"choice": [16, 32, 48]},
        "optimizer.learning_rate": {"log_range": [1e-3, 1e-1]},
        "artifact.matrix_bits": {"choice": [4, 6, 8]},
    },
    "cases": [{"when": {"recipe": "full_adapter"}, "space": {"adapter.rank": {"choice": [2, 4]}}}],
    "resources": {"cpus": 0.5},
    "seeds": [1],
    "budget": {"trials": 28},
}


@pytest.fixture
def make_sweep(tmp_path: Path, data_root: Path) -> Callable[..., Sweep]:
    return lambda **changes: Sweep(write_sweep(tmp_path, **{**SPACE, **changes}), tmp_path / "run", data_root)


def suggested(sweep: Sweep) -> list[str]:
    """Trial ids in the order of the record."""
    lines = (sweep.out / "suggestions.jsonl").read_text().splitlines()[1:]
    return [trial_id for line in lines for arm in json.loads(line)["arms"] for trial_id in arm["trial_ids"]]


def num_suggested(sweep: Sweep) -> int:
    path = sweep.out / "suggestions.jsonl"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


@pytest.mark.parametrize("method", ["tpe", "ehvi"])
def test_three_kills_ask_nothing_twice(make_sweep: Callable[..., Sweep], method: str) -> None:
    """kill -9 of the driver three times: every trial once, record and table agree, and a replay gives the record."""
    sweep = make_sweep(search={"method": method, "seed": 4})
    rng = random.Random(method)
    for _ in range(3):
        before = num_suggested(sweep)
        driver = sweep.start()
        target = min(25, before + rng.randint(4, 8))
        wait_for(lambda target=target: num_suggested(sweep) >= target, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert sweep.finish() == 0, sweep.log
    record, table = suggested(sweep), sweep.table
    assert len(record) == len(set(record)) == 28
    assert sorted(record) == sorted(table.trial_id) and set(table.status) <= {"completed", "stopped_early"}
    assert method in sweep.log and "28 configs" in sweep.log
    replay = [sys.executable, "-m", "orchestrator.cli", "search", str(sweep.out), "--replay"]
    done = subprocess.run(replay, capture_output=True, text=True)
    assert done.returncode == 0 and "28 of 28 suggestions are the same" in done.stdout, done.stdout
    assert sweep.finish() == 0 and "nothing to do" in sweep.log.splitlines()[-1]


def test_a_larger_budget_goes_on_with_the_method_of_the_start(make_sweep: Callable[..., Sweep]) -> None:
    """auto is resolved once: a budget that the grid would fit later changes nothing, and what was found counts."""
    space = {"recipe": {"choice": ["baseline", "selective"]}, "model.dim": {"choice": [16, 32, 48]}}
    sweep = make_sweep(space=space, cases=[], budget={"trials": 4}, train={"steps": 5})
    assert sweep.finish() == 0 and "method ehvi (auto) chooses them" in sweep.log
    first = suggested(sweep)
    assert sweep.finish("budget.trials=50") == 0
    assert suggested(sweep)[:4] == first and len(suggested(sweep)) == 6
    assert "the search ended before its budget: every config of the space" in sweep.log
    assert "nothing to do" not in sweep.log
    assert sweep.finish("budget.trials=50") == 0 and "nothing to do" in sweep.log.splitlines()[-1]


def test_a_space_without_a_feasible_config_is_one_line(make_sweep: Callable[..., Sweep]) -> None:
    """Nothing is started, the exit code is 2, and the line says what is too large."""
    sweep = make_sweep(search={"method": "tpe"}, constraints=["artifact_bytes <= 700"])
    assert sweep.finish() == 2
    assert sweep.log.splitlines()[-1].startswith("error: nothing to run: no config of the space can keep the limits")


def test_a_search_learns_from_another_run(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    """Rows of an earlier run are used where today's space holds them, and it is said how many and why not the rest."""
    earlier = make_sweep(search={"method": "random"}, budget={"trials": 12}, train={"steps": 5})
    assert earlier.finish() == 0
    earlier.out.rename(tmp_path / "earlier")
    space = {**SPACE["space"], "model.dim": {"choice": [16, 32, 64]}}
    search = {"method": "ehvi", "learn_from": [str(tmp_path / "earlier")]}
    sweep = make_sweep(search=search, space=space, budget={"trials": 12}, train={"steps": 5})
    assert sweep.finish() == 0
    before = pd.read_parquet(tmp_path / "earlier" / "tables" / "trials")
    num_others = int(before.cfg_model_dim.eq(48).sum())
    assert 0 < num_others < len(before)
    line = f"learned from {12 - num_others} of 12 earlier trials, {12 - num_others} configs"
    assert f"{line}; not from {num_others} where model.dim is 48, which is not in the space" in sweep.log
    methods = [json.loads(line)["method"] for line in (sweep.out / "suggestions.jsonl").read_text().splitlines()[1:]]
    assert "ehvi" in methods
