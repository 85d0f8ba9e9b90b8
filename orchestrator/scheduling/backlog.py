"""What is left to do of a plan, given what is finished. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.scheduling.admission import refusals, same_refusal
from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.result import TrialResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class Again:
    """Which trials with a result or state are done again.

    Args:
        failed: those that failed or ran out of memory.
        stopped: those that were stopped early.
    """

    failed: bool = False
    stopped: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backlog:
    """A plan by what is to be done with each trial.

    Args:
        finished: results and states that stand, by trial id; also those of trials that are not in the plan.
        outdated: results that are to be replaced, by trial id.
        admitted: trials to be trained.
        refused: trials that cannot keep the limits in bytes, each with the reason.
        continued: ids of trials that were stopped early and go on, as was asked for.
    """

    finished: Mapping[str, TrialResult]
    outdated: Mapping[str, TrialResult]
    admitted: Sequence[PlannedTrial]
    refused: Sequence[tuple[PlannedTrial, str]]
    continued: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        return not self.admitted and not self.refused


def make_backlog(
    spec: SweepSpec,
    trials: Sequence[PlannedTrial],
    finished: Mapping[str, TrialResult],
    open_states: Mapping[str, TrialResult],
    again: Again,
) -> Backlog:
    """Sort the trials of a plan by what is to be done with them; those that were told to end go first.

    Args:
        finished: results by trial id.
        open_states: rows of trials that were told to end, by trial id.
    """
    stopped = {trial_id: state for trial_id, state in open_states.items() if state.status == "stopped_early"}
    outdated = set(_outdated(spec, trials, finished, again.failed))
    standing = {trial_id: result for trial_id, result in finished.items() if trial_id not in outdated}
    standing |= {} if again.stopped else stopped
    waiting = [trial for trial in trials if trial.trial_id not in standing]
    waiting.sort(key=lambda trial: trial.trial_id not in open_states)
    reasons = refusals(waiting, spec)
    return Backlog(
        finished=standing,
        outdated={trial_id: finished[trial_id] for trial_id in finished if trial_id in outdated},
        admitted=[trial for trial in waiting if trial.config.config_id not in reasons],
        refused=[(trial, reasons[trial.config.config_id]) for trial in waiting if trial.config.config_id in reasons],
        continued=tuple(stopped) if again.stopped else (),
    )


def _outdated(
    spec: SweepSpec, trials: Sequence[PlannedTrial], finished: Mapping[str, TrialResult], retry_failed: bool
) -> Iterator[str]:
    """Finished trials whose result does not stand: what failed or ran out of memory, if that is asked for, and
    refusals that are outdated.

    A refusal stands as long as today's limits and `admission` give the same one.
    """

    def having(status: str) -> list[PlannedTrial]:
        return [t for t in trials if t.trial_id in finished and finished[t.trial_id].status == status]

    if retry_failed:
        yield from (trial.trial_id for trial in [*having("failed"), *having("out_of_memory")])
    refused = having("infeasible")
    reasons = refusals(refused, spec)
    for trial in refused:
        if not same_refusal(finished[trial.trial_id].error, reasons.get(trial.config.config_id)):
            yield trial.trial_id
