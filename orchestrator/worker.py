"""Runs one trial on a worker; what a failure, an interrupt or a full disk leads to."""

from __future__ import annotations

import dataclasses
import errno
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.store.run_folder import RunFolder
from orchestrator.store.trial_folder import Placement
from trainer.config.trial import TrialConfig
from trainer.errors import Busy, Interrupted
from trainer.result import utc_now

DISK_FAULTS = frozenset({errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT})


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

    def placement(self, node: str | None) -> Placement:
        """Where the job runs, once its node is known."""
        return Placement(
            accelerator_wanted=self.accelerator_wanted,
            accelerator=self.accelerator,
            num_gpus=self.num_gpus,
            node=node,
        )


def run_job(job: Job, *, node: str, report: Callable[[dict[str, Any]], None]) -> None:
    """Run one trial to its result file, or to its checkpoint if the sweep is stopping.

    Whatever goes wrong inside the trial becomes a row with status `failed`; its traceback is in the trial's `log.txt`.
    A worker that dies leaves no row: the driver sees that and sends the trial out again.
    """
    # torch is loaded here, in the worker, and not where the driver pickles this function
    from trainer.run import Callbacks, Workspace, run

    run_folder = RunFolder(Path(job.run_folder))
    folder = run_folder.trial(job.trial_id)
    folder.write_placement(job.placement(node))
    workspace = Workspace(
        folder=folder.root,
        data_root=Path(job.data_root),
        data_sha256=job.data_sha256,
        has_gpu=job.num_gpus > 0,
    )
    callbacks = Callbacks(
        report=lambda progress: report(dataclasses.asdict(progress)), should_stop=run_folder.stop_file.exists
    )
    try:
        run(TrialConfig.model_validate(job.config), workspace, callbacks)
    except Interrupted:
        pass
    except Busy:
        raise  # an owner that outlives its driver: the trial is sent out again
    except Exception as error:  # an error of one trial must not end the sweep; its traceback is kept
        if isinstance(error, OSError) and error.errno in DISK_FAULTS:
            raise  # no fault of the trial: the driver stops the sweep
        with folder.log_file.open("a") as log:
            log.write(f"{utc_now()} failed\n{traceback.format_exc()}")
        folder.write_failure(job.config, job.placement(node), f"{type(error).__name__}: {error}")
