"""What is left to do of a plan, by what became of its trials."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import tiny_sweep

from orchestrator.scheduling.backlog import Again, Backlog, make_backlog
from orchestrator.search.planner import plan
from trainer.result import Status, TrialResult


def backlog(folder: Path, statuses: dict[int, Status], again: Again | None = None) -> tuple[Backlog, list[str]]:
    """The backlog of four trials, some of which ended; and the ids of the plan."""
    spec = tiny_sweep(folder)
    trials = plan(spec)
    ids = [trial.trial_id for trial in trials]
    rows = {ids[index]: TrialResult(status=status) for index, status in statuses.items()}
    is_open = ("stopped_early", "deadline", "interrupted")
    finished = {name: row for name, row in rows.items() if row.status not in is_open}
    open_states = {name: row for name, row in rows.items() if row.status in is_open}
    return make_backlog(spec, trials, finished, open_states, again or Again()), ids


def waiting(found: Backlog, ids: list[str]) -> list[int]:
    return [ids.index(trial.trial_id) for trial in found.admitted]


def test_trials_that_were_told_to_end_go_first(tmp_path: Path) -> None:
    """An interrupted trial and one of a deadline go on before anything new is begun, in the order of the plan."""
    assert waiting(*backlog(tmp_path, {3: "deadline", 1: "interrupted"})) == [1, 3, 0, 2]


@pytest.mark.parametrize(
    ("again", "expected"),
    [(Again(), [0, 3]), (Again(stopped=True), [2, 0, 3]), (Again(failed=True), [0, 1, 3])],
)
@pytest.mark.parametrize("failure", ["failed", "out_of_memory"])
def test_what_ended_stands_unless_it_is_asked_for(
    tmp_path: Path, again: Again, expected: list[int], failure: Status
) -> None:
    """A failed trial, one out of memory and one that was stopped early are done again only by their own option."""
    found, ids = backlog(tmp_path, {1: failure, 2: "stopped_early"}, again)
    assert waiting(found, ids) == expected
    assert (ids[2] in found.finished) == (not again.stopped)


def test_a_sweep_with_nothing_but_ended_trials_is_done(tmp_path: Path) -> None:
    """Final results and trials that were stopped early leave nothing to do."""
    found, _ = backlog(tmp_path, {0: "completed", 1: "stopped_early", 2: "diverged", 3: "failed"})
    assert found.is_empty and len(found.finished) == 4
