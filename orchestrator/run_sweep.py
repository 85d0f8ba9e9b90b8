"""The main path of a sweep: spec, plan, what is finished, what cannot fit, driver, summary."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from orchestrator.dataset_check import check_data
from orchestrator.errors import UsageError
from orchestrator.plan_table import varied_settings
from orchestrator.progress import summary
from orchestrator.progress.display import Display
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.ray_backend.environment import prepare_ray_environment
from orchestrator.run_context import RunContext, RunOptions
from orchestrator.scheduling.backlog import Again, Backlog, make_backlog
from orchestrator.scheduling.cost_model import costs
from orchestrator.search.planner import PlannedTrial, iterate, most_trials, plan
from orchestrator.store.recorder import Recorder, rows_of_open_states
from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.errors import Busy
from trainer.locks import sole_owner
from trainer.result import TrialResult

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
    trials = _planned(spec, console)
    data_sha256 = check_data(spec, trials, options.data_root)
    folder = RunFolder((options.out or Path("runs") / spec.name).resolve())
    with _one_driver(folder):
        folder.stop_requests.clear()  # of an earlier call; from here on one is obeyed
        changes = folder.check(spec.resolved(), data_sha256)
        if folder.sweep_file.exists():
            folder.remove_stray_temporaries()
        recorder = Recorder(folder, spec)
        open_states = folder.open_states()
        finished = _read_finished(folder, recorder, open_states, console)
        again = Again(failed=options.retry_failed, stopped=options.continue_stopped)
        backlog = make_backlog(spec, trials, finished, open_states, again)
        status = SweepStatus(
            num_trials=len(trials),
            objective=next(iter(spec.objectives.items())),
            started_seconds=time.monotonic(),
            varied=varied_settings(trials),
            costs=costs(backlog.admitted),
        )
        run = RunContext(
            spec=spec,
            trials=trials,
            folder=folder,
            data_root=options.data_root.resolve(),
            data_sha256=data_sha256,
            recorder=recorder,
            status=status,
            display=Display(status, console),
            keep_going=options.keep_going,
        )
        if changes:
            run.display.note(summary.changed_spec(run, changes))
        _count_finished(run, backlog)
        return _run_backlog(run, backlog, options.address)


def _planned(spec: SweepSpec, console: Console) -> list[PlannedTrial]:
    """The plan; one that takes more than a moment has a progress bar."""
    if most_trials(spec) <= MAX_TRIALS_WITHOUT_PROGRESS:
        return plan(spec)
    with Progress(console=console, transient=True) as bar:
        return list(bar.track(iterate(spec), total=most_trials(spec), description="planning trials"))


def _run_backlog(run: RunContext, backlog: Backlog, address: str | None) -> int:
    """Train what is admitted, give the rest of the backlog its rows, and say what came of it; the exit code."""
    if backlog.is_empty:
        _write_spec(run)  # objectives and limits may have changed, and the tables are read by those of sweep.yaml
        run.display.note(summary.nothing_to_do(run))
        return summary.exit_code(run.status)
    for line in summary.before_lines(run, backlog):
        run.display.note(line)
    begin = partial(_begin, run, backlog)
    if backlog.admitted:
        prepare_ray_environment(is_embedded=address is None)
        # here and not above: Ray reads its settings when it is imported, and without a trial to run it is not needed
        from orchestrator.ray_backend.driver import drive

        drive(run, backlog.admitted, address=address, on_ready=begin)
    else:
        begin()
    for line in summary.after_lines(run, num_before=len(run.trials) - len(backlog.admitted)):
        run.display.note(line)
    return summary.exit_code(run.status)


@contextmanager
def _one_driver(folder: RunFolder) -> Iterator[None]:
    """Lock the run folder for this driver."""
    try:
        with sole_owner(folder.root):
            yield
    except Busy as error:
        raise UsageError(f"{error}: one driver at a time; wait for it, or choose another --out") from error


def _read_finished(
    folder: RunFolder, recorder: Recorder, open_states: dict[str, TrialResult], console: Console
) -> dict[str, TrialResult]:
    """The finished trials of the folder, with the tables rebuilt from them and the open ones; damaged are set aside."""
    finished = folder.finished()
    for trial_id in recorder.rebuild({**finished, **rows_of_open_states(open_states)}):
        console.print(f"{trial_id}: its files are damaged; set aside as *.damaged.json", markup=False)
        finished.pop(trial_id, None)
        open_states.pop(trial_id, None)
    return finished


def _count_finished(run: RunContext, backlog: Backlog) -> None:
    planned = {trial.trial_id for trial in run.trials}
    for row in run.recorder.rows:
        if row["trial_id"] in planned and row["trial_id"] in backlog.finished:
            run.status.already_finished(row)


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
        run.status.already_finished(run.recorder.record(trial.trial_id, result))


def _write_spec(run: RunContext) -> None:
    trial_ids = [trial.trial_id for trial in run.trials]
    run.folder.write_spec(run.spec.resolved(), run.data_sha256, trial_ids)
