"""Runs one trial on a worker; what a failure, a command to end, or a fault of the machine leads to."""

from __future__ import annotations

import dataclasses
import platform
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.control_channel import Channel, Fault
from orchestrator.errors import DISK_FAULTS
from orchestrator.heartbeat import SECONDS_BETWEEN_BEATS, Heartbeat
from orchestrator.repeating import repeating
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.trial_folder import Placement, TrialFolder
from trainer.config.trial import TrialConfig
from trainer.control import Command
from trainer.errors import Busy, Stopped
from trainer.result import utc_now

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

    @property
    def folder(self) -> TrialFolder:
        return RunFolder(Path(self.run_folder)).trial(self.trial_id)

    def placement(self, node: str | None) -> Placement:
        """Where the job runs, once its node is known."""
        return Placement(
            accelerator_wanted=self.accelerator_wanted,
            accelerator=self.accelerator,
            num_gpus=self.num_gpus,
            node=node,
        )


def run_job(job: Job, *, node: str, channel: Channel, report: Callable[[dict[str, Any]], None]) -> None:
    """Run one trial to its result file, or to its checkpoint and `state.json` if it is told to end.

    What goes wrong inside the trial becomes a row with status `failed`; its traceback is in the trial's `log.txt`. A
    fault of the machine is told to the driver and leaves no row. A worker that dies leaves none either: the driver sees
    that and sends the trial out again.
    """
    is_busy.set()
    try:
        job.folder.write_placement(job.placement(node))
        heartbeat = Heartbeat(channel, job.trial_id, node)
        with repeating(heartbeat.beat, SECONDS_BETWEEN_BEATS):
            _run_trial(job, heartbeat, channel, report)
    except Stopped:
        pass
    except Busy as error:  # an owner that outlives its driver, or somebody else
        channel.report_fault(Fault(kind="busy", trial_id=job.trial_id, host=platform.node(), message=str(error)))
    except Exception as error:  # an error of one trial must not end the sweep; its traceback is kept
        fault = machine_fault(error, job)
        if fault is not None:
            channel.report_fault(fault)
            return
        with job.folder.log_file.open("a") as log:
            log.write(f"{utc_now()} failed\n{traceback.format_exc()}")
        job.folder.write_failure(job.config, job.placement(node), f"{type(error).__name__}: {error}")
    finally:
        is_busy.clear()


def _run_trial(job: Job, heartbeat: Heartbeat, channel: Channel, send_report: Callable[[dict[str, Any]], None]) -> None:
    # torch is loaded here, in the worker, and not where the driver pickles `run_job`
    from orchestrator.hang_watch import HangWatch
    from trainer.run import run
    from trainer.training.state import Report
    from trainer.workspace import Callbacks, Workspace

    config = TrialConfig.model_validate(job.config)
    workspace = Workspace(
        folder=job.folder.root,
        data_root=Path(job.data_root),
        data_sha256=job.data_sha256,
        has_gpu=job.num_gpus > 0,
        accelerator=job.accelerator,
        moves_anywhere=job.moves_anywhere,
        is_looked_at=job.is_looked_at,
        scores_test=job.scores_test,
    )
    with HangWatch(job.folder.hang_file, config) as watch:

        def stage(stage: Any) -> None:
            heartbeat.stage = stage
            watch.stage(stage)

        def told(progress: Report) -> Command:
            watch.report(progress)
            send_report(dataclasses.asdict(progress))
            if heartbeat.command.status is None and terminated.is_set():
                return TERMINATED
            return heartbeat.command

        run(config, workspace, Callbacks(stage=stage, report=told, note=channel.note))


def machine_fault(error: Exception, job: Job) -> Fault | None:
    """The fault of this machine that an error comes from; None if it is the trial's own.

    The data were whole when the sweep began, so whatever a trial fails with while they are not is their fault.
    """
    host = platform.node()
    if isinstance(error, OSError) and (error.errno in DISK_FAULTS or not Path(job.run_folder).is_dir()):
        message = f"{job.run_folder} cannot be written: {error.strerror or error}"
        return Fault(kind="disk", trial_id=job.trial_id, host=host, message=message)
    if (problem := data_problem(job)) is not None:
        return Fault(kind="data", trial_id=job.trial_id, host=host, message=problem)
    return None


def data_problem(job: Job) -> str | None:
    """What is wrong with the data of a job as this process sees them; None if they are those of the sweep."""
    from trainer.data.dataset import open_dataset
    from trainer.errors import DataError

    name = str(job.config["data"])
    try:
        dataset = open_dataset(name, Path(job.data_root))
    except (DataError, OSError) as error:
        return str(error)
    return None if dataset.sha256 == job.data_sha256 else f"{name} in {job.data_root} is not the data of this sweep"
