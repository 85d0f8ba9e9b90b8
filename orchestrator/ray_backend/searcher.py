"""The Ray Tune searcher: the next trial for a free slot, and what becomes of a trial that ended."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.tune.search import Searcher

from orchestrator.control_channel import Fault
from orchestrator.errors import MachineError
from orchestrator.hang_watch import read_hang
from orchestrator.progress.status_file import StatusFile
from orchestrator.progress.summary import details
from orchestrator.ray_backend.bundles import bundle_of
from orchestrator.ray_backend.checks.sentinels import NoSentinels, Sentinels
from orchestrator.ray_backend.control import DriverEnd, end_process
from orchestrator.ray_backend.deaths import Deaths, memory_kills_of
from orchestrator.ray_backend.jobs import Jobs
from orchestrator.ray_backend.nodes.cluster_status import cluster_nodes, machines_of, staying
from orchestrator.ray_backend.pausing import Pausing
from orchestrator.run_context import RunContext
from orchestrator.scheduling.dispatcher import Dispatcher
from orchestrator.scheduling.placement import Slot
from orchestrator.scheduling.retries import MAX_DEATHS, MAX_HANGS
from orchestrator.search.planner import PlannedTrial
from orchestrator.store.keeper import keep_after
from orchestrator.store.requests import Request
from orchestrator.store.trial_folder import TO_RETRY
from orchestrator.worker import Job, data_problem
from trainer.control import Command
from trainer.result import FinalStatus, TrialResult, read_looks

SECONDS_BETWEEN_LOOKS = 1.0
# A process that is frozen as a whole cannot end itself, as the hang watch in it would; see `hang_watch.py`.
SECONDS_OF_SILENCE = 600.0


class PlanSearcher(Searcher):
    """Gives Ray Tune one trial for each free slot, chosen when the slot is free.

    It holds no state that a restart needs. The plan is a pure function of the spec, and what is finished lies in the
    trial folders.
    """

    def __init__(self, run: RunContext, dispatcher: Dispatcher, control: DriverEnd) -> None:
        super().__init__()
        self.run, self.dispatcher, self.pool, self.control = run, dispatcher, dispatcher.pool, control
        self.dispatcher.one_kind.remember(run.trials, run.recorder.rows)
        self.running: dict[str, tuple[PlannedTrial, Job]] = {}  # by Tune's own trial id
        self.pausing = Pausing(run, self.dispatcher)
        self.faults: dict[str, Fault] = {}  # by trial id
        self.deaths = Deaths(memory_kills_of)
        self.silent: dict[str, str] = {}  # trials whose process was ended, and why, by trial id
        self.stopped: dict[str, str] = {}  # trials that `frostline stop` ends, with the reason, by trial id
        self.reported: dict[str, int] = {}  # steps by the last report, by trial id
        self.told_to_stop = False
        self.told_deadline: set[str] = set()
        self.last_look_seconds = -math.inf
        self.jobs, self.status_file = Jobs(run), StatusFile(run)
        self.sentinels: Sentinels = NoSentinels()
        self.is_head_away: Callable[[], bool] = lambda: False

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next job, None while no slot is free for any, FINISHED when nothing runs and nothing can."""
        self._look()
        self.sentinels.take_turn({job.trial_id: job.folder for _, job in self.running.values()})
        start = self.dispatcher.next(time.monotonic())
        for trial, reason in self.dispatcher.take_unfit():
            try:
                self._refuse(trial, reason)
            except OSError as fault:
                self.run.status.stop(f"the run folder cannot be written ({fault})", kind="fault")
        if start is None:
            return None
        if start == "over":
            return Searcher.FINISHED
        trial, slot = start.trial, start.slot
        job = self.jobs.job(trial, slot)
        for of_an_earlier_attempt in (job.folder.state_file, job.folder.hang_file):
            of_an_earlier_attempt.unlink(missing_ok=True)
        self.faults.pop(trial.trial_id, None)
        self.told_deadline.discard(trial.trial_id)
        self.deaths.begun(trial.trial_id)
        self.running[trial_id] = trial, job
        self.run.books.started(job.attempt, trial.trial_id, slot)
        self.control.forget(trial.trial_id)
        self.run.status.started(trial.trial_id, slot.kind)
        return {"bundle": bundle_of(slot, self.pool), "job": json.dumps(dataclasses.asdict(job))}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id not in self.running:
            return
        trial, _ = self.running[trial_id]
        self.run.status.reported(trial.trial_id, result)
        self.reported[trial.trial_id] = int(result["step"])
        if self.run.stopper is not None:
            self.run.stopper.looked(trial.trial_id, trial.config, dict(result.get("looks", ())))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record a trial that left its result or state; decide whether one that left none is sent out again."""
        if trial_id not in self.running:
            return
        self._read_news()
        trial, job = self.running.pop(trial_id)
        self.dispatcher.ended(trial.trial_id)
        self._obey_rule()  # its row holds the last verdict on it
        self.control.forget(trial.trial_id)
        try:
            outcome = self._outcome(trial, job, died=error)
            self._settle(job, outcome or job.folder.state())
            if outcome is not None:
                self._record(trial, job, outcome)
                return
        except OSError as fault:  # a full or lost disk is no trial's fault: what is finished stays, the rest waits
            self.run.status.stop(f"the run folder cannot be written ({fault})", kind="fault")
        self.dispatcher.send_again(trial)

    def _outcome(self, trial: PlannedTrial, job: Job, *, died: bool) -> TrialResult | None:
        """The result of a trial, or its state if it is not to go on in this call; None: it is sent out again."""
        folder, status = job.folder, self.run.status
        result, state = folder.result(), folder.state()
        fault, silence = self.faults.pop(trial.trial_id, None), self.silent.pop(trial.trial_id, None)
        told_to_end, step = self.stopped.pop(trial.trial_id, None), self.reported.pop(trial.trial_id, 0)
        if result is not None:
            return None if result.status == "out_of_memory" and self._goes_to_a_larger_device(trial, job) else result
        if state is not None and state.status != "interrupted":
            return state
        if told_to_end is not None:  # it ended before it did as it was told
            return folder.write_stopped(trial.config, trial.accelerator, told_to_end)
        status.lost(trial.trial_id, died=died and state is None)
        if died:
            folder.note_steps(step)  # a worker without a shared disk may not have sent its progress any more
        if state is not None and fault is None:  # it was told to end: no death
            return None
        problem = data_problem(job) if died and fault is None else None
        if problem is not None:
            fault = Fault(kind="data", trial_id=trial.trial_id, host=platform.node(), message=problem)
        if fault is not None:
            self.pausing.at_fault(fault, fault.node or folder.node())
        elif died and (hang := silence or read_hang(folder.hang_file)) is not None:
            self.run.display.note(f"{trial.trial_id} {hang}; see {folder.hang_file}")
            if not self.dispatcher.retries.hung(trial.trial_id):
                return self._failed(job, f"{hang}, {MAX_HANGS} times")
        elif died:
            return self._after_death(trial, job)
        return None

    def _goes_to_a_larger_device(self, trial: PlannedTrial, job: Job) -> bool:
        """Whether a trial that ran out of memory is tried once more; its result is kept beside then."""
        slot = Slot(kind=job.accelerator, cpus=trial.cpus, gpus=job.num_gpus)
        if not self.dispatcher.goes_to_a_larger_device(trial, slot):
            return False
        job.folder.set_aside("out_of_memory")
        self.run.status.lost(trial.trial_id, died=False)
        kinds = " or ".join(sorted(self.dispatcher.retries.kinds_of(trial.trial_id) or ()))
        self.run.display.note(f"{trial.trial_id}: out of memory on {job.accelerator}; tried once more on {kinds}")
        return True

    def _refuse(self, trial: PlannedTrial, reason: str) -> None:
        """A trial that fits no device that is there gets its row; a later call judges it anew."""
        result = self.run.folder.trial(trial.trial_id).write_infeasible(trial.config, trial.accelerator, reason)
        row = self.run.recorder.record(trial.trial_id, result)
        self.run.status.finished(row)
        self.run.search.tell(row)

    def _settle(self, job: Job, left: TrialResult | None) -> None:
        """The attempt holds its slot no more. `left`: its result or state, None if it was lost."""
        status = None if left is None else left.status
        node, checkpoint = job.folder.node(), job.folder.checkpoint_seconds()
        self.run.books.stopped(job.attempt, status, node=node, checkpoint_seconds=checkpoint)
        self.told_deadline.discard(job.trial_id)

    def _after_death(self, trial: PlannedTrial, job: Job) -> TrialResult | None:
        """None while a trial whose worker died is to be sent out again, else its result."""
        if (memory := self.deaths.want_of_memory(trial.trial_id)) is not None:
            self.run.display.note(f"{trial.trial_id} {memory}")
        if self.dispatcher.retries.worker_died(trial.trial_id, job.accelerator, time.monotonic()):
            return None
        died = f"the worker died {MAX_DEATHS} times while running this trial"
        return self._failed(job, f"{memory}; {died}" if memory else died, "out_of_memory" if memory else "failed")

    def _failed(self, job: Job, reason: str, status: FinalStatus = "failed") -> TrialResult | None:
        job.folder.write_failure(job.config, job.placement(node=None), reason, status)
        return job.folder.result()

    def _record(self, trial: PlannedTrial, job: Job, outcome: TrialResult) -> None:
        row = self.run.recorder.record(trial.trial_id, outcome)
        self.run.status.finished(row)
        self.run.search.tell(row)
        self.run.timed.ended(row, trial)
        self.dispatcher.recorded(trial, row)
        if self.run.stopper is not None:
            self.run.stopper.ended(row, trial.config, read_looks(job.folder.curve_file))
        keep_after(self.run, row, {*self.dispatcher.waiting.ids, *self.dispatcher.running})
        self.pausing.ended(outcome, node=job.folder.node() or "", recipe=trial.config.recipe)

    def _look(self) -> None:
        """Once a second: the nodes that are there, what workers said, what other commands ask; at once: what stops."""
        if self.run.status.is_stopping and not self.told_to_stop:
            self.told_to_stop = True
            self.control.tell(Command("interrupted", self.run.status.stop_reason or ""))
        self._obey_rule()
        if time.monotonic() - self.last_look_seconds < SECONDS_BETWEEN_LOOKS or self.is_head_away():
            return  # a call that waits for a head which is started again would end this process
        entries = ray.nodes()
        if not any(entry["Alive"] for entry in entries):
            raise MachineError("Ray died: no node of it is left. The same command goes on where this ended")
        self.pool.set_nodes(staying(cluster_nodes(entries)))
        self._read_news()
        self.run.books.saw(machines_of(entries))
        if self.run.spec.budget.usd is not None:
            self.pausing.without_price(self.run.books.ledger.without_price())
        self.run.timed.look()
        self._obey_deadline()
        for request in self.run.folder.requests.take():
            if request.kind == "retry":
                self._retry(request)
            else:
                self._stop(request)
        if not self.run.folder.sweep_file.exists():
            self.run.status.stop(f"the run folder has vanished: {self.run.folder.root}", kind="fault")
        if self.run.remote is not None:
            self.run.remote.report(self.run.display.note, lambda reason: self.run.status.stop(reason, kind="fault"))
        self.run.status.details = details(self.run)
        self.status_file.write_now_and_then()
        try:
            self.run.recorder.write_if_due()
        except OSError as fault:
            self.run.status.stop(f"the run folder cannot be written ({fault})", kind="fault")
        self.last_look_seconds = time.monotonic()

    def _read_news(self) -> None:
        news = self.control.take_news()
        attempts = {trial.trial_id: job.attempt for trial, job in self.running.values()}
        for fault in news.faults:
            if fault.attempt in (0, attempts.get(fault.trial_id)):
                self.faults[fault.trial_id] = fault
        for note in news.notes:
            self.run.display.note(note)
        for trial_id in {trial.trial_id for trial, _ in self.running.values()} & news.beats.keys():
            beat, age_seconds = news.beats[trial_id]
            self.deaths.beat(beat)
            self.run.books.runs_on(attempts[trial_id], beat.node)
            self.pool.runs_on(trial_id, beat.node)
            self.run.status.at_stage(trial_id, beat.stage)
            if age_seconds > SECONDS_OF_SILENCE and trial_id not in self.silent:
                self.silent[trial_id] = f"hung: no sign of life for {age_seconds:.0f} s, last in {beat.stage}"
                end_process(beat.node, beat.pid)

    def _obey_deadline(self) -> None:
        """Tell the trials that would overrun the budget to checkpoint and end, once each."""
        status = self.run.status
        for trial_id, reason in self.run.timed.to_end(status.running.values(), status.time_left.costs):
            if trial_id not in self.told_deadline:
                self.told_deadline.add(trial_id)
                self.control.tell(Command("deadline", reason), trial_id)

    def _obey_rule(self) -> None:
        """Tell the trials that the rule stops, and go on with those that may win after all.

        One that has ended meanwhile stays as it ended.
        """
        if self.run.stopper is None:
            return
        for trial_id, verdict in self.run.stopper.take():
            if verdict.action == "stop" and any(trial.trial_id == trial_id for trial, _ in self.running.values()):
                self.control.tell(Command("stopped_early", verdict.reason), trial_id)
                self.stopped[trial_id] = verdict.reason
            elif verdict.action == "go_on" and self.run.folder.trial(trial_id).checkpoint_file.exists():
                self._reopen(trial_id)

    def _stop(self, request: Request) -> None:
        """Do what `frostline stop` asks: end the sweep, or one trial, running or waiting."""
        if request.trial_id is None:
            self.run.status.stop(request.reason)
        elif any(trial.trial_id == request.trial_id for trial, _ in self.running.values()):
            self.control.tell(Command("stopped_early", request.reason), request.trial_id)
            self.stopped[request.trial_id] = request.reason
        elif (trial := self.dispatcher.waiting.pop(request.trial_id)) is not None:
            folder = self.run.folder.trial(trial.trial_id)
            state = folder.write_stopped(trial.config, trial.accelerator, request.reason)
            row = self.run.recorder.record(trial.trial_id, state)
            self.run.status.finished(row)
            self.run.search.tell(row)

    def _retry(self, request: Request) -> None:
        """Do what `frostline retry` asks: go on with a trial that was stopped or failed, to its end."""
        assert request.trial_id is not None
        self.dispatcher.retries.forget(request.trial_id)
        self._reopen(request.trial_id, spare=request.reason)

    def _reopen(self, trial_id: str, spare: str | None = None) -> None:
        """Go on with a trial that was stopped or failed, if it was; with `spare`, it is not stopped again."""
        row = next((one for one in self.run.recorder.rows if one["trial_id"] == trial_id), None)
        trial = next((one for one in self.run.trials if one.trial_id == trial_id), None)
        if trial is None or row is None or row["status"] not in TO_RETRY:
            return
        if self.dispatcher.is_under_way(trial_id):
            return
        if spare is not None and self.run.stopper is not None:
            self.run.stopper.spare([trial_id], spare)
        self.run.folder.trial(trial_id).reopen()
        self.run.status.reopened(row)
        self.run.search.reopened(trial_id)
        self.dispatcher.waiting.add(trial, is_first=True)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's snapshots are never read."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher for a restore that is never made, and a live display cannot be pickled."""
        return {}
