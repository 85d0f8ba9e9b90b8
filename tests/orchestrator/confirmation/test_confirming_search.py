"""Confirmation: what is chosen, when it comes, and that it comes once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from search_world import load, row_of, with_method

from orchestrator.confirmation.choose import believed, choose
from orchestrator.confirmation.confirmation_log import ConfirmationLog
from orchestrator.confirmation.confirming_search import ConfirmingSearch, against_of
from orchestrator.search.adaptive import AdaptiveSearch
from orchestrator.search.history import History
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import PlannedSearch, Search
from search_spaces.spec.sweep_spec import SweepSpec


def table_row(config: str, ce: float, size: int, **changes: Any) -> dict[str, Any]:
    row = {"config_id": config, "trial_id": f"{config}-s1", "seed": 1, "status": "completed", "feasible": True}
    row |= {"recipe": "baseline" if config.startswith("b") else "selective", "ce": ce, "artifact_bytes": size}
    return {**row, "total_bytes": size, "data_sha256": "x", "eval_tokens": 64, "stage": "search", **changes}


def spec_of(folder: Path, method: str = "ehvi", configs: int = 2, **changes: Any) -> SweepSpec:
    confirm = {"configs": configs, "seeds": 3}
    return load(folder, with_method(method, **{"budget": {"trials": 30}, "confirm": confirm, **changes}))


def test_each_of_the_front_has_the_best_rival_of_its_bytes(tmp_path: Path) -> None:
    """From 0.98 to 1.03 of its bytes, of the other sort, the best; outside there is none."""
    rows = [
        *(
            table_row("f1", 3.0, 1000),
            table_row("b1", 3.45, 980),
            table_row("b2", 3.2, 1030),
            table_row("b3", 3.1, 1031),
        ),
        *(table_row("f2", 3.4, 500), table_row("b4", 3.5, 479)),
    ]
    found = {one.config_id: one for one in choose(spec_of(tmp_path), rows)}
    assert found.keys() == {"f1", "b2", "f2"}
    assert found["f1"].against == "b2" and found["f2"].against is None
    assert found["f1"].is_of_front and not found["b2"].is_of_front


def test_two_rivals_on_the_front_are_one_comparison(tmp_path: Path) -> None:
    """A learned and a frozen config of nearly equal bytes, both on the front, are compared once."""
    rows = [table_row("f1", 3.0, 1000), table_row("b1", 3.1, 990)]
    found = choose(spec_of(tmp_path), rows)
    assert [one.against for one in found] == ["b1", None] and all(one.is_of_front for one in found)


@pytest.mark.parametrize(
    "change",
    [{"status": "failed"}, {"feasible": False}, {"status": "stopped_early"}, {"ce": None}],
)
def test_only_what_was_scored_and_keeps_the_limits_is_chosen(tmp_path: Path, change: dict[str, Any]) -> None:
    """One trial of a config that was not scored, or over the limit, leaves the config out; none at all is no error."""
    spec = spec_of(tmp_path)
    rows = [table_row("f1", 3.0, 1000), {**table_row("f1", 3.0, 1000, seed=2), **change}, table_row("b1", 3.3, 1000)]
    assert [one.config_id for one in believed(spec, rows)] == ["b1"]
    assert choose(spec, []) == [] and choose(spec, [table_row("f1", 3.0, 1000, status="failed")]) == []


def test_the_number_is_fixed_and_what_was_confirmed_counts(tmp_path: Path) -> None:
    """As many of the front as the file says, the best first; those of an earlier call count."""
    rows = [table_row(f"f{i}", 3.0 + i / 10, 1000 - 100 * i) for i in range(6)]
    spec = spec_of(tmp_path)
    assert [one.config_id for one in choose(spec, rows)] == ["f0", "f1"]
    assert [one.config_id for one in choose(spec, rows, {"f0"})] == ["f1"]
    assert choose(spec, rows, {"f0", "f1"}) == []


class Run:
    """A sweep whose trials end one after another, with its record on disk; `again` is another call of it."""

    def __init__(self, spec: SweepSpec, folder: Path, rows: list[dict[str, Any]] | None = None) -> None:
        self.spec, self.folder, self.rows = spec, folder, [] if rows is None else rows
        self.against: dict[str, str | None] = against_of(self.log.read())
        self.search = ConfirmingSearch(spec, self._inner(), self.log, self.against, lambda: self.rows)
        for row in self.rows:
            self.search.tell(row)

    @property
    def log(self) -> ConfirmationLog:
        return ConfirmationLog(self.folder / "confirmation.jsonl")

    def _inner(self) -> Search:
        if not self.spec.is_adaptive:
            planned = PlannedSearch(self.spec)
            while planned.ask():
                pass
            return planned
        search = AdaptiveSearch(self.spec, History(), record=lambda suggestion: None)
        for row in self.rows:
            search.tell(row)
        return search

    def end(self, trial: PlannedTrial) -> None:
        config, stage = trial.config, "confirm" if trial.trial_id in self.against else "search"
        row = {**row_of(trial), "config_id": config.config_id, "seed": config.seed, "recipe": config.recipe}
        row |= {"stage": stage, "feasible": True, "data_sha256": "x", "eval_tokens": 64, "accelerator": "CPU"}
        self.rows.append(row)
        self.search.tell(row)

    def finish(self) -> None:
        waiting = [trial for trial in self.search.trials if trial.trial_id not in {r["trial_id"] for r in self.rows}]
        while waiting or (waiting := list(self.search.ask())):
            self.end(waiting.pop(0))

    def again(self) -> Run:
        return Run(self.spec, self.folder, self.rows)


@pytest.mark.parametrize("method", ["ehvi", "random", "grid"])
def test_confirmation_follows_every_search(tmp_path: Path, method: str) -> None:
    """After the last trial of the search: fresh seeds of the chosen configs, each trial once, then the end."""
    run = Run(spec_of(tmp_path, method), tmp_path)
    run.finish()
    fresh = [row for row in run.rows if row["stage"] == "confirm"]
    ids = [row["trial_id"] for row in run.rows]
    assert len(ids) == len(set(ids)) and {row["seed"] for row in fresh} == {101, 102, 103}
    assert len(fresh) == len(run.against) and run.search.end is not None and run.search.num_to_come == 0
    assert len(run.rows) <= 30 and all(row["stage"] == "search" for row in run.rows[: 30 - run.spec.num_to_confirm])


def test_it_waits_for_the_last_trial_of_the_search(tmp_path: Path) -> None:
    """While a trial of the search runs nothing is chosen, and the search says that it waits."""
    run = Run(spec_of(tmp_path, "random"), tmp_path)
    *most, last = run.search.trials
    for trial in most:
        run.end(trial)
    assert not run.search.ask() and run.search.end is None and run.search.waits_for_results
    run.end(last)
    assert run.search.ask() and run.search.end is not None and not run.search.waits_for_results


def test_it_waits_for_a_trial_that_was_reopened(tmp_path: Path) -> None:
    """A retry of the best config in the last moment: nothing is chosen before it has ended again."""
    run = Run(spec_of(tmp_path, "random"), tmp_path)
    for trial in run.search.trials:
        run.end(trial)
    best = min(run.rows, key=lambda row: row["ce"])
    run.search.reopened(best["trial_id"])
    assert not run.search.ask() and run.search.waits_for_results
    run.search.tell(best)
    assert best["config_id"] in {trial.config.config_id for trial in run.search.ask()}


def test_what_is_no_longer_planned_takes_no_place(tmp_path: Path) -> None:
    """Rows of configs that today's space lacks are not chosen, however good they were."""
    run = Run(spec_of(tmp_path, "random"), tmp_path)
    for trial in run.search.trials:
        run.end(trial)
    run.rows += [{**run.rows[0], "config_id": f"gone{i}", "ce": 0.0, "artifact_bytes": 9} for i in range(3)]
    assert len({trial.config.config_id for trial in run.search.ask()}) >= 2


def test_losses_on_other_texts_are_not_compared(tmp_path: Path) -> None:
    """Each text has a front of its own."""
    rows = [table_row("f1", 3.0, 1000), table_row("f2", 1.0, 900, data_sha256="y")]
    assert {one.config_id for one in choose(spec_of(tmp_path), rows)} == {"f1", "f2"}


def test_a_file_that_wants_none_any_more_gets_none(tmp_path: Path) -> None:
    """What was chosen before is not begun."""
    run = Run(spec_of(tmp_path, "random"), tmp_path)
    run.finish()
    without = Run(spec_of(tmp_path, "random", configs=0, budget={"trials": 18}), tmp_path, run.rows)
    assert {trial.config.seed for trial in without.search.trials} == {1}


def test_a_killed_driver_goes_on_with_the_same_choice(tmp_path: Path) -> None:
    """What was chosen is on disk before it runs: another call has the same trials, and chooses nothing anew."""
    run = Run(spec_of(tmp_path, "random"), tmp_path)
    for trial in run.search.trials:
        run.end(trial)
    chosen = run.search.ask()
    run.end(chosen[0])
    with run.log.path.open("ab") as file:
        file.write(b'[{"config_id":"cut')
    again = run.again()
    assert again.against == run.against
    assert [trial.trial_id for trial in again.search.trials] == [trial.trial_id for trial in run.search.trials]
    again.search.look_ahead()
    assert again.search.end is not None
    again.finish()
    assert len(again.rows) == len({row["trial_id"] for row in again.rows})
    assert not again.again().search.ask()


def test_without_anything_to_confirm_it_is_the_other_search(tmp_path: Path) -> None:
    """With `configs: 0` the end is that of the search, at once."""
    run = Run(spec_of(tmp_path, "random", configs=0), tmp_path)
    run.finish()
    assert len(run.rows) == 30 and run.search.end is not None and not run.log.path.exists()


def test_in_a_mixed_pool_all_that_is_confirmed_goes_to_one_kind(tmp_path: Path) -> None:
    """To the kind on which most trials ran, of those that a trial may run on: pairs are compared on one kind only.

    But to one on which it has run itself: the others may lack the memory.
    """
    trial = Run(spec_of(tmp_path, "random"), tmp_path).search.trials[0]
    kinds = ["CPU", "CPU", "CPU", "A40", "H100", "H100", None]
    rows = [{"accelerator": kind, "config_id": trial.config.config_id} for kind in kinds]
    others = [{**row, "config_id": "other"} for row in rows] + rows[5:6]
    assert ConfirmingSearch._with_seed(trial, 1001, others).accelerator == "H100"
    given = {
        accelerator: ConfirmingSearch._with_seed(dataclasses.replace(trial, accelerator=accelerator), 1001, rows)
        for accelerator in ("any", "A40,H100", "A40", "L4,A40")
    }
    found = {accelerator: one.accelerator for accelerator, one in given.items()}
    assert found == {"any": "CPU", "A40,H100": "H100", "A40": "A40", "L4,A40": "L4,A40"}


def test_what_depends_on_the_device_is_compared_on_one_accelerator(tmp_path: Path) -> None:
    """The best of the slower kind is on a front of its own; by cross-entropy and bytes it would be behind."""
    fast, slow = {"accelerator": "H100", "tokens_per_s": 9.0}, {"accelerator": "A40", "tokens_per_s": 1.0}
    rows = [table_row("f1", 3.0, 1000, **fast), table_row("f2", 3.1, 1000, **slow)]
    spec = spec_of(tmp_path, "random", objectives={"ce": "min", "tokens_per_s": "max"})
    assert {one.config_id for one in choose(spec, rows)} == {"f1", "f2"}
    assert {one.config_id for one in choose(spec_of(tmp_path, "random"), rows)} == {"f1"}


def test_a_search_that_is_cut_by_the_time_is_followed_by_confirmation(tmp_path: Path) -> None:
    """What was given and has not ended is not waited for, and nothing new comes; it counts as left."""
    run = Run(spec_of(tmp_path, "ehvi"), tmp_path)
    given: list[PlannedTrial] = []
    while len(given) < 10:
        given += run.search.ask()
    for trial in given[:-2]:
        run.end(trial)
    assert not run.search.is_confirming and run.search.begin_confirmation() and run.search.is_confirming
    assert not run.search.begin_confirmation()
    to_confirm = run.search.ask()
    assert {trial.config.seed for trial in to_confirm} == {101, 102, 103} and not run.search.ask()
    assert run.search.end is not None and run.search.num_to_come == run.spec.num_to_search - len(given)
    for trial in to_confirm:
        run.end(trial)
    later = run.again()
    assert later.search.end is None and not later.search.to_confirm and later.search.ask()


def test_a_search_without_a_score_is_not_cut(tmp_path: Path) -> None:
    """There would be nothing to confirm."""
    run = Run(spec_of(tmp_path, "ehvi"), tmp_path)
    run.search.ask()
    assert not run.search.to_confirm and not run.search.begin_confirmation() and not run.search.is_confirming


def test_it_tells_at_any_time_what_it_would_confirm(tmp_path: Path) -> None:
    """While the search goes on, then of what was chosen that which has not ended, also in another call."""
    run = Run(spec_of(tmp_path, "random"), tmp_path)
    for trial in run.search.trials:
        run.end(trial)
    likely = run.search.to_confirm
    assert likely and run.search.to_confirm is likely
    chosen = list(run.search.ask())
    assert list(run.search.to_confirm) == list(likely) == chosen
    run.end(chosen[0])
    assert list(run.search.to_confirm) == list(run.again().search.to_confirm) == chosen[1:]
    for trial in chosen[1:]:
        run.end(trial)
    assert not run.search.to_confirm
