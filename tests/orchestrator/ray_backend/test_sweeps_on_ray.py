"""Whole sweeps on a real Ray, by the command line, with the deaths that overnight runs die."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from driven_sweep import Sweep, wait_for
from sweeps import write_sweep

from orchestrator.search.planner import plan
from search_spaces.spec.load import load_sweep
from trainer.recipes.variants import RECIPES

pytestmark = pytest.mark.slow

# What `frostline eval` does, for many files in one process that has trained nothing.
SCORE_ALONE = """
import json, sys, torch
from pathlib import Path
from trainer.data.dataset import open_dataset
from trainer.score_artifact import reload_and_score
torch.set_num_threads(1)
dataset = open_dataset("tiny", Path(sys.argv[1]))
print(json.dumps([reload_and_score(Path(path), dataset=dataset, device=torch.device("cpu")).score.ce
                  for path in sys.argv[2:]]))
"""


@pytest.fixture
def make_sweep(tmp_path: Path, data_root: Path) -> Callable[..., Sweep]:
    return lambda **changes: Sweep(write_sweep(tmp_path, **changes), tmp_path / "run", data_root)


def test_three_kills_lose_nothing_and_repeat_nothing_that_was_finished(make_sweep: Callable[..., Sweep]) -> None:
    """kill -9 of the driver at three random moments, then the same again: each trial once, finished ones untouched."""
    sweep = make_sweep(train={"steps": 400}, seeds=[1, 2, 3])
    rng = random.Random(7)
    finished: dict[str, str] = {}
    for _ in range(3):
        before = sweep.steps_done()
        driver = sweep.start()
        target = before + rng.randint(150, 450)
        wait_for(lambda target=target: sweep.steps_done() >= target, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        assert finished.items() <= sweep.results().items()
        finished = sweep.results()
    assert sweep.finish() == 0
    assert finished.items() <= sweep.results().items()
    table = sweep.table
    assert sorted(table.trial_id) == sorted(trial.trial_id for trial in plan(load_sweep(sweep.spec)))
    assert set(table.status) == {"completed"} and set(table.steps) == {400}
    assert table.num_resumes.sum() >= 1
    curves = pd.read_parquet(sweep.out / "tables" / "curves")
    assert not curves.duplicated(["trial_id", "step"]).any()
    assert sweep.finish() == 0 and "nothing to do" in sweep.log.splitlines()[-1]


def test_one_interrupt_checkpoints_and_the_same_command_goes_on(make_sweep: Callable[..., Sweep]) -> None:
    """Ctrl-C: exit code 130, running trials at their checkpoint, no step of theirs repeated later."""
    sweep = make_sweep(train={"steps": 2_000, "checkpoint_every_seconds": 1e6}, seeds=[1])
    driver = sweep.start()
    wait_for(lambda: sweep.steps_done() >= 200, driver)
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(timeout=60) == 130
    assert "the same command goes on" in sweep.log
    assert sweep.results() == {}
    assert sweep.finish() == 0
    assert set(sweep.table.num_resumes) == {1} and set(sweep.table.steps_repeated) == {0}


def test_a_worker_that_dies_costs_its_trial_a_resume(make_sweep: Callable[..., Sweep]) -> None:
    """kill -9 of one worker: its trial goes on from its checkpoint within the same sweep, the other never notices."""
    sweep = make_sweep(train={"steps": 2_000}, seeds=[1])
    driver = sweep.start()
    wait_for(lambda: sweep.steps_done() >= 300, driver)
    log = next(sweep.out.glob("trials/*/log.txt"))
    found = re.search(r"process (\d+) of", log.read_text())
    assert found is not None
    os.kill(int(found[1]), signal.SIGKILL)
    assert driver.wait(timeout=120) == 0
    assert sweep.table.set_index("trial_id").num_resumes.to_dict()[log.parent.name] == 1
    assert sorted(sweep.table.num_resumes) == [0, 1]


def test_failed_trials_have_their_row_and_run_again_only_when_asked(make_sweep: Callable[..., Sweep]) -> None:
    """A trial that diverges is a row with a reason and exit code 1; the log says which it was, and what was cut."""
    # a decay of 10 at a rate of 10 multiplies every weight by -99 a step
    rates = {"optimizer.learning_rate": {"choice": [1e-3, 10, 1e-4]}, "optimizer.weight_decay": {"choice": [10]}}
    sweep = make_sweep(space=rates, seeds=[1], budget={"trials": 2}, search={"method": "grid"})
    assert sweep.finish() == 1
    assert "(lr 10): diverged: the training loss became" in sweep.log
    assert "the space holds 3 trials; budget.trials cuts it to 2" in sweep.log
    table = sweep.table.set_index("cfg_optimizer_learning_rate")
    assert table.status.to_dict() == {1e-3: "completed", 10: "diverged"}
    assert "loss became" in table.error[10] and pd.isna(table.ce[10])
    before = sweep.results()
    assert sweep.finish() == 1 and sweep.results() == before


def test_a_trial_that_cannot_fit_takes_no_device(make_sweep: Callable[..., Sweep]) -> None:
    """The wide config has its row before anything trains and never a device; the narrow one completes; exit code 0."""
    widths = {"model": {"choice": [{"dim": 32}, {"dim": 256}]}}
    sweep = make_sweep(space=widths, seeds=[1], constraints=["artifact_bytes <= 50_000"])
    assert sweep.finish() == 0
    table = sweep.table.set_index("cfg_model_dim")
    assert table.status.to_dict() == {32: "completed", 256: "infeasible"}
    assert table.feasible[32] and pd.isna(table.accelerator[256])
    assert table.finished_at[256] < table.started_at[32]
    assert sweep.finish() == 0 and "nothing to do" in sweep.log.splitlines()[-1]


def test_two_drivers_on_one_folder_are_one_too_many(make_sweep: Callable[..., Sweep]) -> None:
    """The second driver says who holds the folder and leaves with exit code 2; the first is not disturbed."""
    sweep = make_sweep(train={"steps": 300}, seeds=[1])
    first = sweep.start()
    wait_for(lambda: sweep.out.joinpath("sweep.yaml").exists(), first)
    second = subprocess.run(sweep.command, capture_output=True, text=True)
    assert second.returncode == 2 and f"process {first.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.wait(timeout=120) == 0


def test_every_trial_runs_on_the_kind_it_asks_for(make_sweep: Callable[..., Sweep]) -> None:
    """One H100 node and two A40 nodes: each trial on its kind, both kinds busy at once, a fraction of a card shared."""
    from ray.cluster_utils import Cluster

    kinds = {"resources.accelerator": {"choice": ["H100", "A40"]}}
    sweep = make_sweep(
        resources={"cpus": 0.5, "gpus": 0.5},
        base={
            "data": "tiny",
            "device": "cpu",
            "model": {"vocab_size": 512, "num_layers": 1, "dim": 32, "num_heads": 2},
            "train": {"steps": 150, "sequence_tokens": 32, "batch_sequences": 4},
            "eval": {"tokens": 512},
        },
        space=kinds,
        seeds=[1, 2, 3, 4],
    )
    cluster = Cluster()
    try:
        for kind in ("H100", "A40", "A40"):
            cluster.add_node(num_cpus=2, num_gpus=1, labels={"ray.io/accelerator-type": kind})
        assert sweep.finish("--address", cluster.address) == 0, sweep.log
        sweep.spec.write_text(sweep.spec.read_text().replace("- A40", "- A100"))
        refused = subprocess.run([*sweep.command, "--address", cluster.address], capture_output=True, text=True)
    finally:
        cluster.shutdown()
    table = sweep.table
    assert (table.accelerator == table.accelerator_wanted).all() and len(table) == 8
    assert table.accelerator.value_counts().to_dict() == {"H100": 4, "A40": 4}
    assert (table.tokens_per_s > 0).all() and (table.num_gpus == 0.5).all()
    nodes = table.groupby("accelerator").node.unique()
    assert len(nodes["H100"]) == 1 and not set(nodes["H100"]) & set(nodes["A40"])
    spans = table.groupby("accelerator").agg(start=("started_at", "min"), end=("finished_at", "max"))
    assert spans.start.max() < spans.end.min()
    assert refused.returncode == 2 and "they need accelerator A100" in refused.stderr
    assert "H100 (2 CPUs, 1 GPUs)" in refused.stderr and "Traceback" not in refused.stderr


def test_every_recipe_ends_in_an_artifact_that_scores_alone(tmp_path: Path, data_root: Path) -> None:
    """The shipped sweep of all recipes: each artifact, read by a fresh process, gives its row's ce to the last bit."""
    text = (Path(__file__).parents[3] / "search_spaces" / "all_recipes.yaml").read_text()
    (tmp_path / "all_recipes.yaml").write_text(text.replace("stdlib", "tiny").replace("1024", "512"))
    sweep = Sweep(tmp_path / "all_recipes.yaml", tmp_path / "run", data_root)
    assert sweep.finish() == 0, sweep.log
    table = sweep.table.set_index("trial_id")
    assert set(table.status) == {"completed"} and set(table.recipe) == set(RECIPES)
    artifacts = {trial_id: str(sweep.out / "trials" / trial_id / "artifact.frost") for trial_id in table.index}
    command = [sys.executable, "-c", SCORE_ALONE, str(data_root), *artifacts.values()]
    scores = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert dict(zip(artifacts, scores, strict=True)) == table.ce.to_dict()
