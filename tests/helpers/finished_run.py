"""Run folders with finished trials, made by the worker and the recorder without Ray."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sweeps import tiny_sweep

from orchestrator.control_channel import Board
from orchestrator.search.planner import plan
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from orchestrator.worker import Job, run_job
from trainer.data.dataset import open_dataset


def finish_run(root: Path, data_root: Path, **sweep: Any) -> Path:
    """Train every trial of a tiny sweep; its run folder, with its tables and the sweep file."""
    spec, folder = tiny_sweep(root, **sweep), RunFolder(root / "run")
    for trial in plan(spec):
        job = Job(
            trial_id=trial.trial_id,
            config=trial.config.model_dump(mode="json"),
            run_folder=str(folder.root),
            data_root=str(data_root),
            accelerator_wanted="any",
            accelerator="CPU",
            num_gpus=0,
            data_sha256=open_dataset("tiny", data_root).sha256,
        )
        run_job(job, node="n1", channel=Board(), report=lambda report: None)
    shutil.copy(root / "sweep.yaml", folder.root)
    Recorder(folder, spec).rebuild(folder.finished())
    return folder.root
