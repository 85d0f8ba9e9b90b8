"""What runs on a worker: one trial, called by Ray Tune, told what to do by one plain mapping."""

from __future__ import annotations

import dataclasses
import errno
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from orchestrator.run_folder import RunFolder
from trainer.config import TrialConfig
from trainer.files import Busy, write_atomically
from trainer.result import TrialResult, utc_now

DISK_FAULTS = frozenset({errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One trial on its way to a worker: what it is, where its files lie, and which slot it was given."""

    trial_id: str
    config: dict[str, Any]
    run_folder: str
    data_root: str
    accelerator_wanted: str
    accelerator: str
    num_gpus: float
    data_sha256: str


def run_job(job: Job, *, node: str, report: Callable[[dict[str, Any]], None]) -> None:
    """Run one trial to its result file, or to its checkpoint if the sweep is stopping.

    Whatever goes wrong inside the trial becomes a row with status `failed`; its trace is in the trial's `log.txt`.
    A worker that dies leaves no row: the driver sees that and sends the trial out again.
    """
    # torch is loaded here, in the worker, and not where the driver pickles this function
    from trainer.loop import Interrupted
    from trainer.run import run

    run_folder = RunFolder(Path(job.run_folder))
    folder = run_folder.trial(job.trial_id)
    _save_placement(job, node)
    config = TrialConfig.model_validate(job.config)
    try:
        run(
            config,
            folder=folder,
            data_root=Path(job.data_root),
            has_gpu=job.num_gpus > 0,
            data_sha256=job.data_sha256,
            report=lambda progress: report(dataclasses.asdict(progress)),
            should_stop=run_folder.stop_file.exists,
        )
    except Interrupted:
        pass
    except Busy:
        raise  # an owner that outlives its driver: the trial is sent out again
    except Exception as error:  # any fault of one trial must cost that trial alone, and leave its evidence
        if isinstance(error, OSError) and error.errno in DISK_FAULTS:
            raise  # no fault of the trial: the driver stops the sweep
        with (folder / "log.txt").open("a") as log:
            log.write(f"{utc_now()} failed\n{traceback.format_exc()}")
        save_failure(job, f"{type(error).__name__}: {error}", node=node)


def save_failure(job: Job, error: str, *, node: str | None = None) -> None:
    """Give a trial that could not be run its row: status `failed`, and why."""
    folder = _save_placement(job, node)
    write_atomically(folder / "config.yaml", yaml.safe_dump(job.config, sort_keys=False).encode())
    now, progress = utc_now(), _progress(folder)
    TrialResult(
        status="failed",
        error=error,
        steps=progress.get("step", 0),
        total_seconds=progress.get("total_seconds", 0.0),
        num_resumes=progress.get("num_resumes", 0),
        steps_repeated=progress.get("steps_repeated", 0),
        started_at=progress.get("started_at", now),
        finished_at=now,
    ).save(folder / "result.json")


def _progress(folder: Path) -> dict[str, Any]:
    """What the trial last wrote of itself."""
    try:
        return dict(json.loads((folder / "progress.json").read_text()))
    except (OSError, ValueError):
        return {}


def _save_placement(job: Job, node: str | None) -> Path:
    folder = RunFolder(Path(job.run_folder)).trial(job.trial_id)
    slot = {key: getattr(job, key) for key in ("trial_id", "accelerator_wanted", "accelerator", "num_gpus")}
    write_atomically(folder / "placement.json", json.dumps({**slot, "node": node}).encode())
    return folder
