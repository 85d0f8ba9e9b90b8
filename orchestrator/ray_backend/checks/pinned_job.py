"""Runs one job on a chosen node, beside Ray Tune: the same path as a trial of the sweep."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.ray_backend.control import WorkerEnd
from orchestrator.ray_backend.deaths import RAYS_WORDS
from orchestrator.ray_backend.file_server import server_call, start_file_server
from orchestrator.ray_backend.jobs import Jobs
from orchestrator.run_context import RunContext
from orchestrator.scheduling.placement import Slot
from orchestrator.search.planner import PlannedTrial
from orchestrator.worker import Job, run_job


@dataclasses.dataclass(frozen=True, kw_only=True)
class PinnedJob:
    """A job that was sent to a node, and the promise of its end."""

    job: Job
    slot: Slot
    reference: Any
    began_seconds: float


class Bench:
    """A folder of its own for jobs that are no trials of the sweep, and what sends them to nodes.

    Args:
        root: of a folder like a run's; what it holds is removed first.
        board: handle of the control channel.
        has_workers_elsewhere: workers may not see the folder, and reach it through a file server.
    """

    def __init__(self, run: RunContext, root: Path, board: Any, *, has_workers_elsewhere: bool) -> None:
        self.run, self.root, self.board = run, root, board
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        self.jobs = Jobs(run, root)
        self.files = start_file_server(root, run.data_root, run.data_sha256) if has_workers_elsewhere else None

    def send(self, trial: PlannedTrial, slot: Slot) -> PinnedJob:
        """Send a trial to the node of a slot. It holds the slot in the account from now on, not in a pool."""
        made = self.jobs.job(trial, slot)
        job = dataclasses.replace(made, is_looked_at=False, scores_test=False)
        self.run.books.started(job.attempt, job.trial_id, slot)
        there = NodeAffinitySchedulingStrategy(node_id=slot.node_id, soft=False)
        # a process of its own: it may end for want of memory, or hold memory of a device
        task = ray.remote(num_cpus=slot.cpus, num_gpus=slot.gpus, max_calls=1, max_retries=0)(_run)
        sent = task.options(scheduling_strategy=there).remote(dataclasses.asdict(job), self.board, self.files)
        return PinnedJob(job=job, slot=slot, reference=sent, began_seconds=time.monotonic())

    def ended(self, pinned: PinnedJob, outcome: str | None) -> None:
        """It holds its slot no more; `outcome`: its status, None if it left none."""
        self.run.books.stopped(pinned.job.attempt, outcome, node=pinned.slot.node_id)

    def cancel(self, pinned: PinnedJob) -> None:
        """End it at once. What it has left so far stays."""
        ray.cancel(pinned.reference, force=True)
        self.ended(pinned, None)

    def close(self, *, keep_files: bool) -> None:
        if self.files is not None:
            ray.kill(self.files)
        if not keep_files:
            shutil.rmtree(self.root, ignore_errors=True)


def _run(job: dict[str, Any], board: Any, files: Any) -> None:
    node = ray.get_runtime_context().get_node_id()
    call = None if files is None else server_call(files)
    run_job(Job(**job), node=node, channel=WorkerEnd(board), report=lambda report: None, call=call)


def death_of(pinned: PinnedJob) -> str | None:
    """Why its process died, in one line; None if it came to an end of its own. Call it when the job is done."""
    try:
        ray.get(pinned.reference)
        return None
    except ray.exceptions.RayError as error:
        return " ".join(str(error).split())


def is_want_of_memory(death: str) -> bool:
    """Whether Ray ended the process for want of memory."""
    return RAYS_WORDS in death
