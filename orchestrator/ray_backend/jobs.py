"""Makes the job that a worker gets from a trial and its slot."""

from __future__ import annotations

import time
from pathlib import Path

from orchestrator.run_context import RunContext
from orchestrator.scheduling.placement import Slot
from orchestrator.search.planner import PlannedTrial
from orchestrator.store.workplace import begin_session
from orchestrator.worker import Job
from trainer.versions import own_versions


class Jobs:
    """The jobs of one driver: what is the same in all of them, and what each trial adds.

    Args:
        root: of the folder that their trials' files are in; by default the run folder.
    """

    def __init__(self, run: RunContext, root: Path | None = None) -> None:
        self.run, self.root = run, run.folder.root if root is None else root
        self.session = begin_session(self.root)
        self.versions, self.attempt = {} if run.any_versions else own_versions(), 0

    def job(self, trial: PlannedTrial, slot: Slot) -> Job:
        run = self.run
        self.attempt = max(self.attempt + 1, time.time_ns())  # grows whatever the clock does
        return Job(
            trial_id=trial.trial_id,
            config=trial.config.model_dump(mode="json"),
            run_folder=str(self.root),
            data_root=str(run.data_root),
            accelerator_wanted=trial.accelerator,
            accelerator=slot.kind,
            num_gpus=slot.gpus,
            data_sha256=run.data_sha256[trial.config.data],
            moves_anywhere=trial.moves_anywhere,
            is_looked_at=self.is_looked_at(trial),
            scores_test=trial.trial_id in run.recorder.confirmed,
            session=self.session,
            attempt=self.attempt,
            data_from=run.data_from,
            versions=self.versions,
        )

    def is_looked_at(self, trial: PlannedTrial) -> bool:
        """Whether early stopping judges a trial: no further seed of a config that was found to be good."""
        spec = self.run.spec
        is_first = spec.replicating == "always" or trial.config.seed == spec.seeds[0]
        return spec.stopping != "none" and is_first and trial.trial_id not in self.run.recorder.confirmed
