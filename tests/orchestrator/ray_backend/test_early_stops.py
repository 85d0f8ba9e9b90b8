"""What the searcher does with verdicts of early stopping, and with trials that are to go on after all."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from plan import Plan
from rich.console import Console
from sweeps import tiny_sweep

from orchestrator.control_channel import Beat, Board
from orchestrator.early_stopping.rule import Verdict
from orchestrator.early_stopping.stop_log import StopLog
from orchestrator.early_stopping.stopper import Stopper
from orchestrator.ledger.account import open_account
from orchestrator.progress.display import Display
from orchestrator.progress.summary import after_lines, exit_code
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.ray_backend import searcher as searcher_module
from orchestrator.ray_backend.searcher import PlanSearcher
from orchestrator.run_context import RunContext
from orchestrator.scheduling.dispatcher import Dispatcher
from orchestrator.scheduling.placement import CPU, Node, Pool
from orchestrator.store.recorder import Recorder
from orchestrator.store.requests import Request
from orchestrator.store.run_folder import RunFolder
from orchestrator.worker import Job
from search_spaces.spec.sections.keep import KeepConfig
from trainer.config.trial import TrialConfig
from trainer.control import GO_ON, Command
from trainer.result import Status, TrialResult

NODE = Node(node_id="n1", kind=CPU, cpus=1, gpus=0)
STOP = Verdict(
    action="stop", step=4, predicted=3.0, best_case=2.9, band="conformal", dominated_by="x", margin=0.1, reason="why"
)


class Scripted(Stopper):
    """A stopper whose verdicts a test sets: what a trial reports is judged at once."""

    verdict = STOP

    def looked(self, trial_id: str, config: TrialConfig, looks: Any) -> None:
        if looks and trial_id not in self.verdicts:
            self._found.put((trial_id, self.verdict))


@pytest.fixture
def searcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanSearcher:
    """One slot, a plan of four trials."""
    entry = {
        "NodeID": "n1",
        "Alive": True,
        "Resources": {"CPU": 1, "GPU": 0},
        "Labels": {},
        "NodeManagerHostname": "h",
        "NodeManagerAddress": "a",
    }
    monkeypatch.setattr(searcher_module.ray, "nodes", lambda: [entry])
    monkeypatch.setattr(searcher_module, "staying", list)
    monkeypatch.setattr(searcher_module, "SECONDS_BETWEEN_LOOKS", 0.0)
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    status = SweepStatus(num_trials=4, objective=("ce", "min"), started_seconds=time.monotonic())
    search = Plan(spec)
    while search.ask():
        pass
    log = StopLog(folder.early_stopping_file)
    recorder = Recorder(folder, spec, log.read())
    books, timed = open_account(folder, spec)
    run = RunContext(
        spec=spec,
        search=search,
        examples=search.trials,
        folder=folder,
        data_root=tmp_path,
        data_sha256={"tiny": "a" * 64},
        recorder=recorder,
        status=status,
        display=Display(status, Console(file=io.StringIO())),
        books=books,
        timed=timed,
        stopper=Scripted(spec, log, recorder.verdicts, print),
    )
    folder.root.mkdir()
    folder.sweep_file.touch()
    return PlanSearcher(run, Dispatcher(run, Pool([NODE]), search.trials), Board())


def ask(searcher: PlanSearcher, tune_id: str) -> Job:
    suggestion = searcher.suggest(tune_id)
    assert isinstance(suggestion, dict)
    return Job(**json.loads(suggestion["job"]))


def report(searcher: PlanSearcher, tune_id: str, looks: list[tuple[int, float]]) -> None:
    values = {"step": 4, "total_steps": 12, "ce": 5.0, "tokens_per_s": 1.0, "looks": looks}
    searcher.on_trial_result(tune_id, values)


def told(searcher: PlanSearcher, job: Job) -> Command:
    """What a trial is told at its next beat, once the driver has looked."""
    searcher.suggest("nobody")
    assert isinstance(searcher.control, Board)
    return searcher.control.beat(Beat(trial_id=job.trial_id, stage="train", node="n1", pid=1))


def leave(searcher: PlanSearcher, job: Job, status: Status, **values: Any) -> tuple[Any, dict[str, Any]]:
    """Leave the files that a worker would, with a checkpoint beside a state; and end the trial."""
    folder = searcher.run.folder.trial(job.trial_id)
    folder.write_placement(job.placement("n1"))
    folder.write_config(job.config)
    values = {"steps": 4, "steps_planned": 12, "finished_at": "2026-01-01T00:00:00+00:00", **values}
    is_open = status == "stopped_early"
    TrialResult(status=status, **values).save(folder.state_file if is_open else folder.result_file)
    if is_open:
        folder.checkpoint_file.parent.mkdir(parents=True, exist_ok=True)
    searcher.on_trial_complete(next(iter(searcher.running)))
    return folder, next(row for row in searcher.run.recorder.rows if row["trial_id"] == job.trial_id)


def test_a_trial_that_cannot_win_is_told_to_end(searcher: PlanSearcher) -> None:
    """At its next beat after the look; its row holds step, forecast, best case and what dominates it."""
    job = ask(searcher, "t0")
    report(searcher, "t0", [])
    assert told(searcher, job) == GO_ON
    report(searcher, "t0", [(4, 3.3)])
    assert told(searcher, job) == Command("stopped_early", "why")
    _, row = leave(searcher, job, "stopped_early", error="why")
    assert (row["status"], row["stop_step"], row["stop_predicted"]) == ("stopped_early", 4, 3.0)
    assert (row["stop_best_case"], row["stop_band"], row["stop_dominated_by"]) == (2.9, "conformal", "x")
    assert row["stop_audited"] is False and job.trial_id not in searcher.dispatcher.waiting


def test_an_audited_trial_runs_on(searcher: PlanSearcher) -> None:
    """It is told nothing, and its row says what was decided."""
    assert isinstance(searcher.run.stopper, Scripted)
    searcher.run.stopper.verdict = dataclasses.replace(STOP, action="audit")
    job = ask(searcher, "t0")
    report(searcher, "t0", [(4, 3.3)])
    assert told(searcher, job) == GO_ON
    _, row = leave(searcher, job, "completed", ce=2.0, artifact_bytes=9)
    assert (row["status"], row["stop_audited"], row["stop_best_case"]) == ("completed", True, 2.9)
    [line] = [one for one in after_lines(searcher.run, num_before=0) if one.startswith("early stopping")]
    assert "of 1 that were to be stopped and ran on, 1 ended better than their best case" in line


def test_a_stop_that_comes_too_late_changes_nothing(searcher: PlanSearcher) -> None:
    """The trial completed first: its result stands, and its row says that it was to be stopped."""
    job = ask(searcher, "t0")
    report(searcher, "t0", [(4, 3.3)])
    _, row = leave(searcher, job, "completed", ce=2.0, artifact_bytes=9)
    assert (row["status"], row["stop_step"], row["stop_audited"]) == ("completed", 4, False)
    assert ask(searcher, "t1").trial_id != job.trial_id


def test_a_sweep_with_stopped_trials_ends_well(searcher: PlanSearcher) -> None:
    """All four stopped: exit code 0, the share of saved steps, and what goes on with them."""
    for index in range(4):
        job = ask(searcher, f"t{index}")
        report(searcher, f"t{index}", [(4, 3.3)])
        told(searcher, job)
        leave(searcher, job, "stopped_early", error="why")
    assert exit_code(searcher.run.status) == 0
    lines = "\n".join(after_lines(searcher.run, num_before=0))
    assert "4 trials stopped early, 67% of all steps saved; none ran on to check the rule" in lines
    assert "frostline retry" in lines


def test_a_retried_trial_goes_first_and_is_not_stopped_again(searcher: PlanSearcher) -> None:
    """Its checkpoint and its place in the table stay, it counts once, and the rule does not touch it."""
    job = ask(searcher, "t0")
    report(searcher, "t0", [(4, 3.3)])
    told(searcher, job)
    folder, _ = leave(searcher, job, "stopped_early", error="why")
    searcher.run.folder.requests.add(Request(job.trial_id, "wanted", "retry"))
    again = ask(searcher, "t1")
    assert again.trial_id == job.trial_id and folder.checkpoint_file.parent.exists()
    report(searcher, "t1", [(4, 3.3), (6, 3.2)])
    assert told(searcher, again) == GO_ON
    _, row = leave(searcher, again, "completed", ce=2.0, artifact_bytes=9)
    assert row["status"] == "completed" and row.get("stop_step") is None
    assert dict(searcher.run.status.counts) == {"stopped_early": 0, "completed": 1}
    assert len(searcher.run.recorder.rows) == 1


@pytest.mark.parametrize("end", ["death", "interrupt"])
def test_what_stopped_a_trial_once_does_not_stop_its_retry(searcher: PlanSearcher, end: str) -> None:
    """Its worker dies, or it is interrupted, while it goes on: it is sent out again."""
    job = ask(searcher, "t0")
    report(searcher, "t0", [(4, 3.3)])
    told(searcher, job)
    folder, _ = leave(searcher, job, "stopped_early", error="why")
    searcher.run.folder.requests.add(Request(job.trial_id, "wanted", "retry"))
    again = ask(searcher, "t1")
    if end == "interrupt":
        TrialResult(status="interrupted").save(folder.state_file)
    searcher.on_trial_complete("t1", error=end == "death")
    assert next(iter(searcher.dispatcher.waiting.ids)) == again.trial_id
    assert (state := folder.state()) is None or state.status == "interrupted"


def test_a_stopped_trial_goes_on_by_itself(searcher: PlanSearcher) -> None:
    """When the rule says that the front moved back; only from a checkpoint."""
    job = ask(searcher, "t0")
    report(searcher, "t0", [(4, 3.3)])
    told(searcher, job)
    folder, _ = leave(searcher, job, "stopped_early", error="why")
    assert searcher.run.stopper is not None
    searcher.run.stopper._found.put((job.trial_id, Verdict(action="go_on", step=4, reason="moved back")))
    folder.checkpoint_file.touch()
    assert ask(searcher, "t1").trial_id == job.trial_id


def test_a_request_to_retry_what_is_done_changes_nothing(searcher: PlanSearcher) -> None:
    """A completed trial keeps its result."""
    job = ask(searcher, "t0")
    folder, _ = leave(searcher, job, "completed", ce=2.0, artifact_bytes=9)
    searcher.run.folder.requests.add(Request(job.trial_id, "wanted", "retry"))
    assert ask(searcher, "t1").trial_id != job.trial_id and folder.result() is not None


def test_what_runs_or_waits_cannot_be_retried(searcher: PlanSearcher) -> None:
    """Such a request is passed over."""
    job = ask(searcher, "t0")
    waiting = list(searcher.dispatcher.waiting.ids)
    for trial_id in (job.trial_id, waiting[0], "nobody"):
        searcher.run.folder.requests.add(Request(trial_id, "wanted", "retry"))
    searcher.suggest("t1")
    assert list(searcher.dispatcher.waiting.ids) == waiting and not searcher.run.recorder.rows


@pytest.mark.parametrize("num_kept", [0, 1, 10])
def test_checkpoints_of_stopped_trials_are_kept_as_the_sweep_says(searcher: PlanSearcher, num_kept: int) -> None:
    """As many as `keep.checkpoints` of three, and what was removed is said at the end."""
    keep = KeepConfig(checkpoints=num_kept)
    searcher.run = dataclasses.replace(searcher.run, spec=dataclasses.replace(searcher.run.spec, keep=keep))
    for index in range(3):
        job = ask(searcher, f"t{index}")
        report(searcher, f"t{index}", [(4, 3.3)])
        told(searcher, job)
        searcher.run.folder.trial(job.trial_id).checkpoint_file.parent.mkdir(parents=True)
        searcher.run.folder.trial(job.trial_id).checkpoint_file.write_bytes(bytes(1_000))
        leave(searcher, job, "stopped_early", error="why")
    kept = list(searcher.run.folder.root.glob("trials/*/checkpoint/state.pt"))
    assert len(kept) == min(3, num_kept)
    said = [line for line in after_lines(searcher.run, num_before=0) if line.startswith("not kept")]
    num_gone = 3 - len(kept)
    assert bool(said) == bool(num_gone) and all(f": {num_gone} checkpoint" in line for line in said)


def test_an_artifact_goes_when_its_trial_is_recorded(searcher: PlanSearcher) -> None:
    """With `none`: the row keeps bytes and SHA-256; a trial that failed keeps what it left."""
    keep = KeepConfig(artifacts="none")
    searcher.run = dataclasses.replace(searcher.run, spec=dataclasses.replace(searcher.run.spec, keep=keep))
    for index, status in enumerate(("completed", "failed")):
        job = ask(searcher, f"t{index}")
        path = searcher.run.folder.trial(job.trial_id).artifact_file
        path.parent.mkdir(parents=True)
        path.write_bytes(b"model")
        _, row = leave(searcher, job, status, ce=2.0, artifact_bytes=5, artifact_sha256="a" * 64)  # type: ignore[arg-type]
        assert path.exists() == (status == "failed")
        assert (row["artifact_bytes"], row["artifact_sha256"]) == (5, "a" * 64)
