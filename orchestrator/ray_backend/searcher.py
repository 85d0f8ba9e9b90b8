"""The Ray Tune searcher: the next trial for a free slot, results recorded, lost trials retried."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.tune.search import Searcher

from orchestrator.errors import UsageError
from orchestrator.ray_backend.preflight import (
    cluster_nodes,
)
from orchestrator.run_context import RunContext
from orchestrator.scheduling.placement import Pool, Slot, choose, unplaceable
from orchestrator.scheduling.retries import MAX_ATTEMPTS, Retries
from orchestrator.search.planner import PlannedTrial
from orchestrator.worker import Job

SECONDS_BETWEEN_LOOKS = 1.0


class PlanSearcher(Searcher):
    """Gives Ray Tune one trial for each free slot, chosen when the slot is free.

    It holds no state that a restart needs. The plan is a pure function of the spec, and what is finished lies in the
    trial folders.
    """

    def __init__(self, run: RunContext, waiting: Sequence[PlannedTrial], pool: Pool) -> None:
        super().__init__()
        self.run, self.pool = run, pool
        self.waiting = {trial.trial_id: trial for trial in waiting}
        self.running: dict[str, tuple[PlannedTrial, Job]] = {}  # by Tune's own trial id
        self.retries = Retries()
        self.last_look_seconds = -math.inf

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next job, None while no slot is free for any, FINISHED when nothing runs and nothing can."""
        self._look_at_nodes()
        if not self.running and (self.run.status.is_stopping or not self.waiting or self._is_stuck()):
            return Searcher.FINISHED
        paused = self.retries.paused_kinds(time.monotonic())
        placed = None if self.run.status.is_stopping else choose(self.waiting.values(), self.pool, paused=paused)
        if placed is None:
            return None
        trial, slot = placed
        job = self._job(trial, slot)
        del self.waiting[trial.trial_id]
        self.running[trial_id] = trial, job
        self.pool.acquire(trial_id, slot)
        self.retries.started(trial.trial_id)
        self.run.status.started(trial.trial_id, slot.kind)
        return {"slot": dataclasses.asdict(slot), "job": json.dumps(dataclasses.asdict(job))}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self.running:
            self.run.status.reported(self.running[trial_id][0].trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record a trial that left its result; send one that left none out again, up to `MAX_ATTEMPTS` times."""
        if trial_id not in self.running:
            return
        trial, job = self.running.pop(trial_id)
        self.pool.release(trial_id)
        try:
            folder = self.run.folder.trial(trial.trial_id)
            outcome = folder.result()
            if outcome is None and error and self.retries.is_exhausted(trial.trial_id):
                reason = f"the worker died {MAX_ATTEMPTS} times while running this trial"
                folder.write_failure(job.config, job.placement(node=None), reason)
                outcome = folder.result()
            if outcome is not None:
                self.run.status.finished(self.run.recorder.record(trial.trial_id, outcome))
                return
        except OSError as fault:  # a full or lost disk is no trial's fault: what is finished stays, the rest waits
            self.run.status.stop(f"the run folder cannot be written ({fault})")
        self.run.status.lost(trial.trial_id, died=error)
        if error:
            self.retries.worker_died(job.accelerator, time.monotonic())
        self.waiting = {trial.trial_id: trial, **self.waiting}  # it goes first: its checkpoint is the furthest on
        if self.run.folder.stop_file.exists():
            self.run.status.stop("there is a stop file in the run folder")

    def _look_at_nodes(self) -> None:
        """Update the pool with the nodes that are there now."""
        if time.monotonic() - self.last_look_seconds < SECONDS_BETWEEN_LOOKS:
            return
        nodes = cluster_nodes(ray.nodes())
        if not nodes:
            raise UsageError("Ray died: no node of it is left. The same command goes on where this ended")
        self.pool.set_nodes(nodes)
        self.last_look_seconds = time.monotonic()

    def _is_stuck(self) -> bool:
        """Nothing runs, and no node that is left could run what waits: a node was lost and has not come back."""
        lost = unplaceable(self.waiting.values(), self.pool)
        if len(lost) < len(self.waiting):
            return False
        kinds = ", ".join(sorted({trial.accelerator for trial in lost}))
        self.run.status.stop(f"no node is left for {len(lost)} trials that need {kinds}")
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's snapshots are never read."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher for a restore that is never made, and a live display cannot be pickled."""
        return {}

    def _job(self, trial: PlannedTrial, slot: Slot) -> Job:
        return Job(
            trial_id=trial.trial_id,
            config=trial.config.model_dump(mode="json"),
            run_folder=str(self.run.folder.root),
            data_root=str(self.run.data_root),
            accelerator_wanted=trial.accelerator,
            accelerator=slot.kind,
            num_gpus=slot.gpus,
            data_sha256=self.run.data_sha256[trial.config.data],
        )
