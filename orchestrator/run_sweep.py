"""The main path of a sweep: spec, search, what is finished, what cannot fit, driver, summary."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from orchestrator.confirmation.confirmation_log import ConfirmationLog
from orchestrator.confirmation.confirming_search import ConfirmingSearch, against_of
from orchestrator.dataset_check import check_data, check_text_to_confirm
from orchestrator.early_stopping.stop_log import StopLog
from orchestrator.errors import UsageError
from orchestrator.ledger.account import open_account
from orchestrator.ledger.on_finish import end_so_far, finish
from orchestrator.plan_table import varied_settings
from orchestrator.progress import summary
from orchestrator.progress.display import Display
from orchestrator.progress.front_so_far import FrontSoFar
from orchestrator.progress.status_file import StatusFile
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.ray_backend.environment import prepare_ray_environment
from orchestrator.run_context import RunContext, RunOptions
from orchestrator.scheduling.backlog import Again, Backlog, make_backlog
from orchestrator.scheduling.cost_model import costs
from orchestrator.search import planner
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import PlannedSearch, Search
from orchestrator.search_record.resume import adaptive_search, num_trials
from orchestrator.sentinel.watch import read_suspicions, suspect_column
from orchestrator.simulator.forecast_log import end_forecast
from orchestrator.store.dataset_copy import is_data_source
from orchestrator.store.keeper import keep_all, keep_artifacts
from orchestrator.store.recorder import Recorder, rows_of_open_states
from orchestrator.store.run_folder import RunFolder, one_driver
from results.object_store import is_uri
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sections.budget import End
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.result import TrialResult

if TYPE_CHECKING:
    from orchestrator.store.remote.remote_run import RemoteRun

NUM_OF_FRONT = 100  # examples that say how large artifacts are
MAX_TRIALS_WITHOUT_PROGRESS = 5_000  # about a second of planning


def run_sweep(spec_file: Path, options: RunOptions, console: Console) -> int:
    """Run what is missing of a sweep; like make, a finished sweep starts nothing.

    Returns:
        The exit code: 0 no trial failed, 1 some did, 3 the machine is at fault, 130 interrupted.

    Raises:
        SpecError, UsageError: before anything starts.
        MachineError: if the cluster is lost.
    """
    spec = load_sweep(spec_file, options.scale, options.overrides)
    if options.data_from is not None and not is_data_source(options.data_from):
        raise UsageError(f"--data-from must be hub or a URI such as s3://BUCKET/data, but is {options.data_from}")
    out = str(options.out or f"runs/{spec.name}")
    if not is_uri(out):
        return _run_in(RunFolder(Path(out).resolve()), spec, options, console)
    # here and not above: most sweeps need no object store
    from orchestrator.store.remote.remote_run import remote_run

    with remote_run(out, console) as remote:
        return _run_in(remote.folder, spec, options, console, remote)


def _run_in(
    folder: RunFolder, spec: SweepSpec, options: RunOptions, console: Console, remote: RemoteRun | None = None
) -> int:
    spec = folder.kept_method(spec)
    plan = None if spec.is_adaptive else _planned(spec, console)
    examples = plan.trials if plan else planner.examples(spec)
    data_sha256 = check_data(spec, examples, options.data_root)
    spec = check_text_to_confirm(spec, examples, options.data_root, console.print)
    with one_driver(folder.root):
        folder.requests.clear()  # of an earlier call; from here on one is obeyed
        changes = folder.check(spec.resolved(), data_sha256)
        if folder.sweep_file.exists():
            folder.remove_stray_temporaries()
        confirmation, (books, timed) = ConfirmationLog(folder.confirmation_file), open_account(folder, spec)
        verdicts, confirmed = StopLog(folder.early_stopping_file).read(), against_of(confirmation.read())
        recorder = Recorder(folder, spec, verdicts, confirmed, books.columns)
        open_states = folder.open_states()
        timed.done = {trial_id: state.share_done for trial_id, state in open_states.items()}
        finished = _read_finished(folder, recorder, open_states, console)
        chosen: Search = plan or adaptive_search(spec, folder, recorder.rows, data_sha256, console)
        search = ConfirmingSearch(spec, chosen, confirmation, confirmed, lambda: recorder.rows)
        backlog = make_backlog(spec, search.trials, finished, open_states, _again(options))
        run = RunContext(
            spec=spec,
            search=search,
            examples=examples,
            folder=folder,
            data_root=options.data_root.resolve(),
            data_sha256=data_sha256,
            recorder=recorder,
            status=(status := _new_status(spec, search, backlog.admitted, examples)),
            display=Display(status, console),
            books=books,
            timed=timed,
            keep_going=options.keep_going,
            any_versions=options.any_versions,
            data_from=options.data_from,
            canary=options.canary,
            remote=remote,
        )
        if changes:
            run.display.note(summary.changed_spec(run, changes))
        _count_finished(run, backlog)
        with closing(search):
            return _run_to_its_end(run, backlog, options.address)


def _again(options: RunOptions) -> Again:
    return Again(failed=options.retry_failed, stopped=options.continue_stopped)


def _new_status(
    spec: SweepSpec, search: Search, admitted: Sequence[PlannedTrial], examples: Sequence[PlannedTrial]
) -> SweepStatus:
    status = SweepStatus(
        num_trials=num_trials(search),
        objective=next(iter(spec.objectives.items())),
        started_seconds=time.monotonic(),
        varied={} if spec.is_adaptive else varied_settings(examples),
        costs=costs(admitted or examples),
    )
    status.front = FrontSoFar(spec, examples[:NUM_OF_FRONT]) if spec.is_adaptive else None
    return status


def _planned(spec: SweepSpec, console: Console) -> PlannedSearch:
    """The search of a plan, with all its trials given; what takes more than a moment has a progress bar."""
    search = PlannedSearch(spec)
    most = planner.most_trials(spec)
    is_quick = most <= MAX_TRIALS_WITHOUT_PROGRESS
    with Progress(console=console, transient=True, disable=is_quick) as bar:
        task = bar.add_task("planning trials", total=most)
        while trials := search.ask():
            bar.advance(task, len(trials))
    return search


def _run_to_its_end(run: RunContext, backlog: Backlog, address: str | None) -> int:
    """The exit code; then the command of `on_finish`, if this is an end that it is for."""
    end: End | None = "failed"  # if a machine is at fault
    try:
        code = _run_backlog(run, backlog, address)
        end = end_so_far(run)
        return code
    except (UsageError, KeyboardInterrupt):
        end = None
        raise
    finally:
        if run.folder.sweep_file.exists():
            with suppress(OSError):  # the next call finds in their folders what cannot be written now
                run.recorder.write()
            StatusFile(run).write("finished" if end == "finished" else "stopped")
        finish(run, end)


def _run_backlog(run: RunContext, backlog: Backlog, address: str | None) -> int:
    """Train what is admitted, give the rest of the backlog its rows, and say what came of it; the exit code."""
    if not backlog.admitted and run.search.end is None:
        run.search.look_ahead()
        run.status.num_trials = num_trials(run.search)
    if run.search.end is not None and not run.trials:
        raise UsageError(f"nothing to run: {run.search.end}")
    if backlog.is_empty and run.search.end is not None:
        _write_spec(run)  # objectives and limits may have changed, and the tables are read by those of sweep.yaml
        for line in (*keep_all(run, ()), *summary.of_configs(run)):  # their table is by the limits of today
            run.display.note(line)
        run.display.note(summary.nothing_to_do(run))
        return summary.exit_code(run.status)
    if run.timed.is_over:
        run.status.stop(run.timed.reach(), kind="budget")
        run.display.note(summary.budget_is_used(run))
        return summary.exit_code(run.status)
    for line in summary.before_lines(run, backlog):
        run.display.note(line)
    begin = partial(_begin, run, backlog)
    num_before = run.status.num_finished + len(backlog.refused)
    if backlog.admitted or run.search.end is None:
        prepare_ray_environment(is_embedded=address is None)
        # here and not above: Ray reads its settings when it is imported, and without a trial to run it is not needed
        from orchestrator.ray_backend.driver import drive

        with _early_stopping(run, backlog) as run:
            drive(run, backlog.admitted, address=address, on_ready=begin)
        end_forecast(run)
    else:
        begin()
    run.recorder.write()
    keep_artifacts(run, run.removed)  # the search may have learned only now that nothing is to come
    for line in summary.after_lines(run, num_before=num_before):
        run.display.note(line)
    return summary.exit_code(run.status)


@contextmanager
def _early_stopping(run: RunContext, backlog: Backlog) -> Iterator[RunContext]:
    """The run with what judges its trials, told of those that ended in earlier calls."""
    if run.spec.stopping == "none":
        yield run
        return
    # here and not above: it loads scikit-learn, which takes a second
    from orchestrator.early_stopping.stopper import Stopper

    log = StopLog(run.folder.early_stopping_file)
    with closing(Stopper(run.spec, log, run.recorder.verdicts, run.display.note)) as stopper:
        stopper.ended_before(run.recorder.rows, run.recorder.looks())
        stopper.spare(backlog.continued, "to be continued, by --continue-stopped")
        yield dataclasses.replace(run, stopper=stopper)


def _read_finished(
    folder: RunFolder, recorder: Recorder, open_states: dict[str, TrialResult], console: Console
) -> dict[str, TrialResult]:
    """The finished trials of the folder, with the tables rebuilt from them and the open ones; damaged are set aside."""
    recorder.suspect_of = suspect_column(read_suspicions(folder))
    finished = folder.finished()
    for trial_id in recorder.rebuild({**finished, **rows_of_open_states(open_states)}):
        console.print(f"{trial_id}: its files are damaged; set aside as *.damaged.json", markup=False)
        finished.pop(trial_id, None)
        open_states.pop(trial_id, None)
    return finished


def _count_finished(run: RunContext, backlog: Backlog) -> None:
    planned = {trial.trial_id: trial for trial in run.trials}
    for row in run.recorder.rows:
        if row["trial_id"] in planned and row["trial_id"] in backlog.finished:
            run.status.already_finished(row)
            run.search.tell(row)
            run.timed.ended(row, planned[row["trial_id"]])


def _begin(run: RunContext, backlog: Backlog) -> None:
    """Write the spec, and give what is not to be trained its row, before anything else is trained.

    Only now, when every check has passed, do results that are to be replaced leave the folder and its tables.
    """
    _write_spec(run)
    for trial_id, result in backlog.outdated.items():
        run.folder.trial(trial_id).set_aside(result.status)
    if backlog.outdated:
        run.recorder.rebuild({**rows_of_open_states(run.folder.open_states()), **backlog.finished})
    for trial, reason in backlog.refused:
        result = run.folder.trial(trial.trial_id).write_infeasible(trial.config, trial.accelerator, reason)
        row = run.recorder.record(trial.trial_id, result)
        run.status.already_finished(row)
        run.search.tell(row)
    for line in keep_all(run, {trial.trial_id for trial in backlog.admitted}):
        run.display.note(line)


def _write_spec(run: RunContext) -> None:
    trial_ids = [trial.trial_id for trial in run.trials]
    run.folder.write_spec(run.spec.resolved(), run.data_sha256, trial_ids)
