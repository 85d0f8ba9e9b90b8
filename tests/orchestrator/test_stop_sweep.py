"""`frostline stop` and `frostline retry`: what is asked reaches the driver, and what cannot be asked is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweeps import tiny_sweep

from orchestrator import stop_sweep as module
from orchestrator.early_stopping.stop_log import StopLog
from orchestrator.errors import UsageError
from orchestrator.search.planner import plan
from orchestrator.stop_sweep import RETRIED, retry_trials, stop_sweep
from orchestrator.store.requests import Request
from orchestrator.store.run_folder import RunFolder
from trainer.locks import sole_owner
from trainer.result import TrialResult


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run folder with four planned trials."""
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    folder.write_spec(spec.resolved(), {}, [trial.trial_id for trial in plan(spec)])
    return folder


@pytest.fixture
def taken(folder: RunFolder) -> Iterator[list[Request]]:
    """The requests that a driver takes, which is at work on the folder."""
    taken: list[Request] = []
    at_work, ended = threading.Event(), threading.Event()

    def drive() -> None:
        with sole_owner(folder.root):
            at_work.set()
            while not ended.wait(0.01):
                taken.extend(folder.requests.take())

    driver = threading.Thread(target=drive)
    driver.start()
    assert at_work.wait(timeout=60)
    yield taken
    ended.set()
    driver.join()


def test_a_request_reaches_the_driver(folder: RunFolder, taken: list[Request]) -> None:
    """A trial by the beginning of its id, or the whole sweep; the reason comes along, and nothing stays behind."""
    trial_id = next(one for one in folder.versions.planned() or [] if one.startswith("selective"))
    assert trial_id in stop_sweep(folder.root, trial_id[:-3], "too slow")
    assert "no more trials start" in stop_sweep(folder.root, None, "enough")
    assert taken == [Request(trial_id, "too slow"), Request(None, "enough")]
    assert list(folder.requests.root.iterdir()) == []


def test_what_cannot_be_stopped_is_said(folder: RunFolder, taken: list[Request], tmp_path: Path) -> None:
    """No run, no such trial, several, a finished one."""
    first, *_ = folder.versions.planned() or []
    TrialResult(status="completed", ce=1.0, artifact_bytes=1).save(folder.trial(first).result_file)
    for trial, error in (
        ("nosuch", "has 0 trials whose id begins with nosuch"),
        ("baseline", "has 2 trials whose id begins with baseline"),
        (first, "is finished already: completed"),
    ):
        with pytest.raises(UsageError, match=error):
            stop_sweep(folder.root, trial, "")
    with pytest.raises(UsageError, match="is no run folder"):
        stop_sweep(tmp_path / "none", None, "")
    assert taken == []


def test_without_a_driver_nothing_is_asked(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that nobody would take is refused, and one that nobody takes in time is withdrawn."""
    with pytest.raises(UsageError, match="no driver is at work there"):
        stop_sweep(folder.root, None, "")
    monkeypatch.setattr(module, "SECONDS_TO_WAIT", 0.2)
    with sole_owner(folder.root), pytest.raises(UsageError, match="did not take the request"):
        stop_sweep(folder.root, None, "")
    assert list(folder.requests.take()) == []


def test_a_request_is_there_until_it_was_obeyed(folder: RunFolder) -> None:
    """A driver that dies while it obeys leaves the request to the next one."""
    folder.requests.add(Request("a", "wanted", "retry"))
    folder.requests.add(Request("b", "wanted", "retry"))
    taken = folder.requests.take()
    assert next(taken).trial_id == "a" and len(list(folder.requests.root.iterdir())) == 2
    taken.close()
    assert [one.trial_id for one in folder.requests.take()] == ["a", "b"]
    assert list(folder.requests.take()) == []


def test_a_retry_without_a_driver_waits_for_the_next_call(folder: RunFolder) -> None:
    """The trial counts as not finished, its checkpoint stays, its state is kept beside, and it is not stopped again."""
    stopped, failed, *_ = folder.versions.planned() or []
    TrialResult(status="stopped_early").save(folder.trial(stopped).state_file)
    TrialResult(status="failed").save(folder.trial(failed).result_file)
    folder.trial(stopped).checkpoint_file.parent.mkdir()
    lines = retry_trials(folder.root, [stopped, failed])
    assert lines == [
        f"{stopped} was stopped_early: the next frostline run goes on with it",
        f"{failed} was failed: the next frostline run goes on with it",
    ]
    assert folder.trial(stopped).state() is None and folder.trial(failed).result() is None
    assert folder.trial(stopped).checkpoint_file.parent.exists()
    assert (folder.trial(stopped).root / "state.stopped_early.json").exists()
    assert {name: one.action for name, one in StopLog(folder.early_stopping_file).read().items()} == {
        stopped: "go_on",
        failed: "go_on",
    }


def test_a_retry_reaches_the_driver(folder: RunFolder, taken: list[Request]) -> None:
    """One request for each trial; also of a trial that no version of the file planned, as a search chose it."""
    first, *_ = folder.versions.planned() or []
    for trial_id in (first, "chosen-by-a-search"):
        TrialResult(status="stopped_early").save(folder.trial(trial_id).state_file)
    lines = retry_trials(folder.root, [first, "chosen"])
    assert all(line.endswith("it goes on as soon as a slot is free") for line in lines)
    assert taken == [Request(one, RETRIED, "retry") for one in (first, "chosen-by-a-search")]


def test_what_cannot_be_retried_is_said_and_nothing_changes(folder: RunFolder) -> None:
    """A trial that completed or has not begun; those beside it are left alone."""
    first, second, third, *_ = folder.versions.planned() or []
    TrialResult(status="stopped_early").save(folder.trial(first).state_file)
    TrialResult(status="completed", ce=1.0, artifact_bytes=1).save(folder.trial(second).result_file)
    for wrong, status in ((second, "completed"), (third, "not begun")):
        with pytest.raises(
            UsageError, match=f"is {status}: only what is stopped_early or failed or out_of_memory can be retried"
        ):
            retry_trials(folder.root, [first, wrong])
    assert folder.trial(first).state() is not None and not folder.early_stopping_file.exists()
