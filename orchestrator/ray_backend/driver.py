"""The driver: starts Ray Tune with the searcher, and the function that Ray runs for each trial."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import ray
from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.trainable.function_trainable import wrap_function

from orchestrator import worker
from orchestrator.cluster.dead_man_switch.label import PaidNode, cost_lines
from orchestrator.errors import MachineError, UsageError
from orchestrator.interrupts import on_interrupt
from orchestrator.ledger.events import MICRO_USD
from orchestrator.ledger.on_finish import end_so_far, finish
from orchestrator.progress.display import Display
from orchestrator.ray_backend.checks.canary import is_safe_to_leave
from orchestrator.ray_backend.checks.sentinels import sentinels_of
from orchestrator.ray_backend.control import BoardActor, WorkerEnd, end_trial_on_sigterm
from orchestrator.ray_backend.deaths import ErrorScheduler, survive_want_of_memory
from orchestrator.ray_backend.file_server import server_call, start_file_server
from orchestrator.ray_backend.head_watch import (
    SECONDS_BETWEEN_LOOKS,
    SECONDS_OF_SILENCE_CLUSTER,
    SECONDS_OF_SILENCE_EMBEDDED,
    HeadWatch,
)
from orchestrator.ray_backend.late_reports import sending_the_newest
from orchestrator.ray_backend.nodes.cluster_status import cluster_nodes, living_nodes, machines_of
from orchestrator.ray_backend.nodes.driver_signs import DriverSigns, saying_at_work
from orchestrator.ray_backend.nodes.node_health import knows_node
from orchestrator.ray_backend.nodes.preflight import check_nodes, check_placement
from orchestrator.ray_backend.reaper import reaper
from orchestrator.ray_backend.searcher import PlanSearcher
from orchestrator.ray_backend.session import (
    clean_tune_folder,
    ray_session,
    session_facts,
    timed_session,
)
from orchestrator.repeating import repeating
from orchestrator.run_context import RunContext
from orchestrator.scheduling.dispatcher import SECONDS_FOR_NODES_TO_JOIN, Dispatcher
from orchestrator.scheduling.placement import Pool
from orchestrator.search.planner import PlannedTrial
from orchestrator.simulator.forecast_log import begin_forecast
from orchestrator.simulator.forecast_text import one_line
from orchestrator.worker import Job, run_job


def drive(
    run: RunContext, waiting: Sequence[PlannedTrial], *, address: str | None, on_ready: Callable[[], None]
) -> None:
    """Train every trial in `waiting` on a Ray cluster and record it.

    Returns when all are recorded, or when an interrupt has let the running ones checkpoint. `on_ready` is called when
    every check has passed and before anything starts.

    Raises:
        UsageError: if the cluster cannot run some trial, does not answer, or does not see the files.
    """
    folder = run.folder
    run.display.note("connecting to " + (address or "a Ray of its own on this machine"))
    with (
        reaper() if address is None else nullcontext(),
        ray_session(address),
        _at_work(run) if address is not None else nullcontext(),
        clean_tune_folder(folder),
    ):
        pool = Pool(cluster_nodes(ray.nodes()))
        _require_prices(run)
        needs = [*waiting, *(run.examples if run.search.end is None else ())]
        check_placement(needs, pool)
        if len({node.node_id for node in pool.nodes}) > 1 or any(node.gpus for node in pool.nodes):
            check_nodes(pool, needs, run)
        on_ready()
        folder.add_session(session_facts(pool, address))
        # pending trials beyond the slots would only bind early; fewer would leave slots empty
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, pool.num_slots(needs)))
        control = BoardActor()
        files = None if address is None else start_file_server(folder.root, run.data_root, run.data_sha256)
        patience_seconds = 0.0 if address is None else SECONDS_FOR_NODES_TO_JOIN
        dispatcher = Dispatcher(run, pool, waiting, patience_seconds, run.display.note)
        searcher = PlanSearcher(run, dispatcher, control)
        tuner = _tuner(searcher, run, _trainable(control.handle, files))
        survive_want_of_memory()
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what it would print, the display prints
        seconds_of_silence = SECONDS_OF_SILENCE_EMBEDDED if address is None else SECONDS_OF_SILENCE_CLUSTER
        here = ray.get_runtime_context()
        is_same = partial(knows_node, here.gcs_address, here.get_node_id())
        watch = HeadWatch(here.gcs_address, seconds_of_silence, partial(_abort, run), is_same)
        searcher.is_head_away = lambda: watch.is_silent
        with (
            on_interrupt(lambda: run.status.stop("interrupted")),
            timed_session(folder),
            _account(run),
            repeating(watch.look, SECONDS_BETWEEN_LOOKS),
        ):
            is_cluster = address is not None
            if is_safe_to_leave(run, waiting, pool, control, is_cluster=is_cluster):
                _forecast(run, waiting)
                with sentinels_of(run, pool, control, needs, is_cluster=is_cluster) as searcher.sentinels, run.display:
                    tuner.fit()


def _forecast(run: RunContext, waiting: Sequence[PlannedTrial]) -> None:
    """Say what this call is expected to bring; without that, nothing is held up."""
    try:
        found = begin_forecast(run, waiting, machines_of(ray.nodes()))
    except Exception as error:  # any: a night without a forecast is a night
        run.display.note(f"no forecast: {error if isinstance(error, UsageError) else repr(error)}")
        return
    if found is not None:
        run.display.note(one_line(found))


@contextmanager
def _account(run: RunContext) -> Iterator[None]:
    """Keep the account of what the machines cost while this driver is at work."""
    run.books.begin(lambda trial_id: run.folder.trial(trial_id).checkpoint_seconds())
    run.books.saw(machines_of(ray.nodes()))
    for line in cost_lines(_paid_nodes(run)):
        run.display.note(line)
    yield
    run.books.end()


def _paid_nodes(run: RunContext) -> list[PaidNode]:
    """What each machine costs, and by what it ends itself."""
    stops = {node.node_id: node.stops_itself for node in living_nodes()}
    machines = [run.books.priced(machine) for machine in machines_of(ray.nodes())]
    prices = [None if one.micro_usd_per_hour is None else one.micro_usd_per_hour / MICRO_USD for one in machines]
    return [
        PaidNode(host=machine.host, usd_per_hour=price, stops=stops.get(machine.node))
        for machine, price in zip(machines, prices, strict=True)
    ]


def _at_work(run: RunContext) -> AbstractContextManager[None]:
    """Let machines that end themselves know that there is work, and how it ended."""
    signs = DriverSigns(ray.get_runtime_context().gcs_address, run.folder.root)
    return saying_at_work(signs, lambda: end_so_far(run))


def _require_prices(run: RunContext) -> None:
    """A budget of dollars needs the price of every machine. Raises UsageError, naming those without one."""
    if run.spec.budget.usd is None:
        return
    machines = [run.books.priced(machine) for machine in machines_of(ray.nodes())]
    unknown = sorted({f"{one.host} ({one.accelerator})" for one in machines if one.micro_usd_per_hour is None})
    if unknown:
        raise UsageError(
            f"budget.usd needs the price of every machine, and nobody says what {', '.join(unknown)} costs: write it "
            "in the sweep file (prices: {H100: 2.99, CPU: 0}), or join the machine with --usd-per-hour"
        )


def _abort(run: RunContext, line: str) -> None:
    """End the process at once, with the exit code of a fault of the machine: the main thread may wait for ever."""
    run.display.close()
    print(f"error: {line}", file=sys.stderr, flush=True)
    with suppress(Exception):  # a disk that is full as well: what has ended is in the folders of the trials
        run.recorder.write()
    finish(run, "failed")
    if run.remote is not None:
        run.remote.send_the_rest(run.display.note)
    os._exit(MachineError.exit_code)


def _tuner(searcher: PlanSearcher, run: RunContext, trainable: type[tune.Trainable]) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(trainable, _placement),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=ErrorScheduler(searcher.deaths.error, lambda: searcher.sentinels.wants_room),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=_dirname,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(run.folder.tune_folder),
            verbose=0,
            callbacks=[_DisplayCallback(run.display)],
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )


def _trainable(board: Any, files: Any) -> type[tune.Trainable]:
    """The Ray Tune trainable: runs one job after another, and passes its reports to Ray.

    Args:
        board, files: handles of the control channel and of the file server; no file server on one machine.
    """

    def run_trial(config: dict[str, Any]) -> None:
        node, channel = ray.get_runtime_context().get_node_id(), WorkerEnd(board)
        call = None if files is None else server_call(files)
        with sending_the_newest(tune.report) as report:  # it waits for the driver, which may be cut off
            run_job(Job(**json.loads(config["job"])), node=node, channel=channel, report=report, call=call)
            if worker.terminated.is_set():
                os._exit(0)  # as SIGTERM asked

    class RunTrial(wrap_function(run_trial)):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            end_trial_on_sigterm()  # here and not in `run_trial`: this is the worker's main thread
            super().setup(config)

    return RunTrial


def _placement(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What the searcher has chosen, see `bundle_of`."""
    bundle = config["bundle"]
    labels: dict[str, Any] = {"bundle_label_selector": [bundle["labels"]]} if bundle["labels"] else {}
    return tune.PlacementGroupFactory([bundle["resources"]], **labels)


class _DisplayCallback(TrialProgressCallback):
    """Redraws the display after each step of Ray Tune.

    Being Tune's own kind of progress callback, it keeps Tune from adding one that prints over the display. Tune
    pickles its callbacks, and a live display cannot be pickled.
    """

    def __init__(self, display: Display) -> None:
        super().__init__()
        self.display: Display | None = display

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Nothing: the display shows the trials."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nothing: see `log_result`."""

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.display is not None:
            self.display.tick()

    def __getstate__(self) -> dict[str, Any]:
        return {"display": None}


def _dirname(trial: Any) -> str:
    return str(trial.trial_id)
