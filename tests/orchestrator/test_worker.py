"""What becomes of a trial on a worker: its own errors are its row, faults of the machine are told to the driver."""

from __future__ import annotations

import dataclasses
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_config

from orchestrator import worker
from orchestrator.control_channel import Board
from orchestrator.store.file_server import FileServer
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.workplace import begin_session
from orchestrator.worker import Job, data_problem, run_job
from trainer.control import Command
from trainer.data.dataset import open_dataset
from trainer.training import loop


@pytest.fixture
def job(tmp_path: Path, data_root: Path) -> Job:
    """A job whose data are a copy that a test may spoil."""
    shutil.copytree(data_root, tmp_path / "data")
    config = tiny_config()
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    return Job(
        trial_id=config.trial_id,
        config=config.model_dump(mode="json"),
        run_folder=str(folder.root),
        data_root=str(tmp_path / "data"),
        accelerator_wanted="any",
        accelerator="CPU",
        num_gpus=0,
        data_sha256=open_dataset("tiny", data_root).sha256,
    )


def run(job: Job, board: Board | None = None, report: Callable[[Any], None] = lambda report: None) -> Board:
    board = board or Board()
    run_job(job, node="n1", channel=board, report=report)
    return board


def test_a_trial_leaves_its_result_and_says_its_stages(job: Job) -> None:
    """Without anything wrong nothing is told but the stage, and the watch leaves no file."""
    news = run(job).take_news()
    result = job.folder.result()
    assert result is not None and result.status == "completed"
    assert set(news.beats) == {job.trial_id} and not news.faults and not news.notes
    assert not job.folder.hang_file.exists() and job.folder.node() == "n1"


def test_an_error_of_the_trial_is_its_row(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status `failed`, the error in one line, the traceback in its log; no machine is blamed."""
    monkeypatch.setattr(loop, "_losses", lambda *args: 1 / 0)
    assert run(job).take_news().faults == []
    result = job.folder.result()
    assert result is not None and (result.status, result.error) == ("failed", "ZeroDivisionError: division by zero")
    assert "Traceback" in job.folder.log_file.read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE])
def test_a_disk_that_cannot_be_written_is_the_machines_fault(
    job: Job, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full, over quota, read-only, broken or lost: the driver is told, and the trial has no row."""

    def broken(*args: object) -> None:
        raise OSError(number, "made up")

    monkeypatch.setattr(loop, "save_checkpoint", broken)
    [fault] = run(job).take_news().faults
    assert (fault.kind, fault.trial_id) == ("disk", job.trial_id) and "made up" in fault.message
    assert job.folder.result() is None and job.folder.state() is None


DAMAGES = {
    "shard cut": "datasets/tiny/*train*.bin",
    "shard changed": "datasets/tiny/*val*.bin",
    "shard gone": "datasets/tiny/*train*.bin",
    "tokenizer cut": "tokenizers/*.model",
    "tokenizer gone": "tokenizers/*.model",
    "manifest cut": "manifest.json",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data_are_the_machines_fault(job: Job, damage: str) -> None:
    """Whatever is wrong with shard, tokenizer or manifest, the driver is told the file, and the trial has no row."""
    [path] = Path(job.data_root).glob(DAMAGES[damage])
    whole = path.read_bytes()
    path.unlink()
    if not damage.endswith("gone"):
        path.write_bytes(whole[: len(whole) // 2] + (b"\7" * (len(whole) // 2) if damage.endswith("changed") else b""))
    [fault] = run(job).take_news().faults
    assert fault.kind == "data" and job.folder.result() is None
    assert path.name in fault.message or "is not the data of this sweep" in fault.message
    path.write_bytes(whole)
    assert data_problem(job) is None


def test_an_error_while_the_data_are_damaged_is_theirs(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that is cut in mid-trial shows as some error of the training: the data are looked at first."""
    [path] = Path(job.data_root).glob("datasets/tiny/*train*.bin")

    def losses(*args: object) -> None:
        path.write_bytes(b"")
        raise IndexError("out of range")

    monkeypatch.setattr(loop, "_losses", losses)
    [fault] = run(job).take_news().faults
    assert fault.kind == "data" and path.name in fault.message and job.folder.result() is None


def test_sigterm_ends_a_trial_at_its_checkpoint(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial's state says why."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)
    run(job, report=lambda report: worker.terminated.set())
    worker.terminated.clear()
    state = job.folder.state()
    assert state is not None and (state.status, state.steps) == ("interrupted", 1)
    assert "SIGTERM" in str(state.error)


def test_a_command_of_the_driver_is_followed(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the board says at a heartbeat, the trial does at its next report."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)
    board = Board()
    board.tell(Command("stopped_early", "dominated"), job.trial_id)
    run(job, board)
    state = job.folder.state()
    assert state is not None and (state.status, state.error) == ("stopped_early", "dominated")


def test_a_driver_that_does_not_answer_ends_no_trial(job: Job) -> None:
    """Without an answer a trial goes on."""

    class Silent(Board):
        def beat(self, beat: object) -> Command:
            raise ConnectionError

    run(job, Silent())
    result = job.folder.result()
    assert result is not None and result.status == "completed"


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_run_folder(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that sees the run folder and cannot copy the data: its own disk is at fault, not the sweep's."""
    session = begin_session(Path(job.run_folder))
    server = FileServer(Path(job.run_folder), tmp_path / "data", {"tiny": {"datasets/tiny/x": 1}})
    monkeypatch.setenv("FROSTLINE_CACHE", "/dev/null/cache")
    board = Board()
    elsewhere = dataclasses.replace(job, session=session, data_root=str(tmp_path / "none"), attempt=1)
    run_job(
        elsewhere,
        node="n1",
        channel=board,
        report=lambda report: None,
        call=lambda method, *arguments: getattr(server, method)(*arguments),
    )
    [fault] = board.take_news().faults
    assert fault.kind == "scratch" and fault.message.startswith("/dev/null/cache")
