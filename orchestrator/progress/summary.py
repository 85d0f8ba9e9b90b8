"""The text printed before the first trial and after the last one, and the exit code."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.confirmation.confirming_search import TIME_IS_FOR_CONFIRMATION
from orchestrator.ledger.events import MICRO_USD
from orchestrator.progress.display import duration
from orchestrator.progress.sweep_status import OUTCOMES, SweepStatus
from orchestrator.run_context import RunContext
from orchestrator.scheduling.backlog import Backlog
from orchestrator.search.planner import note_on_budget
from orchestrator.search.suggest import BUDGET_USED
from orchestrator.store.sweep_versions import Change, in_words
from results.analysis.early_stopping import stopping_summary
from results.analysis.night.uses import uses_of
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.search_history import read_search_history
from results.report.formatting import doubt_text
from results.tables.configs import write_configs
from results.tables.load import load
from search_spaces.spec.problems import render_problems
from search_spaces.spec.sweep_rules import sweep_warnings
from search_spaces.spec.sweep_spec import score_column

ALL_WELL, SOME_FAILED, MACHINE_FAULT, INTERRUPTED = 0, 1, 3, 130
# That a config cannot fit is an answer, and a trial that was told to end is no failure.
NO_FAILURES = ("completed", "infeasible", "stopped_early", "deadline")
MAX_TRIALS_WARNED_OF = 1_000
# Attempts in the account that are no trials of the sweep: their ids begin so.
CHECKS = ("canary", "sentinel")
CHOSEN_BY = {
    "random": "at random",
    "first": "from the file",
    "late": "at random, as the method was late",
    "broken": "at random, as the method failed",
    "replicate": "once more with another seed",
}


def before_lines(run: RunContext, backlog: Backlog) -> Iterator[str]:
    """How much is to be run, and what a user should know before the first trial starts."""
    num_trials, num_refused = run.status.num_trials, len(backlog.refused)
    num_planned_finished = len(run.trials) - len(backlog.admitted) - num_refused
    num_to_run = num_trials - num_planned_finished - num_refused
    how = f"; {_chosen(run)}" if run.search.end is None else ""
    yield f"{run.spec.name}: {num_to_run} of {num_trials} trials to run, in {run.folder.shown}{how}"
    if num_refused:
        yield f"{num_refused} of {num_trials} trials are not trained, as their shapes break a limit: status infeasible"
    if num_others := len(backlog.finished) - num_planned_finished:
        yield f"{num_others} finished trials in the folder are not in this spec; they stay in its tables"
    if run.spec.num_to_confirm:
        configs = f"{run.spec.num_confirmed} configs of the front and as many rivals"
        yield f"of these, {run.spec.num_to_confirm} are kept to confirm {configs} with fresh seeds"
    if not run.spec.is_adaptive or run.search.end is not None:
        num_searched = sum(trial.trial_id not in run.recorder.confirmed for trial in run.trials)
        if note := note_on_budget(run.spec, num_searched):
            yield note
    first = (trial.config for trial in run.examples[:MAX_TRIALS_WARNED_OF])
    warnings = render_problems(list(sweep_warnings(run.spec, first)), run.spec.document)
    yield from (f"warning: {line}" for line in warnings.splitlines())


def _chosen(run: RunContext) -> str:
    """How the trials that are not known yet are chosen."""
    resolved = " (auto)" if run.spec.search.method == "auto" else ""
    number = f", {len(run.trials)} chosen before" if run.trials else ""
    return f"method {run.spec.method}{resolved} chooses them{number}"


def changed_spec(run: RunContext, changes: Sequence[Change]) -> str:
    """What the sweep file says otherwise than in the last call, and which trials that adds or leaves out."""
    text = f"the sweep has changed since the last call: {in_words(changes)}"
    before = run.folder.versions.planned()
    if before is not None:
        now = {trial.trial_id for trial in run.trials}
        num_new, num_gone = len(now - set(before)), len(set(before) - now)
        text += f". Trials: {num_new:,} new, {num_gone:,} no longer planned"
    return f"{text}. Both versions are kept in {run.folder.shown}/versions"


def nothing_to_do(run: RunContext) -> str:
    """The one line of a sweep that is finished already."""
    return (
        f"nothing to do: all {len(run.trials)} trials of {run.spec.name} are finished "
        f"({_outcomes(run.status)}) in {run.folder.shown}"
    )


def budget_is_used(run: RunContext) -> str:
    """Why nothing starts, and what to do."""
    how = "raise it in the sweep file, or with frostline extend"
    return f"nothing starts: {run.timed.reason()}; {run.status.num_waiting} trials wait: {how} {run.folder.shown}"


def details(run: RunContext) -> list[str]:
    """What the display says beside counts: steps saved and audits, replicates and doubts, confirmation."""
    stopping = stopping_summary(run.recorder.rows, score_column(run.spec.objectives))
    saved = []
    if stopping is not None:
        audits = f", {stopping.num_ran_on} audited" if stopping.num_ran_on else ""
        saved = [f"{stopping.steps_saved_share:.0%} of steps saved{audits}"]
    return saved + [text for text in [run.search.text()] if text]


def after_lines(run: RunContext, *, num_before: int) -> Iterator[str]:
    """What this call did, where the tables are, and what to do next. `num_before`: trials it did not have to train."""
    status, root = run.status, run.folder.shown
    num_here = status.num_finished - num_before
    took = duration(time.monotonic() - status.started_seconds)
    yield f"{num_here} trial{'' if num_here == 1 else 's'} finished in {took}; in all {_outcomes(status)}"
    if status.num_finished < status.num_trials:
        reason = status.stop_reason or "; ".join(status.pauses) or "nothing more could run"
        yield f"stopped ({reason}) with {status.num_waiting} to go: the same command goes on from their checkpoints"
    if run.spec.is_adaptive and run.search.end not in (None, BUDGET_USED, TIME_IS_FOR_CONFIRMATION):
        yield f"the search ended before its budget: {run.search.end}"
    if run.spec.is_adaptive:
        yield from _search_lines(run)
    if stopping := stopping_summary(run.recorder.rows, score_column(run.spec.objectives)):
        yield f"early stopping: {stopping.text()}"
    yield from of_configs(run)
    if removed := run.removed.text():
        again = f"frostline replay {root} TRIAL --out FOLDER makes an artifact again"
        yield f"not kept, by {run.spec.keep.text()}: {removed}; their rows stay, and {again}"
    yield from money_lines(run)
    if status.counts["deadline"]:
        number = status.counts["deadline"]
        yield f"{number} ended at the deadline: with more budget they go on first, from their checkpoints"
    if status.counts["stopped_early"]:
        how = f"frostline retry {root} TRIAL goes on with one, --continue-stopped with all"
        yield f"{status.counts['stopped_early']} stopped early: {how}"
    if status.counts["failed"]:
        yield f"{status.counts['failed']} failed: see trials/<trial>/log.txt, and run again with --retry-failed"
    if status.counts["out_of_memory"]:
        yield f"{status.counts['out_of_memory']} out of memory: with more of it, run again with --retry-failed"
    if status.counts["completed"]:
        yield f"tables in {root}/tables; next: frostline pareto {root}"


def money_lines(run: RunContext) -> Iterator[str]:
    """What the machines of this run have cost in all calls, and what for. Nothing where no price is known."""
    ledger, now = run.books.ledger, run.books.ledger.now
    totals, unknown = ledger.totals(now), ledger.unseen_micro_usd()
    if not totals.machines:
        return
    parts = {**usd_by_use(run), "repeated after losses": totals.lost, "idle": totals.idle}
    text = ", ".join(f"{name} {micro_usd / MICRO_USD:.2f}" for name, micro_usd in parts.items() if micro_usd)
    bound = f"; up to {unknown / MICRO_USD:.2f} more for machines that nobody saw leave" if unknown else ""
    yield f"spent {totals.machines / MICRO_USD:.2f} USD: {text}{bound}"


def usd_by_use(run: RunContext) -> dict[str, int]:
    """Millionths of a dollar of trials by what came of them (see `uses_of`), and of checks."""
    ledger, now = run.books.ledger, run.books.ledger.now
    found: Counter[str] = Counter()
    rows = run.recorder.rows
    uses = {row["trial_id"]: use for row, use in zip(rows, uses_of(_info(run), rows), strict=True)}
    for trial_id, attempts in ledger.by_trial.items():
        check = next((name for name in CHECKS if trial_id.startswith(f"{name}-")), None)
        use = check or uses.get(trial_id, "not finished")
        found[use] += sum(one.micro_usd(now) - one.lost_micro_usd(now) for one in attempts)
    return dict(found)


def _info(run: RunContext) -> ParetoInfo | None:
    """The front of the run; None where nothing completed."""
    if not run.status.counts["completed"]:
        return None
    return pareto_info(load(run.folder.root), run.spec.objectives, [str(limit) for limit in run.spec.constraints])


def of_configs(run: RunContext) -> Iterator[str]:
    """Write the table of configs; which of them may or may not be on the front."""
    info = _info(run)
    if info is None:
        return
    write_configs(run.folder.root, info)
    if run.spec.replicating == "near_front" and (text := doubt_text(info)):
        yield text


def _search_lines(run: RunContext) -> Iterator[str]:
    """Who chose the configs, what was of no use, and how far the front came."""
    history = read_search_history(run.folder.root, run.recorder.rows)
    if history is None:
        return
    chosen = ", ".join(
        f"{count} {CHOSEN_BY.get(method, f'by {method}')}" for method, count in history.by_method.items()
    )
    parts = [f"search: {history.num_configs} configs ({chosen})"]
    if history.num_rejected:
        parts.append(f"{100 * history.rejected_share:.0f} % of the proposals could not keep the limits")
    if history.num_duplicates:
        parts.append(f"{history.num_duplicates} repeated one before")
    if run.status.front is not None and run.status.front.is_shown:
        parts.append(run.status.front.text())
    yield "; ".join(parts)


def exit_code(status: SweepStatus) -> int:
    """0 nothing failed, 1 some trials did, 3 the machine is at fault, 130 interrupted."""
    num_failed = status.num_finished - sum(status.counts[name] for name in NO_FAILURES)
    if status.num_finished < status.num_trials:
        if status.stop_kind == "budget":
            return SOME_FAILED if num_failed else ALL_WELL
        if status.stop_kind is not None:
            return {"fault": MACHINE_FAULT, "pause": SOME_FAILED, "interrupt": INTERRUPTED}[status.stop_kind]
        return SOME_FAILED if status.pauses else INTERRUPTED
    return SOME_FAILED if num_failed else ALL_WELL


def _outcomes(status: SweepStatus) -> str:
    counts = [f"{status.counts[name]} {name}" for name in OUTCOMES if status.counts[name]]
    return ", ".join(counts) or "none finished"
