"""Runs one trial on a worker; what a failure, a command to end, or a fault of the machine leads to."""

from __future__ import annotations

import dataclasses
import platform
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.control_channel import Channel, Fault, FaultKind
from orchestrator.errors import DISK_FAULTS
from orchestrator.heartbeat import SECONDS_BETWEEN_BEATS, Heartbeat
from orchestrator.repeating import repeating
from orchestrator.store.dataset_copy import CopyEnded, Watch
from orchestrator.store.file_server import Call
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.run_store import RunFolderFault, Superseded, TransferError
from orchestrator.store.trial_folder import Placement, TrialFolder
from orchestrator.store.workplace import FileSource, Workplace, sees_run_folder, workplace
from trainer.config.trial import TrialConfig
from trainer.control import Command, Stopped
from trainer.errors import Busy, DataError
from trainer.result import utc_now
from trainer.versions import differences, own_versions

# Set when this process gets SIGTERM while it runs a trial: the trial ends at its next report, then the process.
terminated = threading.Event()
is_busy = threading.Event()
TERMINATED = Command("interrupted", "its worker was told to end (SIGTERM)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One trial as it is sent to a worker: what it is, where its files lie, and which slot it was given."""

    trial_id: str
    config: dict[str, Any]
    run_folder: str
    data_root: str
    accelerator_wanted: str
    accelerator: str
    num_gpus: float
    data_sha256: str
    moves_anywhere: bool = False
    is_looked_at: bool = False
    scores_test: bool = False
    session: str = ""
    attempt: int = 0
    data_from: str | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)  # that a worker must have; empty: any

    @property
    def folder(self) -> TrialFolder:
        """As the driver sees it; where a worker runs the trial, its `Workplace` says."""
        return RunFolder(Path(self.run_folder)).trial(self.trial_id)

    @property
    def met_by(self) -> dict[str, Any]:
        """Who met a fault of this machine."""
        return {"trial_id": self.trial_id, "attempt": self.attempt, "host": platform.node()}

    @property
    def files(self) -> FileSource:
        return FileSource(
            run_folder=Path(self.run_folder),
            data_root=Path(self.data_root),
            session=self.session,
            attempt=self.attempt,
            trial_id=self.trial_id,
            data=str(self.config["data"]),
            data_sha256=self.data_sha256,
            data_from=self.data_from,
        )

    def placement(self, node: str | None) -> Placement:
        """Where the job runs, once its node is known."""
        return Placement(
            accelerator_wanted=self.accelerator_wanted,
            accelerator=self.accelerator,
            num_gpus=self.num_gpus,
            node=node,
        )


TRIES_TO_REPORT, SECONDS_BETWEEN_REPORTS = 10, 10.0

SendReport = Callable[[dict[str, Any]], None]


def run_job(job: Job, *, node: str, channel: Channel, report: SendReport, call: Call | None = None) -> None:
    """Run one trial to its result file, or to its checkpoint and `state.json` if it is told to end.

    What goes wrong inside the trial becomes a row with status `failed`; its traceback is in the trial's `log.txt`. A
    fault of the machine is told to the driver and leaves no row. A worker that dies leaves none either: the driver sees
    that and sends the trial out again.

    Args:
        call: reaches the file server beside the driver, for workers that do not see the run folder.
    """

    def tell(kind: FaultKind, message: str) -> None:
        _report(channel, Fault(kind=kind, message=message, node=node, **job.met_by))

    if wrong := differences(own_versions(), job.versions):
        tell("versions", f"{wrong}; --any-versions allows it")
        return
    is_busy.set()
    heartbeat = Heartbeat(channel, job.trial_id, node)
    try:
        with (
            repeating(heartbeat.beat, SECONDS_BETWEEN_BEATS),
            workplace(
                job.files, call, Watch(note=channel.note, is_over=lambda: commanded(heartbeat).status is not None)
            ) as place,
        ):
            _run_in(place, job, heartbeat, channel, report)
    except (Superseded, CopyEnded):  # another worker has the trial, the driver thinks; or it had not begun
        pass
    except TransferError as error:
        tell("link", str(error))
    except RunFolderFault as error:
        tell("disk", str(error))
    except DataError as error:
        tell("data", str(error))
    except OSError as error:
        message = f"{error.filename or 'a file'} cannot be written: {error.strerror or error}"
        tell("disk" if _is_of_run_folder(error, job, call) else "scratch", message)
    finally:
        is_busy.clear()


def _is_of_run_folder(error: OSError, job: Job, call: Call | None) -> bool:
    """Whether it is the run folder that cannot be written: a machine that sees it has a cache of its own as well."""
    if call is not None and not sees_run_folder(job.files.run_folder, job.session):
        return False
    return not isinstance(error.filename, str) or Path(error.filename).is_relative_to(job.run_folder)


def commanded(heartbeat: Heartbeat) -> Command:
    """How the trial is to go on: what the driver said last, or to end as this process is told to."""
    return TERMINATED if heartbeat.command.status is None and terminated.is_set() else heartbeat.command


def _run_in(place: Workplace, job: Job, heartbeat: Heartbeat, channel: Channel, report: SendReport) -> None:
    """Run the trial in its folders. Whatever goes wrong is told there, or to the driver."""
    placement = job.placement(heartbeat.node)
    try:
        place.folder.write_placement(placement)
        _run_trial(place, job, heartbeat, channel, report)
    except Stopped:
        pass
    except Busy as error:  # an owner that outlives its driver, or somebody else
        _report(channel, Fault(kind="busy", message=str(error), node=heartbeat.node, **job.met_by))
    except Exception as error:  # an error of one trial must not end the sweep; its traceback is kept
        found = machine_fault(error, job, place)
        if found is not None:
            kind, message = found
            _report(channel, Fault(kind=kind, message=message, node=heartbeat.node, **job.met_by))
            return
        with place.folder.log_file.open("a") as log:
            log.write(f"{utc_now()} failed\n{traceback.format_exc()}")
        place.folder.write_failure(job.config, placement, f"{type(error).__name__}: {error}")


def _run_trial(place: Workplace, job: Job, heartbeat: Heartbeat, channel: Channel, send_report: SendReport) -> None:
    # torch is loaded here, in the worker, and not where the driver pickles `run_job`
    from orchestrator.hang_watch import HangWatch
    from trainer.run import run
    from trainer.training.state import Report
    from trainer.workspace import Callbacks, Workspace

    config = TrialConfig.model_validate(job.config)
    workspace = Workspace(
        folder=place.folder.root,
        data_root=place.data_root,
        data_sha256=job.data_sha256,
        has_gpu=job.num_gpus > 0,
        accelerator=job.accelerator,
        moves_anywhere=job.moves_anywhere,
        is_looked_at=job.is_looked_at,
        scores_test=job.scores_test,
    )
    with HangWatch(place.folder.hang_file, config) as watch:

        def stage(stage: Any) -> None:
            heartbeat.stage = stage
            watch.stage(stage)

        def told(progress: Report) -> Command:
            watch.report(progress)
            send_report(dataclasses.asdict(progress))
            return commanded(heartbeat)

        run(config, workspace, Callbacks(stage=stage, report=told, note=channel.note))


def _report(channel: Channel, fault: Fault) -> None:
    """Tell the driver of a fault, over a link that may be at fault itself. One that hears nothing sends the trial out
    again.
    """
    for _ in range(TRIES_TO_REPORT):
        try:
            channel.report_fault(fault)
            return
        except Exception:
            time.sleep(SECONDS_BETWEEN_REPORTS)


def machine_fault(error: Exception, job: Job, place: Workplace) -> tuple[FaultKind, str] | None:
    """The fault of this machine that an error comes from; None if it is the trial's own.

    The data were whole when the sweep began, so whatever a trial fails with while they are not is their fault.
    """
    root = Path(job.run_folder) if place.is_shared else place.folder.root
    if isinstance(error, OSError) and (error.errno in DISK_FAULTS or not root.is_dir()):
        return "disk" if place.is_shared else "scratch", f"{root} cannot be written: {error.strerror or error}"
    problem = data_problem(job, place.data_root)
    return None if problem is None else ("data", problem)


def data_problem(job: Job, data_root: Path | None = None) -> str | None:
    """What is wrong with the data of a job as this process sees them; None if they are those of the sweep."""
    data_root = Path(job.data_root) if data_root is None else data_root
    from trainer.data.dataset import open_dataset
    from trainer.errors import DataError

    name = str(job.config["data"])
    try:
        dataset = open_dataset(name, data_root)
    except (DataError, OSError) as error:
        return str(error)
    return None if dataset.sha256 == job.data_sha256 else f"{name} in {data_root} is not the data of this sweep"
