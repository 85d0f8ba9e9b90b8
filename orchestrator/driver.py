"""The driver: hands trials to Ray Tune when a slot is free, and records what comes back."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import logging
import math
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher

from orchestrator.errors import UsageError
from orchestrator.placement import CPU, Pool, Slot, choose, unplaceable
from orchestrator.preflight import (
    ACCELERATOR_LABEL,
    ACCELERATOR_RESOURCE,
    UNKNOWN_GPU,
    check_nodes,
    check_placement,
    cluster_nodes,
)
from orchestrator.progress import Display
from orchestrator.recorder import Recorder
from orchestrator.run_folder import RunFolder
from orchestrator.search import PlannedTrial
from orchestrator.status import SweepStatus
from orchestrator.worker import Job, run_job, save_failure
from trainer.result import utc_now

MAX_ATTEMPTS = 3
SECONDS_TO_CONNECT = 5.0
SECONDS_BETWEEN_LOOKS = 1.0
# A worker often dies with its node, and is heard of first: a trial placed on that node would wait for ever.
SECONDS_TO_REST = 5.0
OBJECT_STORE_BYTES = 100 * 2**20  # trials pass nothing through it
PACKAGES = ("frostline", "torch", "ray", "numpy", "pyarrow", "sentencepiece")


def drive(
    waiting: Sequence[PlannedTrial],
    *,
    folder: RunFolder,
    recorder: Recorder,
    status: SweepStatus,
    display: Display,
    data_root: Path,
    address: str | None,
    claim: Callable[[], None],
    data_sha256: Mapping[str, str],
) -> None:
    """Run every trial in `waiting` on a Ray cluster and record it.

    Returns when all are recorded, or when an interrupt has let the running ones checkpoint. `claim` is called when
    every check has passed and before anything starts.

    Raises:
        UsageError: if the cluster cannot run some trial, does not answer, or does not see the files.
    """
    display.note("connecting to " + (address or "a Ray of its own on this machine"))
    with ray_session(address), _clean_tune_folder(folder):
        pool = Pool(cluster_nodes(ray.nodes()))
        check_placement(waiting, pool)
        if len({node.node_id for node in pool.nodes}) > 1 or any(node.gpus for node in pool.nodes):
            check_nodes(pool, waiting, run_folder=folder.root, data_root=data_root)
        claim()
        folder.note_session(_session(pool, address))
        searcher = PlanSearcher(waiting, pool, folder, recorder, status, data_root, data_sha256)
        # pending trials beyond the slots would only bind early; fewer would leave slots empty
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, pool.num_slots(waiting)))
        tuner = tune.Tuner(
            tune.with_resources(run_trial, _Bundles(pool)),
            tune_config=tune.TuneConfig(
                search_alg=searcher, num_samples=-1, reuse_actors=True, trial_dirname_creator=_dirname
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder.tune_folder),
                verbose=0,
                callbacks=[_Watch(display)],
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        )
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what it would tell, the display tells
        with _interrupts(folder, status), display, _measured(folder):
            tuner.fit()


def run_trial(config: dict[str, Any]) -> None:
    """The Tune trainable: one job, its reports passed on."""
    run_job(Job(**json.loads(config["job"])), node=ray.get_runtime_context().get_node_id(), report=tune.report)


class PlanSearcher(Searcher):
    """Tune asks, the plan answers: one trial for each free slot, chosen when the slot is free.

    It holds no state that a restart needs. The plan is a pure function of the spec, and what is finished lies in the
    trial folders.
    """

    def __init__(
        self,
        waiting: Sequence[PlannedTrial],
        pool: Pool,
        folder: RunFolder,
        recorder: Recorder,
        status: SweepStatus,
        data_root: Path,
        data_sha256: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.waiting = {trial.trial_id: trial for trial in waiting}
        self.out: dict[str, tuple[PlannedTrial, Job]] = {}  # by Tune's own trial id
        self.attempts: Counter[str] = Counter()
        self.pool, self.folder, self.recorder, self.status = pool, folder, recorder, status
        self.data_root, self.data_sha256 = data_root, data_sha256
        self.looked_seconds = -math.inf
        self.resting: dict[str, float] = {}  # kinds of node on which a worker died, and until when none is placed there

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next job, None while no slot is free for any, FINISHED when nothing runs and nothing can."""
        self._look_at_nodes()
        if not self.out and (self.status.is_stopping or not self.waiting or self._is_stuck()):
            return Searcher.FINISHED
        resting = {kind for kind, until in self.resting.items() if until > time.monotonic()}
        placed = None if self.status.is_stopping else choose(self.waiting.values(), self.pool, resting=resting)
        if placed is None:
            return None
        trial, slot = placed
        job = self._job(trial, slot)
        del self.waiting[trial.trial_id]
        self.out[trial_id] = trial, job
        self.pool.take(trial_id, slot)
        self.attempts[trial.trial_id] += 1
        self.status.started(trial.trial_id, slot.kind)
        return {"slot": dataclasses.asdict(slot), "job": json.dumps(dataclasses.asdict(job))}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self.out:
            self.status.reported(self.out[trial_id][0].trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record a trial that left its result; send one that left none out again, up to `MAX_ATTEMPTS` times."""
        if trial_id not in self.out:
            return
        trial, job = self.out.pop(trial_id)
        self.pool.give_back(trial_id)
        try:
            outcome = self.folder.result(trial.trial_id)
            if outcome is None and error and self.attempts[trial.trial_id] >= MAX_ATTEMPTS:
                save_failure(job, f"the worker died {MAX_ATTEMPTS} times while running this trial")
                outcome = self.folder.result(trial.trial_id)
            if outcome is not None:
                self.status.finished(self.recorder.record(trial.trial_id, outcome))
                return
        except OSError as fault:  # a full or lost disk is no trial's fault: what is finished stays, the rest waits
            self.status.stop(f"the run folder cannot be written ({fault})")
        self.status.lost(trial.trial_id, died=error)
        if error:
            self.resting[job.accelerator] = time.monotonic() + SECONDS_TO_REST
        self.waiting = {trial.trial_id: trial, **self.waiting}  # it goes first: its checkpoint is the furthest on
        if self.folder.stop_file.exists():
            self.status.stop("there is a stop file in the run folder")

    def _look_at_nodes(self) -> None:
        """Nodes come and go: place only on those that are there."""
        if time.monotonic() - self.looked_seconds < SECONDS_BETWEEN_LOOKS:
            return
        nodes = cluster_nodes(ray.nodes())
        if not nodes:
            raise UsageError("Ray died: no node of it is left. The same command goes on where this ended")
        self.pool.set_nodes(nodes)
        self.looked_seconds = time.monotonic()

    def _is_stuck(self) -> bool:
        """Nothing runs, and no node that is left could run what waits: a node was lost and has not come back."""
        lost = unplaceable(self.waiting.values(), self.pool)
        if len(lost) < len(self.waiting):
            return False
        kinds = ", ".join(sorted({trial.accelerator for trial in lost}))
        self.status.stop(f"no node is left for {len(lost)} trials that need {kinds}")
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's snapshots are never read."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""

    def _job(self, trial: PlannedTrial, slot: Slot) -> Job:
        return Job(
            trial_id=trial.trial_id,
            config=trial.config.model_dump(mode="json"),
            run_folder=str(self.folder.root),
            data_root=str(self.data_root),
            accelerator_wanted=trial.accelerator,
            accelerator=slot.kind,
            num_gpus=slot.gpus,
            data_sha256=self.data_sha256[trial.config.data],
        )


class _Bundles:
    """What Ray must reserve for a job: its slot's CPUs and GPUs, on a node of its slot's kind."""

    def __init__(self, pool: Pool) -> None:
        self.gpu_kinds = tuple(kind for kind in pool.kinds if kind != CPU)
        self.labelled = frozenset(node.kind for node in pool.nodes if node.is_labelled)
        self.has_spare_cpus = any(node.spare for node in pool.nodes)

    def __call__(self, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        slot = Slot(**config["slot"])
        bundle = {"CPU": slot.cpus, **({"GPU": slot.gpus} if slot.gpus else {})}
        if slot.kind == CPU:
            if not self.gpu_kinds or self.has_spare_cpus:
                return tune.PlacementGroupFactory([bundle])
            selector = f"!in({','.join(self.gpu_kinds)})"
        elif slot.kind in self.labelled:
            selector = slot.kind
        elif slot.kind == UNKNOWN_GPU:
            return tune.PlacementGroupFactory([bundle])
        else:
            return tune.PlacementGroupFactory([{**bundle, ACCELERATOR_RESOURCE + slot.kind: 0.001}])
        return tune.PlacementGroupFactory([bundle], bundle_label_selector=[{ACCELERATOR_LABEL: selector}])


class _Watch(TrialProgressCallback):
    """Keeps the display moving.

    Being Tune's own kind of progress callback, it keeps Tune from adding one that prints over the display. Tune
    pickles its callbacks, and a live display cannot be pickled.
    """

    def __init__(self, display: Display) -> None:
        super().__init__()
        self.display: Display | None = display

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Nothing: the display tells of trials."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nothing: see `log_result`."""

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.display is not None:
            self.display.tick()

    def __getstate__(self) -> dict[str, Any]:
        return {"display": None}


@contextlib.contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """A connection to the cluster at `address`, or a Ray of its own on this machine, left again at the end.

    A Ray that this process has already joined (a notebook, a test) is used as it is.

    Raises:
        UsageError: if no cluster answers at `address`.
    """
    if ray.is_initialized():
        yield
        return
    _require_answer(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init(include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ray.exceptions.RayError, RuntimeError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address or 'this machine'}: {str(error).strip().splitlines()[0]}\n"
            "  Is its head running, and is its token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH (ray get-auth-token)?"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str | None) -> None:
    """Ask a HOST:PORT for a connection: Ray itself takes minutes to find out that nobody is there."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise UsageError(
            f"nothing answers at {address} ({error}): is the head of the cluster running, and the port right?"
        ) from error


@contextlib.contextmanager
def _clean_tune_folder(folder: RunFolder) -> Iterator[None]:
    shutil.rmtree(folder.tune_folder, ignore_errors=True)
    folder.stop_file.unlink(missing_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(folder.tune_folder, ignore_errors=True)
        folder.stop_file.unlink(missing_ok=True)


@contextlib.contextmanager
def _interrupts(folder: RunFolder, status: SweepStatus) -> Iterator[None]:
    """Ctrl-C or SIGTERM once: nothing new starts and running trials checkpoint. Twice: leave at once."""

    def interrupted(number: int, frame: Any) -> None:
        if status.is_stopping:
            raise KeyboardInterrupt
        status.stop("interrupted")
        folder.stop_file.touch()

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _measured(folder: RunFolder) -> Iterator[None]:
    """Note how long the session took, and what of it was the driver's own work."""
    wall, cpu = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        folder.close_session({"wall_seconds": time.monotonic() - wall, "driver_cpu_seconds": time.process_time() - cpu})


def _session(pool: Pool, address: str | None) -> dict[str, Any]:
    return {
        "started_at": utc_now(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": _commit(),
        "address": address,
        "driver": platform.node(),
        "nodes": [dataclasses.asdict(node) for node in pool.nodes if not node.spare],
    }


def _commit() -> str | None:
    """The commit this code was checked out at, with `-dirty` if it was changed since; None if installed otherwise."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def _dirname(trial: Any) -> str:
    return str(trial.trial_id)
