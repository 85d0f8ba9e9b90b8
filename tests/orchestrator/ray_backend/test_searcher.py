"""The searcher's decisions, without a cluster: what it does when trials end, die, or cannot be placed."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher
from rich.console import Console
from sweeps import tiny_sweep

from orchestrator.errors import UsageError
from orchestrator.progress.display import Display
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.ray_backend import searcher as searcher_module
from orchestrator.ray_backend.searcher import PlanSearcher
from orchestrator.run_context import RunContext
from orchestrator.scheduling import retries
from orchestrator.scheduling.placement import CPU, Node, Pool
from orchestrator.scheduling.retries import MAX_ATTEMPTS, Retries
from orchestrator.search.planner import plan
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from orchestrator.worker import Job

NODE = Node(node_id="n1", kind=CPU, cpus=2, gpus=0)


class Cluster:
    """A cluster whose nodes a test may take away."""

    def __init__(self) -> None:
        self.nodes = [NODE]

    def entries(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": n.node_id, "Alive": True, "Resources": {"CPU": n.cpus, "GPU": n.gpus}, "Labels": {}}
            for n in self.nodes
        ]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(searcher_module.ray, "nodes", cluster.entries)
    monkeypatch.setattr(searcher_module, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(retries, "SECONDS_TO_PAUSE", 0.0)
    return cluster


@pytest.fixture
def searcher(tmp_path: Path, cluster: Cluster) -> PlanSearcher:
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    status = SweepStatus(num_trials=4, objective=("ce", "min"), started_seconds=time.monotonic())
    trials = plan(spec)
    run = RunContext(
        spec=spec,
        trials=trials,
        folder=folder,
        data_root=tmp_path,
        data_sha256={"tiny": "a" * 64},
        recorder=Recorder(folder, spec),
        status=status,
        display=Display(status, Console(file=io.StringIO())),
    )
    return PlanSearcher(run, trials, Pool([NODE]))


def fail(searcher: PlanSearcher, job: Job) -> None:
    """Leave the files of a failed trial, as a worker would."""
    searcher.run.folder.trial(job.trial_id).write_failure(job.config, job.placement("n1"), "made up")


def ask(searcher: PlanSearcher, tune_id: str) -> Job:
    suggestion = searcher.suggest(tune_id)
    assert isinstance(suggestion, dict)
    return Job(**json.loads(suggestion["job"]))


def test_as_many_jobs_are_out_as_there_are_slots(searcher: PlanSearcher) -> None:
    """Two CPUs hold two trials; a third is asked for again later, and follows when one is done."""
    first = ask(searcher, "t1")
    ask(searcher, "t2")
    assert searcher.suggest("t3") is None
    fail(searcher, first)
    searcher.on_trial_complete("t1")
    third = ask(searcher, "t3")
    assert third.trial_id not in (first.trial_id,)
    assert searcher.run.status.counts["failed"] == 1 and len(searcher.run.status.running) == 2


def test_the_sweep_ends_when_all_are_recorded(searcher: PlanSearcher) -> None:
    """After the last result there is nothing to hand out, and every trial has one row."""
    for index in range(4):
        fail(searcher, ask(searcher, f"t{index}"))
        searcher.on_trial_complete(f"t{index}")
    assert searcher.suggest("t9") == Searcher.FINISHED
    assert len({row["trial_id"] for row in searcher.run.recorder.rows}) == 4


def test_a_worker_that_keeps_dying_ends_as_a_failed_row(searcher: PlanSearcher) -> None:
    """A trial is sent out again after a death, at most so many times; then its row says why, and keeps its steps."""
    job = ask(searcher, "t0")
    progress = searcher.run.folder.trial(job.trial_id).progress_file
    progress.parent.mkdir(parents=True)
    progress.write_text('{"step": 7, "total_seconds": 3.5}')
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert job.trial_id not in {row["trial_id"] for row in searcher.run.recorder.rows}
        searcher.on_trial_complete(f"t{attempt - 1}", error=True)
        if attempt < MAX_ATTEMPTS:
            assert ask(searcher, f"t{attempt}").trial_id == job.trial_id
    row = searcher.run.recorder.rows[-1]
    assert (row["trial_id"], row["status"], row["steps"], row["total_seconds"]) == (job.trial_id, "failed", 7, 3.5)
    assert "died 3 times" in row["error"]


def test_a_lost_node_ends_the_sweep_aloud_once_nothing_else_can_run(searcher: PlanSearcher, cluster: Cluster) -> None:
    """While a job is out the sweep waits; then it stops and says what is missing, instead of waiting for ever."""
    for name, trial in list(searcher.waiting.items()):
        searcher.waiting[name] = type(trial)(**{**vars(trial), "accelerator": "CPU", "gpus": 0.0})
    ask(searcher, "t0")
    cluster.nodes = [Node(node_id="g", kind="GPU", cpus=0.5, gpus=1)]
    assert searcher.suggest("t1") is None
    searcher.on_trial_complete("t0", error=True)
    assert searcher.suggest("t2") == Searcher.FINISHED
    assert searcher.run.status.stop_reason == "no node is left for 4 trials that need CPU"


def test_a_kind_on_which_a_worker_died_is_paused(searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node may be dead too, and not yet known to be: nothing is placed on its kind until that would be known."""
    monkeypatch.setattr(retries, "SECONDS_TO_PAUSE", 60.0)
    ask(searcher, "t0")
    searcher.on_trial_complete("t0", error=True)
    assert searcher.suggest("t1") is None
    searcher.retries = Retries()
    ask(searcher, "t2")


def test_a_dead_ray_is_an_error_and_not_a_wait(searcher: PlanSearcher, cluster: Cluster) -> None:
    """Without a single node left the driver says so."""
    cluster.nodes = []
    with pytest.raises(UsageError, match="Ray died"):
        searcher.suggest("t0")


def test_a_stop_file_stops_handing_out(searcher: PlanSearcher) -> None:
    """Somebody else's stop file ends the sweep at its checkpoints, and does not start trials over and over."""
    ask(searcher, "t0")
    searcher.run.folder.root.mkdir(exist_ok=True)
    searcher.run.folder.stop_file.touch()
    searcher.on_trial_complete("t0")
    assert searcher.suggest("t1") == Searcher.FINISHED
    assert searcher.run.status.stop_reason == "there is a stop file in the run folder"


def test_a_full_disk_is_no_trials_fault(searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a row cannot be written the sweep stops, and its trial is still waiting."""
    job = ask(searcher, "t0")
    fail(searcher, job)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(searcher.run.recorder, "record", full)
    searcher.on_trial_complete("t0")
    assert "No space left" in str(searcher.run.status.stop_reason) and job.trial_id in searcher.waiting
