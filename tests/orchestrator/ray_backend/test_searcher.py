"""The searcher's decisions, without a cluster: what it does when trials end, die, or cannot be placed."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from plan import Plan
from ray.tune.search import Searcher
from rich.console import Console
from sweeps import tiny_sweep

from orchestrator.control_channel import Beat, Board, Fault, FaultKind
from orchestrator.errors import MachineError
from orchestrator.ledger.account import open_account
from orchestrator.progress.display import Display
from orchestrator.progress.summary import exit_code
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.ray_backend import searcher as searcher_module
from orchestrator.ray_backend.searcher import PlanSearcher
from orchestrator.run_context import RunContext
from orchestrator.scheduling import retries
from orchestrator.scheduling.dispatcher import Dispatcher
from orchestrator.scheduling.placement import CPU, Node, Pool
from orchestrator.scheduling.retries import MAX_DEATHS, Retries
from orchestrator.store.recorder import Recorder
from orchestrator.store.requests import Request
from orchestrator.store.run_folder import RunFolder
from orchestrator.worker import Job
from trainer.control import GO_ON, Command
from trainer.result import Status, TrialResult

NODE = Node(node_id="n1", kind=CPU, cpus=2, gpus=0)


class Cluster:
    """A cluster whose nodes a test may take away, or begin to end."""

    def __init__(self) -> None:
        self.nodes, self.drained = [NODE], set[str]()

    def staying(self, nodes: list[Node]) -> list[Node]:
        return [node for node in nodes if node.node_id not in self.drained]

    def entries(self) -> list[dict[str, Any]]:
        same = {"Alive": True, "Labels": {}, "NodeManagerHostname": "host", "NodeManagerAddress": "address"}
        return [{**same, "NodeID": n.node_id, "Resources": {"CPU": n.cpus, "GPU": n.gpus}} for n in self.nodes]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(searcher_module.ray, "nodes", cluster.entries)
    monkeypatch.setattr(searcher_module, "staying", cluster.staying)
    monkeypatch.setattr(searcher_module, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(searcher_module, "data_problem", lambda job: None)  # there are no data here
    monkeypatch.setattr(retries, "SECONDS_TO_PAUSE", 0.0)
    return cluster


@pytest.fixture
def searcher(tmp_path: Path, cluster: Cluster) -> PlanSearcher:
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    status = SweepStatus(num_trials=4, objective=("ce", "min"), started_seconds=time.monotonic())
    search = Plan(spec)
    while search.ask():
        pass
    books, timed = open_account(folder, spec)
    run = RunContext(
        spec=spec,
        search=search,
        examples=search.trials,
        folder=folder,
        data_root=tmp_path,
        data_sha256={"tiny": "a" * 64},
        recorder=Recorder(folder, spec),
        status=status,
        display=Display(status, Console(file=io.StringIO())),
        books=books,
        timed=timed,
    )
    folder.root.mkdir()
    folder.sweep_file.touch()
    return PlanSearcher(run, Dispatcher(run, Pool([NODE]), search.trials), Board())


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
    values = {
        "step": 7,
        "num_resumes": 0,
        "steps_repeated": 0,
        "started_at": "2026-01-01T00:00:00+00:00",
        "total_seconds": 3.5,
    }
    progress.write_text(json.dumps(values))
    for attempt in range(1, MAX_DEATHS + 1):
        assert job.trial_id not in {row["trial_id"] for row in searcher.run.recorder.rows}
        searcher.on_trial_complete(f"t{attempt - 1}", error=True)
        if attempt < MAX_DEATHS:
            assert ask(searcher, f"t{attempt}").trial_id == job.trial_id
    row = searcher.run.recorder.rows[-1]
    assert (row["trial_id"], row["status"], row["steps"], row["total_seconds"]) == (job.trial_id, "failed", 7, 3.5)
    assert "died 3 times" in row["error"]


def test_a_lost_node_ends_the_sweep_aloud_once_nothing_else_can_run(searcher: PlanSearcher, cluster: Cluster) -> None:
    """While a job is out the sweep waits; then it stops and says what is missing, instead of waiting for ever."""
    for trial in list(searcher.dispatcher.waiting):
        searcher.dispatcher.waiting.add(dataclasses.replace(trial, accelerator="CPU", gpus=0.0))
    ask(searcher, "t0")
    cluster.nodes = [Node(node_id="g", kind="GPU", cpus=0.5, gpus=1)]
    assert searcher.suggest("t1") is None
    searcher.on_trial_complete("t0", error=True)
    assert searcher.suggest("t2") == Searcher.FINISHED
    assert searcher.run.status.stop_reason == "no node is left for 4 trials that need CPU"


def test_a_node_that_is_being_ended_gets_no_more_trials(searcher: PlanSearcher, cluster: Cluster) -> None:
    """Its trial may end in peace, and waits for another node; without one the sweep ends aloud."""
    job = ask(searcher, "t0")
    cluster.drained = {"n1"}
    assert searcher.suggest("t1") is None
    leave_state(searcher, job, "interrupted")
    cluster.nodes.append(Node(node_id="n2", kind=CPU, cpus=1, gpus=0))
    searcher.on_trial_complete("t0", error=True)
    assert ask(searcher, "t2").trial_id == job.trial_id and searcher.pool.held[job.trial_id].node_id == "n2"
    searcher.on_trial_complete("t2", error=True)
    cluster.drained = {"n1", "n2"}
    assert searcher.suggest("t3") == Searcher.FINISHED and "no node is left" in str(searcher.run.status.stop_reason)


def test_a_kind_on_which_a_worker_died_is_paused(searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node may be dead too, and not yet known to be: nothing is placed on its kind until that would be known."""
    monkeypatch.setattr(retries, "SECONDS_TO_PAUSE", 60.0)
    ask(searcher, "t0")
    searcher.on_trial_complete("t0", error=True)
    assert searcher.suggest("t1") is None
    searcher.dispatcher.retries = Retries()
    ask(searcher, "t2")


def test_a_dead_ray_is_an_error_and_not_a_wait(searcher: PlanSearcher, cluster: Cluster) -> None:
    """Without a single node left the driver says so."""
    cluster.nodes = []
    with pytest.raises(MachineError, match="Ray died"):
        searcher.suggest("t0")


def leave_state(searcher: PlanSearcher, job: Job, status: Status) -> None:
    """Leave the files of a trial that was told to end, as a worker would."""
    folder = searcher.run.folder.trial(job.trial_id)
    folder.write_placement(job.placement("n1"))
    folder.write_config(job.config)
    TrialResult(status=status, error="told to", steps=7).save(folder.state_file)


def beat(searcher: PlanSearcher, job: Job) -> Command:
    assert isinstance(searcher.control, Board)
    return searcher.control.beat(Beat(trial_id=job.trial_id, stage="train", node="n1", pid=1))


def test_a_stop_reaches_every_running_trial(searcher: PlanSearcher) -> None:
    """Ctrl-C, or a request for the whole sweep: nothing new starts, running trials are told to end."""
    jobs = [ask(searcher, "t0"), ask(searcher, "t1")]
    searcher.run.folder.requests.add(Request(None, "enough"))
    assert searcher.suggest("t2") is None and searcher.suggest("t3") is None
    assert [beat(searcher, job).status for job in jobs] == ["interrupted", "interrupted"]
    for index, job in enumerate(jobs):
        leave_state(searcher, job, "interrupted")
        searcher.on_trial_complete(f"t{index}")
    assert searcher.suggest("t4") == Searcher.FINISHED
    assert searcher.run.status.stop_reason == "enough" and len(searcher.dispatcher.waiting) == 4


def test_one_trial_that_is_stopped_is_not_sent_out_again(searcher: PlanSearcher) -> None:
    """Running or waiting, it gets its row `stopped_early` with the reason; the others know nothing of it."""
    job, other = ask(searcher, "t0"), ask(searcher, "t1")
    requests = searcher.run.folder.requests
    waiting = list(searcher.dispatcher.waiting.ids)
    requests.add(Request(job.trial_id, "too slow"))
    requests.add(Request(waiting[0], "not wanted"))
    assert searcher.suggest("t2") is None
    assert (beat(searcher, job), beat(searcher, other)) == (Command("stopped_early", "too slow"), GO_ON)
    leave_state(searcher, job, "stopped_early")
    searcher.on_trial_complete("t0")
    rows = {row["trial_id"]: (row["status"], row["steps"], row["error"]) for row in searcher.run.recorder.rows}
    assert rows == {waiting[0]: ("stopped_early", 0, "not wanted"), job.trial_id: ("stopped_early", 7, "told to")}
    assert list(searcher.dispatcher.waiting.ids) == waiting[1:]


@pytest.mark.parametrize("status", ["stopped_early", "deadline"])
def test_a_trial_that_goes_on_replaces_its_row(searcher: PlanSearcher, status: Status) -> None:
    """An open row makes room for the final one, also when other rows have come since."""
    job, other = ask(searcher, "t0"), ask(searcher, "t1")
    leave_state(searcher, job, status)
    searcher.on_trial_complete("t0")
    fail(searcher, other)
    searcher.on_trial_complete("t1")
    for trial in list(searcher.dispatcher.waiting):
        searcher.dispatcher.waiting.pop(trial.trial_id)
    searcher.dispatcher.waiting.add(next(one for one in searcher.run.trials if one.trial_id == job.trial_id))
    fail(searcher, ask(searcher, "t2"))
    searcher.on_trial_complete("t2")
    table = pq.read_table(searcher.run.folder.tables / "trials").to_pylist()
    found = sorted((row["trial_id"], row["status"]) for row in table)
    assert found == sorted([(job.trial_id, "failed"), (other.trial_id, "failed")])


def test_a_worker_that_was_told_to_end_has_not_died(searcher: PlanSearcher) -> None:
    """After SIGTERM its process is gone, but its state is there: no death is counted, however often it happens."""
    for attempt in range(2 * MAX_DEATHS):
        job = ask(searcher, f"t{attempt}")
        leave_state(searcher, job, "interrupted")
        searcher.on_trial_complete(f"t{attempt}", error=True)
    assert searcher.run.status.num_deaths == 0 and len(searcher.dispatcher.waiting) == 4


def test_a_trial_that_hangs_twice_is_failed_by_its_stage(searcher: PlanSearcher) -> None:
    """The first hang sends it out again, the second is its row, which names the stage and the limit."""
    for attempt in range(2):
        job = ask(searcher, f"t{attempt}")
        assert searcher.run.recorder.rows == []
        job.folder.root.mkdir(parents=True, exist_ok=True)
        job.folder.hang_file.write_text("score, limit 305 s\nTimeout (0:05:05)!\nThread 1\n")
        searcher.on_trial_complete(f"t{attempt}", error=True)
    assert searcher.run.recorder.rows[0]["error"] == "hung: score took more than its limit of 305 s, 2 times"


def test_a_process_that_gives_no_sign_of_life_is_ended(searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen as a whole, it cannot end itself; an earlier attempt's silence is not held against a new one."""
    now, ended = [0.0], []
    searcher.control = Board(clock=lambda: now[0])
    monkeypatch.setattr(searcher_module, "end_process", lambda node, pid: ended.append((node, pid)))
    for attempt in range(2):
        job = ask(searcher, f"t{attempt}")
        now[0] += 10_000.0
        searcher._read_news()
        assert len(ended) == attempt  # of this attempt nothing is known yet
        beat(searcher, job)
        now[0] += 599.0
        searcher._read_news()
        assert len(ended) == attempt
        now[0] += 2.0
        searcher._read_news()
        searcher._read_news()
        assert len(ended) == attempt + 1
        searcher.on_trial_complete(f"t{attempt}", error=True)
    [row] = searcher.run.recorder.rows
    assert row["error"] == "hung: no sign of life for 601 s, last in train, 2 times" and ended == [("n1", 1)] * 2


def test_a_stale_state_hides_no_death(searcher: PlanSearcher) -> None:
    """The state of an earlier call is gone when its trial is sent out: deaths are counted, and end in a row."""
    for attempt in range(MAX_DEATHS):
        if attempt == 0:
            first = next(iter(searcher.dispatcher.waiting))
            folder = searcher.run.folder.trial(first.trial_id)
            folder.root.mkdir(parents=True)
            TrialResult(status="interrupted").save(folder.state_file)
        assert ask(searcher, f"t{attempt}").trial_id == first.trial_id
        searcher.on_trial_complete(f"t{attempt}", error=True)
    assert [row["status"] for row in searcher.run.recorder.rows] == ["failed"]


def test_a_stop_outlives_the_worker_that_was_told(searcher: PlanSearcher) -> None:
    """A worker that dies before it obeys: its trial is not sent out again."""
    job = ask(searcher, "t0")
    searcher.run.folder.requests.add(Request(job.trial_id, "too slow"))
    searcher.suggest("t1")
    searcher.on_trial_complete("t0", error=True)
    [row] = searcher.run.recorder.rows
    assert (row["status"], row["error"]) == (
        "stopped_early",
        "too slow",
    ) and job.trial_id not in searcher.dispatcher.waiting


def test_a_trial_folder_in_use_fails_no_trial(searcher: PlanSearcher) -> None:
    """Somebody else works there: after some tries the sweep stops and says who, with nothing failed."""
    assert isinstance(searcher.control, Board)
    for attempt in range(3):
        job = ask(searcher, f"t{attempt}")
        fault = Fault(kind="busy", trial_id=job.trial_id, host="h1", message="trials/a is in use by process 7")
        searcher.control.report_fault(fault)
        searcher.on_trial_complete(f"t{attempt}")
    assert searcher.suggest("t9") == Searcher.FINISHED
    assert searcher.run.status.stop_reason == "on h1: trials/a is in use by process 7"
    assert exit_code(searcher.run.status) == 3 and searcher.run.recorder.rows == []


def test_five_equal_failures_pause_the_sweep(searcher: PlanSearcher) -> None:
    """Where all that is left would fail alike, nothing more is started, it is said why, and the exit code is 1."""
    trials = [
        dataclasses.replace(trial, trial_id=f"{trial.trial_id}{i}") for trial in searcher.run.trials for i in "ab"
    ]
    for trial in list(searcher.dispatcher.waiting):
        searcher.dispatcher.waiting.pop(trial.trial_id)
    for trial in trials:
        searcher.dispatcher.waiting.add(trial)
    for index in range(5):
        job = ask(searcher, f"t{index}")
        job.folder.write_failure(job.config, job.placement("n1"), f"OSError: no device {index}")
        searcher.on_trial_complete(f"t{index}")
    assert searcher.suggest("t9") == Searcher.FINISHED
    assert "5 equal failures in a row: OSError: no device 4" in str(searcher.run.status.stop_reason)
    assert exit_code(searcher.run.status) == 1 and len(searcher.dispatcher.waiting) == 3


def test_damaged_data_are_the_machines_fault(searcher: PlanSearcher) -> None:
    """The node gets no more trials; when none is left the sweep stops, with nothing failed and everything waiting."""
    job = ask(searcher, "t0")
    job.folder.write_placement(job.placement("n1"))
    assert isinstance(searcher.control, Board)
    fault = Fault(kind="data", trial_id=job.trial_id, host="h1", message="a.bin: is cut short")
    searcher.control.report_fault(fault)
    searcher.on_trial_complete("t0")
    assert searcher.suggest("t1") == Searcher.FINISHED
    status = searcher.run.status
    assert status.stop_reason == "no node is left for 4 trials that need any; on h1: a.bin: is cut short"
    assert exit_code(status) == 3 and searcher.run.recorder.rows == [] and job.trial_id in searcher.dispatcher.waiting


@pytest.mark.parametrize("kind", ["data", "versions", "link", "scratch"])
def test_a_fault_of_one_node_costs_that_node(searcher: PlanSearcher, kind: FaultKind) -> None:
    """The node that met it, though the trial has left nothing there and ran on another one before."""
    searcher.pool.set_nodes([Node(node_id=name, kind="CPU", cpus=1, gpus=0) for name in ("n1", "n2")])
    job = ask(searcher, "t0")
    job.folder.write_placement(job.placement("n1"))
    assert isinstance(searcher.control, Board)
    fault = Fault(kind=kind, trial_id=job.trial_id, host="h2", message="bad", node="n2", attempt=job.attempt)
    searcher.control.report_fault(fault)
    searcher.on_trial_complete("t0")
    assert searcher.pool.excluded == {"n2": "on h2: bad"} and searcher.run.status.stop_reason is None
    assert job.trial_id in searcher.dispatcher.waiting


def test_a_fault_of_an_earlier_attempt_counts_no_more(searcher: PlanSearcher) -> None:
    """It is said late, when the trial runs elsewhere; attempts grow."""
    first = ask(searcher, "t0")
    searcher.on_trial_complete("t0")
    second = ask(searcher, "t1")
    assert second.trial_id == first.trial_id and second.attempt > first.attempt
    assert isinstance(searcher.control, Board)
    late = Fault(kind="disk", trial_id=first.trial_id, host="h1", message="full", node="n1", attempt=first.attempt)
    searcher.control.report_fault(late)
    searcher.on_trial_complete("t1")
    assert not searcher.pool.excluded and searcher.run.status.stop_reason is None


def test_a_full_disk_of_a_worker_stops_the_sweep(searcher: PlanSearcher) -> None:
    """Nothing is failed, and the exit code says that the machine is at fault."""
    job = ask(searcher, "t0")
    assert isinstance(searcher.control, Board)
    fault = Fault(kind="disk", trial_id=job.trial_id, host="h1", message="run cannot be written: No space left")
    searcher.control.report_fault(fault)
    searcher.on_trial_complete("t0")
    assert searcher.suggest("t1") == Searcher.FINISHED
    assert searcher.run.status.stop_reason == "on h1: run cannot be written: No space left"
    assert exit_code(searcher.run.status) == 3 and len(searcher.dispatcher.waiting) == 4


def test_a_full_disk_is_no_trials_fault(searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a row cannot be written the sweep stops, and its trial is still waiting."""
    job = ask(searcher, "t0")
    fail(searcher, job)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(searcher.run.recorder, "record", full)
    searcher.on_trial_complete("t0")
    assert "No space left" in str(searcher.run.status.stop_reason) and job.trial_id in searcher.dispatcher.waiting
    assert exit_code(searcher.run.status) == 3


def test_a_trial_that_memory_killed_three_times_is_out_of_memory(
    searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ray's words or by the kernel's counter, which has grown since the last beat; its row names memory and host."""
    kills = iter([5, 4])
    monkeypatch.setattr(searcher.deaths, "kills_of", lambda node: next(kills))
    for attempt in range(MAX_DEATHS):
        job = ask(searcher, f"t{attempt}")
        pulse = Beat(trial_id=job.trial_id, stage="train", node="n1", pid=1, host="small", memory_kills=4)
        searcher.control.beat(pulse)
        if attempt != 1:
            searcher.deaths.error(job.trial_id, "1 worker(s) were killed due to the node running low on memory.")
        searcher.on_trial_complete(f"t{attempt}", error=True)
    row = searcher.run.recorder.rows[-1]
    assert (row["trial_id"], row["status"]) == (job.trial_id, "out_of_memory")
    assert "the memory of small ran out; the worker died 3 times" in row["error"]


def test_a_death_without_a_kill_for_memory_is_no_want_of_memory(
    searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter of the machine may have grown before the trial began: only what came since its last beat counts."""
    monkeypatch.setattr(searcher.deaths, "kills_of", lambda node: 4)
    for attempt in range(MAX_DEATHS):
        job = ask(searcher, f"t{attempt}")
        searcher.control.beat(
            Beat(trial_id=job.trial_id, stage="train", node="n1", pid=1, host="large", memory_kills=4)
        )
        searcher.on_trial_complete(f"t{attempt}", error=True)
    assert searcher.run.recorder.rows[-1]["status"] == "failed"


def on_cards(searcher: PlanSearcher, *cards: tuple[str, float], batch: int = 8) -> None:
    """Let trials use a card, of which there are these: kind and gigabytes."""
    nodes = [
        Node(node_id=kind, kind=kind, cpus=1, gpus=1, device_bytes=round(gigabytes * 1e9)) for kind, gigabytes in cards
    ]
    searcher.pool.set_nodes(nodes)
    for trial in list(searcher.dispatcher.waiting):
        train = trial.config.train.model_copy(update={"batch_sequences": batch, "sequence_tokens": 128})
        config = trial.config.model_copy(update={"train": train, "device": "auto"})
        searcher.dispatcher.waiting.pop(trial.trial_id)
        again = dataclasses.replace(trial, config=config, gpus=1.0, trial_id=config.trial_id)
        searcher.dispatcher.waiting.add(again)


def test_what_fits_no_card_is_infeasible_and_says_why(searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each trial, nothing is started, and the sweep ends well: an answer is no failure."""
    monkeypatch.setattr(searcher, "_look", lambda: None)
    on_cards(searcher, ("A40", 2), batch=60_000)
    while searcher.suggest("t") != Searcher.FINISHED:
        assert not searcher.running
    rows = searcher.run.recorder.rows
    assert {row["status"] for row in rows} == {"infeasible"} and len(rows) == 4
    assert all("the largest device has 2.0 GB (A40)" in row["error"] for row in rows)
    assert exit_code(searcher.run.status) == 0


def test_a_trial_out_of_memory_is_tried_once_on_a_larger_card(
    searcher: PlanSearcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first result is kept beside; on the larger card the second one is its row."""
    monkeypatch.setattr(searcher, "_look", lambda: None)
    on_cards(searcher, ("A40", 48))
    job = ask(searcher, "t0")
    on_cards(searcher, ("A40", 48), ("H100", 80))
    for tune_id, kind in (("t0", "A40"), ("t1", "H100")):
        if tune_id == "t1":
            job = ask(searcher, "t1")
        assert job.accelerator == kind
        job.folder.write_failure(job.config, job.placement(kind), "CUDA out of memory", "out_of_memory")
        searcher.on_trial_complete(tune_id)
    [row] = searcher.run.recorder.rows
    assert (row["trial_id"], row["status"], row["accelerator"]) == (job.trial_id, "out_of_memory", "H100")
    assert (job.folder.root / "result.out_of_memory.json").exists()


def test_a_slot_is_where_its_trial_really_runs(searcher: PlanSearcher) -> None:
    """Ray has chosen the other one of two equal nodes: when the trial ends, that one is free, and it alone.

    So a trial whose node leaves is not sent to a node that another trial uses, where it would wait for ever.
    """
    searcher.pool.set_nodes([Node(node_id=name, kind=CPU, cpus=1, gpus=0) for name in ("n1", "n2")])
    first, second = ask(searcher, "t0"), ask(searcher, "t1")
    assert isinstance(searcher.control, Board)
    for job, node in ((first, "n2"), (second, "n1")):
        searcher.control.beat(Beat(trial_id=job.trial_id, stage="train", node=node, pid=1))
    searcher._read_news()
    searcher.pool.set_nodes([Node(node_id="n1", kind=CPU, cpus=1, gpus=0)])
    leave_state(searcher, first, "interrupted")
    searcher.on_trial_complete("t0", error=True)
    assert searcher.dispatcher.next(0.0) is None and first.trial_id in searcher.dispatcher.waiting
