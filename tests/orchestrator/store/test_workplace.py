"""A trial runs in the run folder where its worker sees it, else in a scratch folder; what is left is the same."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from file_link import FaultyLink
from tiny import tiny_config

from orchestrator.control_channel import Board, Fault
from orchestrator.store.dataset_copy import has_dataset
from orchestrator.store.file_server import FileServer, dataset_files
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.workplace import CACHE_VARIABLE, begin_session, sees_run_folder
from orchestrator.worker import Job, run_job
from trainer.control import Command
from trainer.data.dataset import open_dataset
from trainer.locks import sole_owner
from trainer.versions import own_versions


@pytest.fixture
def far_job(tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job as a worker on another machine gets it: neither run folder nor data are where it says."""
    config = tiny_config()
    (tmp_path / "run").mkdir()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return Job(
        trial_id=config.trial_id,
        config=config.model_dump(mode="json"),
        run_folder=str(tmp_path / "elsewhere" / "run"),
        data_root=str(tmp_path / "elsewhere" / "data"),
        accelerator_wanted="any",
        accelerator="CPU",
        num_gpus=0,
        data_sha256=open_dataset("tiny", data_root).sha256,
        session=begin_session(tmp_path / "run"),
        attempt=1,
        versions=own_versions(),
    )


@pytest.fixture
def server(tmp_path: Path, data_root: Path) -> FileServer:
    return FileServer(tmp_path / "run", data_root, {"tiny": dataset_files("tiny", data_root)})


def run(
    job: Job, server: FileServer, board: Board | None = None, report: Callable[[Any], None] = lambda r: None
) -> list[Fault]:
    board = board or Board()
    run_job(job, node="n1", channel=board, report=report, call=FaultyLink(server))
    return board.take_news().faults


def row(run_folder: Path, trial_id: str) -> dict[str, Any]:
    result = RunFolder(run_folder).trial(trial_id).result()
    assert result is not None
    own = ("_seconds", "_at", "tokens_per_s", "worker", "peak_memory_bytes")  # differ from run to run
    return {key: value for key, value in dataclasses.asdict(result).items() if not key.endswith(own)}


def test_a_trial_without_a_shared_disk_leaves_the_same_row(
    far_job: Job, server: FileServer, tmp_path: Path, data_root: Path
) -> None:
    """The same as in the run folder itself, artifact and curve too; the scratch folder is gone, the data are kept."""
    assert run(far_job, server) == []
    near = dataclasses.replace(far_job, run_folder=str(tmp_path / "near"), data_root=str(data_root))
    run_job(near, node="n1", channel=Board(), report=lambda report: None)
    assert row(tmp_path / "run", far_job.trial_id) == row(tmp_path / "near", near.trial_id)
    far, here = (tmp_path / name / "trials" / near.trial_id for name in ("run", "near"))
    visible = [{p.name for p in root.iterdir() if not p.name.startswith(".")} for root in (far, here)]
    assert visible[0] == visible[1]
    assert (far / "artifact.frost").read_bytes() == (here / "artifact.frost").read_bytes()
    assert not list((tmp_path / "cache" / "scratch").glob("*/*"))
    assert has_dataset("tiny", far_job.data_sha256, tmp_path / "cache" / "data" / far_job.data_sha256[:16])
    assert not (tmp_path / "elsewhere").exists()


def test_a_trial_goes_on_elsewhere_from_what_was_sent(far_job: Job, server: FileServer, tmp_path: Path) -> None:
    """Told to end on one machine, its checkpoint goes on on another, and no step is repeated."""
    board = Board()

    def end(report: Any) -> None:
        board.tell(Command("interrupted", "moving"))

    slow = {**far_job.config, "train": {**far_job.config["train"], "steps": 1_500}}
    job = dataclasses.replace(far_job, config=slow)
    assert run(job, server, board, end) == []
    folder = RunFolder(tmp_path / "run").trial(job.trial_id)
    state = folder.state()
    assert state is not None and 0 < state.steps < 1_500 and folder.checkpoint_file.exists()
    shutil.rmtree(tmp_path / "cache")  # another machine
    assert run(dataclasses.replace(job, attempt=2), server) == []
    result = folder.result()
    assert result is not None and (result.status, result.steps) == ("completed", 1_500)
    assert (result.num_resumes, result.steps_repeated) == (1, 0)
    assert not folder.checkpoint_file.exists() and not folder.state_file.exists()


def test_an_earlier_attempt_leaves_nothing(far_job: Job, server: FileServer, tmp_path: Path) -> None:
    """A worker that wakes up after another one has its trial reports no fault and writes no file."""
    server.claim(far_job.trial_id, 2)
    assert run(far_job, server) == []
    assert not (tmp_path / "run" / "trials").exists()


def test_an_error_of_the_trial_is_its_row(far_job: Job, server: FileServer, tmp_path: Path) -> None:
    """Its traceback is in the log of the run folder."""
    job = dataclasses.replace(far_job, config={**far_job.config, "device": "cuda"})
    assert run(job, server) == []
    folder = RunFolder(tmp_path / "run").trial(job.trial_id)
    result = folder.result()
    assert result is not None and result.status == "failed" and "Traceback" in folder.log_file.read_text()


@pytest.mark.parametrize("name", ["frostline", "torch", "python"])
def test_a_worker_of_another_version_is_refused(far_job: Job, server: FileServer, tmp_path: Path, name: str) -> None:
    """The fault names both versions; without a wish for versions it works."""
    job = dataclasses.replace(far_job, versions={**own_versions(), name: "0.0.1"})
    (fault,) = run(job, server)
    assert fault.kind == "versions" and f"{name} {own_versions()[name]} (the driver has 0.0.1)" in fault.message
    assert run(dataclasses.replace(job, versions={}), server) == []


def test_a_run_folder_is_known_by_its_session(tmp_path: Path) -> None:
    """A folder of the same path on another machine, or of an earlier driver, is another one."""
    first = begin_session(tmp_path)
    assert sees_run_folder(tmp_path, first) and not sees_run_folder(tmp_path / "none", first)
    assert not sees_run_folder(tmp_path, begin_session(tmp_path / "other"))
    begin_session(tmp_path)
    assert not sees_run_folder(tmp_path, first)


def test_scratch_folders_of_dead_workers_are_removed(far_job: Job, server: FileServer, tmp_path: Path) -> None:
    """Those that nobody works in; one in which a worker of another sweep sends its files stays."""
    busy = tmp_path / "cache" / "scratch" / "other-1"
    left = tmp_path / "cache" / "scratch" / "earlier-1" / "some-trial"
    left.mkdir(parents=True)
    (left / "state.json").write_text(json.dumps({}))
    with sole_owner(busy):
        run(far_job, server)
        assert not left.exists() and busy.exists()


def test_steps_that_were_reported_count_as_repeated(far_job: Job, server: FileServer, tmp_path: Path) -> None:
    """The driver notes the last report of a worker that died; one behind what the folder knows changes nothing."""
    folder = RunFolder(tmp_path / "run").trial(far_job.trial_id)
    board = Board()
    slow = dataclasses.replace(far_job, config={**far_job.config, "train": {**far_job.config["train"], "steps": 1_500}})
    run(slow, server, board, lambda report: board.tell(Command("interrupted", "moving")))
    progress = folder.progress()
    assert progress is not None
    folder.note_steps(progress["step"] - 1)
    assert folder.progress() == progress
    folder.note_steps(progress["step"] + 9)
    run(dataclasses.replace(slow, attempt=2), server)
    result = folder.result()
    assert result is not None and (result.steps, result.steps_repeated) == (1_500, 9)
