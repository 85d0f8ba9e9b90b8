"""`frostline run`, top to bottom: spec, plan, what is finished or cannot fit, the driver for the rest, the summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from orchestrator.admission import refusals
from orchestrator.errors import UsageError
from orchestrator.plan_rows import varied_settings
from orchestrator.progress import Display, duration
from orchestrator.ray_environment import prepare_ray_environment
from orchestrator.recorder import Recorder
from orchestrator.run_folder import RunFolder
from orchestrator.search import PlannedTrial, note_on_budget, plan
from orchestrator.spec import load_sweep, problem_at
from orchestrator.status import OUTCOMES, SweepStatus
from orchestrator.sweep import SweepSpec
from trainer.data import DataError, Dataset, batch, open_dataset, validation_rows
from trainer.files import Busy, sole_owner
from trainer.result import TrialResult

ALL_WELL, SOME_FAILED, INTERRUPTED = 0, 1, 130


def run_sweep(
    spec_file: Path,
    *,
    scale: str | None = None,
    out: Path | None = None,
    data_root: Path,
    address: str | None = None,
    retry_failed: bool = False,
    console: Console,
) -> int:
    """Run what is missing of a sweep; like make, a finished sweep starts nothing.

    Args:
        spec_file: the sweep's YAML.
        scale: one of the file's scales, instead of the one that it names.
        out: the run folder; by default `runs/<name>`.
        data_root: folder of the prepared datasets.
        address: of a Ray cluster; None starts Ray on this machine.
        retry_failed: run failed trials again; their old result is kept beside as `result.failed.json`.

    Returns:
        The exit code: 0 all trials completed or cannot fit the byte budget, 1 some ended otherwise, 130 interrupted.

    Raises:
        SpecError, UsageError: before anything starts.
    """
    spec = load_sweep(spec_file, scale)
    trials = plan(spec)
    data_sha256 = _check_data(spec, trials, data_root)
    folder = RunFolder((out or Path("runs") / spec.name).resolve())
    try:
        with sole_owner(folder.root):
            folder.check(spec.resolved(), data_sha256)
            claim = partial(folder.claim, spec.resolved(), data_sha256)
            return _run_missing(
                spec, trials, folder, data_root.resolve(), address, retry_failed, console, claim, data_sha256
            )
    except Busy as error:
        raise UsageError(f"{error}: one driver at a time; wait for it, or choose another --out") from error


def _run_missing(
    spec: SweepSpec,
    trials: Sequence[PlannedTrial],
    folder: RunFolder,
    data_root: Path,
    address: str | None,
    retry_failed: bool,
    console: Console,
    claim: Callable[[], None],
    data_sha256: Mapping[str, str],
) -> int:
    finished = folder.finished()
    recorder = Recorder(folder, spec)
    for trial_id in recorder.rebuild(finished):
        console.print(f"{trial_id}: its files are damaged; set aside as result.damaged.json", markup=False)
        del finished[trial_id]
    again = {trial_id: finished.pop(trial_id) for trial_id in list(_to_do_again(spec, trials, finished, retry_failed))}
    status = _status(spec, trials, recorder, finished)
    display = Display(status, console)
    waiting = [trial for trial in trials if trial.trial_id not in finished]
    if not waiting:
        claim()  # goals and limits may have changed, and the tables are read by those of sweep.yaml
        outcomes = _outcomes(status)
        display.note(
            f"nothing to do: all {len(trials)} trials of {spec.name} are finished ({outcomes}) in {_shown(folder.root)}"
        )
        return _exit_code(status)
    reasons = refusals(waiting, spec)
    admitted = [trial for trial in waiting if trial.config.config_id not in reasons]
    refused = [(trial, reasons[trial.config.config_id]) for trial in waiting if trial.config.config_id in reasons]
    begin = partial(_begin, claim, finished, again, refused, folder, recorder, status)
    display.note(f"{spec.name}: {len(admitted)} of {len(trials)} trials to run, in {_shown(folder.root)}")
    for line in _remarks(spec, len(trials), len(refused), num_others=len(finished) - (len(trials) - len(waiting))):
        display.note(line)
    if not admitted:
        begin()
    else:
        prepare_ray_environment(is_embedded=address is None)
        # here and not above: Ray reads its settings when it is imported, and without a trial to run it is not needed
        from orchestrator.driver import drive

        drive(
            admitted,
            folder=folder,
            recorder=recorder,
            status=status,
            display=display,
            data_root=data_root,
            address=address,
            claim=begin,
            data_sha256=data_sha256,
        )
    display.note(_summary(status, folder, num_before=len(trials) - len(admitted)))
    return _exit_code(status)


def _begin(
    claim: Callable[[], None],
    finished: Mapping[str, TrialResult],
    again: Mapping[str, TrialResult],
    refused: Sequence[tuple[PlannedTrial, str]],
    folder: RunFolder,
    recorder: Recorder,
    status: SweepStatus,
) -> None:
    """Make the folder this sweep's, and give what is not to be trained its row before anything else is trained.

    Only now, when every check has passed, do results that are to be replaced leave the folder and its tables.
    """
    claim()
    for trial_id, result in again.items():
        folder.set_aside(trial_id, result.status)
    if again:
        recorder.rebuild(finished)
    for trial, why in refused:
        result = folder.refuse(trial.trial_id, trial.config, trial.accelerator, why)
        status.already_finished(recorder.record(trial.trial_id, result))


def _remarks(spec: SweepSpec, num_trials: int, num_refused: int, *, num_others: int) -> Iterator[str]:
    """What a person should know before the first trial starts."""
    if num_refused:
        yield f"{num_refused} of {num_trials} trials are not trained, as their shapes break a limit: status infeasible"
    if num_others:
        yield f"{num_others} finished trials in the folder are not in this spec; they stay in its tables"
    if note := note_on_budget(spec, num_trials):
        yield note


def _to_do_again(
    spec: SweepSpec, trials: Sequence[PlannedTrial], finished: Mapping[str, TrialResult], retry_failed: bool
) -> Iterator[str]:
    """Finished trials whose result does not stand: failed ones if that is asked for, and refusals that are outdated.

    A refusal stands as long as today's limits, `admission` and code give the same one, number for number.
    """

    def having(status: str) -> list[PlannedTrial]:
        return [t for t in trials if t.trial_id in finished and finished[t.trial_id].status == status]

    if retry_failed:
        yield from (trial.trial_id for trial in having("failed"))
    refused = having("infeasible")
    reasons = refusals(refused, spec)
    yield from (t.trial_id for t in refused if finished[t.trial_id].error != reasons.get(t.config.config_id))


def _check_data(spec: SweepSpec, trials: Sequence[PlannedTrial], data_root: Path) -> dict[str, str]:
    """Open every dataset of the plan before anything starts; the fingerprint of each.

    Raises:
        SpecError: if one is missing or damaged, of another vocabulary, or too short for some trial.
    """
    datasets: dict[str, Dataset] = {}
    for name in sorted({trial.config.data for trial in trials}):
        try:
            datasets[name] = open_dataset(name, data_root)
        except DataError as error:
            raise problem_at(spec, _data_key(spec), rule=f"{error} (data folder: {data_root})") from error
    for config in {trial.config.config_id: trial.config for trial in trials}.values():
        dataset, wanted = datasets[config.data], config.model.vocab_size
        if dataset.vocab_size != wanted:
            rule = f"must be {dataset.vocab_size}, the vocabulary of dataset {dataset.name}"
            raise problem_at(spec, "base.model.vocab_size", rule=rule, value=wanted)
        length = config.train.sequence_tokens
        try:
            validation_rows(dataset, sequence_tokens=length, num_tokens=config.eval.tokens)
            batch(dataset, seed=0, step=0, num_sequences=1, sequence_tokens=length)
        except DataError as error:
            raise problem_at(spec, "base.train.sequence_tokens", rule=str(error), value=length) from error
    return {name: dataset.sha256 for name, dataset in datasets.items()}


def _data_key(spec: SweepSpec) -> str:
    return "space.data" if any(parameter.key == "data" for parameter in spec.parameters) else "base.data"


def _status(
    spec: SweepSpec, trials: Sequence[PlannedTrial], recorder: Recorder, finished: Mapping[str, TrialResult]
) -> SweepStatus:
    planned = {trial.trial_id for trial in trials}
    objective = next(iter(spec.objectives.items()))
    started_seconds, varied = time.monotonic(), varied_settings(trials)
    status = SweepStatus(num_trials=len(trials), objective=objective, started_seconds=started_seconds, varied=varied)
    for row in recorder.rows:
        if row["trial_id"] in planned and row["trial_id"] in finished:
            status.already_finished(row)
    return status


def _summary(status: SweepStatus, folder: RunFolder, *, num_before: int) -> str:
    """What is told at the end: what this session did, where the tables are, and what to do next."""
    num_here = status.num_finished - num_before
    took = duration(time.monotonic() - status.started_seconds)
    lines = [f"{num_here} trial{'' if num_here == 1 else 's'} finished in {took}; in all {_outcomes(status)}"]
    if status.num_finished < status.num_trials:
        why = status.why_stopping or "nothing more could run"
        lines.append(
            f"stopped ({why}) with {status.num_waiting} to go: the same command goes on from their checkpoints"
        )
    if status.counts["failed"]:
        lines.append(f"{status.counts['failed']} failed: see trials/<trial>/log.txt, and run again with --retry-failed")
    if status.counts["completed"]:
        lines.append(f"tables in {_shown(folder.tables)}; next: frostline pareto {_shown(folder.root)}")
    return "\n".join(lines)


def _outcomes(status: SweepStatus) -> str:
    counts = [f"{status.counts[name]} {name}" for name in OUTCOMES if status.counts[name]]
    return ", ".join(counts) or "none finished"


def _exit_code(status: SweepStatus) -> int:
    if status.num_finished < status.num_trials:
        return INTERRUPTED
    # that a config cannot fit is an answer, not a failure
    answered = status.counts["completed"] + status.counts["infeasible"]
    return ALL_WELL if answered == status.num_trials else SOME_FAILED


def _shown(path: Path) -> str:
    """The path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
