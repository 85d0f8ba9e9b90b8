"""`frostline stop`: what is asked reaches the driver, and what cannot be asked is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweeps import tiny_sweep

from orchestrator import stop_sweep as module
from orchestrator.errors import UsageError
from orchestrator.search.planner import plan
from orchestrator.stop_sweep import stop_sweep
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.stop_requests import StopRequest
from trainer.locks import sole_owner
from trainer.result import TrialResult


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run folder with four planned trials."""
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    folder.write_spec(spec.resolved(), {}, [trial.trial_id for trial in plan(spec)])
    return folder


@pytest.fixture
def taken(folder: RunFolder) -> Iterator[list[StopRequest]]:
    """The requests that a driver takes, which is at work on the folder."""
    taken: list[StopRequest] = []
    ended = threading.Event()

    def drive() -> None:
        with sole_owner(folder.root):
            while not ended.wait(0.01):
                taken.extend(folder.stop_requests.take())

    driver = threading.Thread(target=drive)
    driver.start()
    yield taken
    ended.set()
    driver.join()


def test_a_request_reaches_the_driver(folder: RunFolder, taken: list[StopRequest]) -> None:
    """A trial by the beginning of its id, or the whole sweep; the reason comes along, and nothing stays behind."""
    trial_id = next(one for one in folder.versions.planned() or [] if one.startswith("selective"))
    assert trial_id in stop_sweep(folder.root, trial_id[:-3], "too slow")
    assert "no more trials start" in stop_sweep(folder.root, None, "enough")
    assert taken == [StopRequest(trial_id, "too slow"), StopRequest(None, "enough")]
    assert list(folder.stop_requests.root.iterdir()) == []


def test_what_cannot_be_stopped_is_said(folder: RunFolder, taken: list[StopRequest], tmp_path: Path) -> None:
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
    assert list(folder.stop_requests.take()) == []
