"""Sweeps with early stopping, replicates and confirmation on a real Ray: killed, resumed, and gone on with."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from driven_sweep import Sweep, running, wait_for
from sweeps import write_sweep

from orchestrator.store.requests import Request, Requests
from trainer.recipes.variants import RECIPES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NUM_SEARCHED = 26
# Some learning rates are hopeless, and a trial takes long enough to be stopped.
SPACE: dict[str, Any] = {
    "search": {"method": "ehvi", "seed": 6, "random_share": 0.6},
    "early_stopping": {"risk": 0.2, "audit_share": 0.0},
    "space": {
        "recipe": {"choice": ["baseline", "selective"]},
        "model.dim": {"choice": [16, 32]},
        "optimizer.learning_rate": {"log_range": [1e-5, 3e-2]},
    },
    "cases": [],
    "resources": {"cpus": 1},
    "seeds": 3,
    "confirm": {"configs": 1, "seeds": 2},
    "budget": {"trials": NUM_SEARCHED + 4},
    "train": {"steps": 800, "checkpoint_every_seconds": 2},
}


def frostline(*arguments: str) -> str:
    command = [sys.executable, "-m", "orchestrator.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def verdicts(sweep: Sweep) -> list[dict[str, Any]]:
    path = sweep.out / "early_stopping.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def num_ended(sweep: Sweep) -> int:
    return len([*sweep.out.glob("trials/*/result.json"), *sweep.out.glob("trials/*/state.json")])


def test_three_kills_and_a_retry(tmp_path: Path, data_root: Path) -> None:
    """Every trial once, some stopped on the way, some with further seeds, the best confirmed; one that is retried goes
    on from its checkpoint and completes.
    """
    sweep = Sweep(write_sweep(tmp_path, **SPACE), tmp_path / "run", data_root)
    rng = random.Random(2)
    for number in range(3):
        driver = sweep.start()
        target = (number + 1) * 6 + rng.randint(0, 3)
        wait_for(lambda target=target: num_ended(sweep) >= target, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert sweep.finish() == 0, sweep.log
    table = sweep.table.set_index("trial_id")
    assert len(table) == table.index.nunique() and (table.stage == "search").sum() == NUM_SEARCHED
    assert set(table.status) == {"completed", "stopped_early"}
    fresh = table[table.stage == "confirm"]
    assert set(fresh.seed) == {101, 102} and fresh.ce_test.notna().all() and set(fresh.status) == {"completed"}
    assert 2 <= len(fresh) <= 4 and (fresh.groupby("config_id").size() == 2).all()
    assert table.ce_test[table.stage == "search"].isna().all()
    assert (table.seed[table.stage == "search"] > 1).any() and "replicates, front in doubt" in sweep.log
    stopped = table[table.status == "stopped_early"]
    judged = verdicts(sweep)
    assert len(judged) == len({one["trial_id"] for one in judged})
    assert set(stopped.index) <= {one["trial_id"] for one in judged if one["action"] == "stop"}
    assert (stopped.steps < stopped.steps_planned).all() and stopped.ce.isna().all()
    assert (stopped.stop_best_case > table.ce[stopped.stop_dominated_by].to_numpy()).all()
    assert "early stopping: " in sweep.log and "of all steps saved" in sweep.log
    said = frostline("pareto", str(sweep.out))
    assert "Confirmed with fresh seeds" in said and "front: " in said
    shown = json.loads(frostline("pareto", str(sweep.out), "--json"))["groups"]
    in_groups = {one["trial_id"] for group in shown for one in group["replicates"]}
    assert not in_groups & {*stopped.index, *fresh.index}
    assert "suggestions are the same" in frostline("search", str(sweep.out), "--replay")

    nearest = [one for one in stopped.index if (sweep.out / "trials" / one / "checkpoint").exists()]
    assert len(nearest) == min(10, len(stopped))
    assert "the next frostline run goes on with it" in frostline("retry", str(sweep.out), nearest[0])
    assert sweep.finish() == 0, sweep.log
    row = sweep.table.set_index("trial_id").loc[nearest[0]]
    assert row.status == "completed" and row.num_resumes >= 1 and row.steps == row.steps_planned
    assert len(sweep.table) == len(table)
    assert sweep.finish() == 0 and "nothing to do" in sweep.log.splitlines()[-1]


def test_every_recipe_is_stopped_in_the_middle_and_goes_on(tmp_path: Path, data_root: Path) -> None:
    """Each ends at its checkpoint with some of its steps, in whatever phase it is; then it ends with the same bits."""
    text = (Path(__file__).parents[3] / "search_spaces" / "all_recipes.yaml").read_text()
    text = text.replace("stdlib", "tiny").replace("1024", "512").replace("steps: 30,", "steps: 2000,")
    sweeps = []
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(text)
        sweeps.append(Sweep(tmp_path / name / "all.yaml", tmp_path / name / "run", data_root))
    whole, sweep = sweeps
    assert whole.finish() == 0, whole.log
    driver, rng, asked = sweep.start(), random.Random(4), dict[str, float]()
    requests = Requests(sweep.out / ".requests")
    while driver.poll() is None:
        for trial_id in running(sweep):
            progress = json.loads((sweep.out / "trials" / trial_id / "progress.json").read_text())
            if progress["step"] >= asked.setdefault(trial_id, rng.uniform(1, 700)):
                requests.add(Request(trial_id, "in the middle"))
                asked[trial_id] = math.inf
        time.sleep(0.05)
    assert driver.returncode == 0, sweep.log
    table = sweep.table.set_index("trial_id")
    stopped = table[table.status == "stopped_early"]
    assert len(stopped) == len(RECIPES), sweep.log
    assert (stopped.steps > 0).all() and (stopped.steps < stopped.steps_planned).all()
    assert sweep.finish("--continue-stopped") == 0, sweep.log
    columns = ["ce", "artifact_sha256", "steps"]
    again, unbroken = (one.table.set_index("trial_id")[columns].sort_index() for one in (sweep, whole))
    assert again.equals(unbroken) and (sweep.table.num_resumes == 1).all() and (sweep.table.steps_repeated == 0).all()
