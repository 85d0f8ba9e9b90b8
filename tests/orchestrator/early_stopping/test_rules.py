"""What holds of every rule of early stopping, and what the rule `best_case` stops for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from looked_trials import ended_trials, looked, worse
from search_world import load, with_method

from orchestrator.early_stopping.asha import Asha
from orchestrator.early_stopping.best_case import BestCase
from orchestrator.early_stopping.kinds import kind_of
from orchestrator.early_stopping.rule import Ended, StoppingRule, is_audited
from orchestrator.early_stopping.stopper import make_rule
from search_spaces.spec.sweep_spec import SweepSpec

METHODS = ("best_case", "asha")


def spec_of(folder: Path, method: str, **changes: Any) -> SweepSpec:
    stopping = {"method": method, "audit_share": 0.0, **changes.pop("early_stopping", {})}
    stopping |= {"risk": 0.1} if method == "best_case" else {}
    return load(folder, with_method("ehvi", early_stopping=stopping, **changes))


@pytest.fixture(params=METHODS)
def taught(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., tuple[StoppingRule, list[Ended]]]:
    """A rule that was told of sixty trials, and those."""

    def make(**changes: Any) -> tuple[StoppingRule, list[Ended]]:
        spec = spec_of(tmp_path, request.param, **changes)
        rule, trials = make_rule(spec), list(ended_trials(spec, 60))
        for one in trials:
            rule.tell(one)
        return rule, trials

    return make


def best_of(trials: list[Ended]) -> Ended:
    return min(trials, key=lambda one: one.score)


def renamed(one: Ended) -> Ended:
    return dataclasses.replace(one, trial_id=f"{one.trial_id}-again")


@pytest.mark.parametrize(
    "objectives", [{"ce": "min", "artifact_bytes": "min"}, {"ce": "min"}, {"bpb": "min", "total_bytes": "min"}]
)
def test_the_hopeless_is_stopped_and_the_best_goes_on(
    taught: Callable[..., tuple[StoppingRule, list[Ended]]], objectives: dict[str, str]
) -> None:
    """After its third look; the verdict names its step and says why."""
    rule, trials = taught(objectives=objectives)
    for one in sorted(trials, key=lambda trial: trial.score)[:3]:
        assert rule.look(looked(renamed(worse(one, -0.3)), 3)).action == "go_on"
    verdict = rule.look(looked(renamed(worse(best_of(trials), 3.0)), 3))
    assert verdict.action == "stop" and verdict.step == sorted(best_of(trials).looks)[2] and verdict.reason


def test_a_loss_that_is_no_number_is_no_error(taught: Callable[..., tuple[StoppingRule, list[Ended]]]) -> None:
    """Whatever is decided, the rule goes on with the others, also if such a trial is said to have ended."""
    rule, trials = taught()
    for bad in (math.nan, math.inf, -math.inf):
        odd = dataclasses.replace(renamed(trials[0]), looks=dict.fromkeys(trials[0].looks, bad))
        rule.look(looked(odd, 2))
        rule.tell(odd)
    assert rule.look(looked(renamed(worse(best_of(trials), 3.0)), 3)).action == "stop"


def test_a_trial_without_looks_may_end(taught: Callable[..., tuple[StoppingRule, list[Ended]]]) -> None:
    """As those of a run that began without early stopping."""
    rule, trials = taught()
    rule.tell(dataclasses.replace(renamed(trials[0]), looks={}))
    assert rule.look(looked(renamed(worse(best_of(trials), 3.0)), 3)).action == "stop"


def test_all_may_be_audited(taught: Callable[..., tuple[StoppingRule, list[Ended]]]) -> None:
    """With a share of 1 every trial that would be stopped runs on; the verdict is the same else."""
    rule, trials = taught(early_stopping={"audit_share": 1.0})
    verdict = rule.look(looked(renamed(worse(best_of(trials), 3.0)), 3))
    assert verdict.action == "audit" and verdict.reason


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_stopped_before_anything_is_known(tmp_path: Path, method: str) -> None:
    """Not the first trials of a sweep, nor of a kind."""
    spec = spec_of(tmp_path, method)
    rule = make_rule(spec)
    assert rule.look(looked(next(ended_trials(spec, 1)))).action == "go_on"


def test_fewer_bytes_than_any_other_are_never_dominated(tmp_path: Path) -> None:
    """However bad its score: such a model is on the front."""
    spec = spec_of(tmp_path, "best_case")
    rule, trials = BestCase(spec), list(ended_trials(spec, 60))
    smallest = min(trials, key=lambda one: one.artifact_bytes)
    for one in trials:
        if one.artifact_bytes > 1.2 * smallest.artifact_bytes:
            rule.tell(one)
    assert rule.look(looked(worse(smallest, 1.0), 3)).action == "go_on"


def test_what_breaks_a_limit_dominates_nothing(tmp_path: Path) -> None:
    """A better trial that cannot be used is no reason to stop."""
    spec = spec_of(tmp_path, "best_case")
    rule, trials = BestCase(spec), list(ended_trials(spec, 60))
    for one in trials:
        rule.tell(dataclasses.replace(one, is_feasible=False))
    assert rule.look(looked(renamed(worse(best_of(trials), 3.0)), 3)).action == "go_on"


def test_the_verdict_says_what_dominates(tmp_path: Path) -> None:
    """A trial that has no more bytes, and a score below the best case by more than the margin's noise."""
    spec = spec_of(tmp_path, "best_case")
    rule, trials = BestCase(spec), list(ended_trials(spec, 60))
    for one in trials:
        rule.tell(one)
    bad = renamed(worse(best_of(trials), 3.0))
    verdict = rule.look(looked(bad, 3))
    better = {one.trial_id: one for one in trials}[verdict.dominated_by or ""]
    assert verdict.best_case is not None and verdict.predicted is not None and verdict.margin is not None
    assert better.artifact_bytes <= bad.artifact_bytes * 1.1
    assert better.score < verdict.best_case < verdict.predicted
    assert verdict.margin == pytest.approx(verdict.best_case - better.score, abs=0.01)
    assert verdict.band == "conformal"


def test_a_stopped_trial_wins_after_all_when_other_seeds_take_the_front_back(tmp_path: Path) -> None:
    """The mean over seeds of what dominated it rises above its best case: it is named once; before it is not."""
    spec = spec_of(tmp_path, "best_case")
    rule, trials = BestCase(spec), list(ended_trials(spec, 60))
    for one in trials:
        rule.tell(one)
    bad = renamed(worse(best_of(trials), 3.0))
    assert rule.look(looked(bad, 3)).action == "stop" and rule.moved_back() == []
    for one in trials:
        for number in range(30):
            rule.tell(dataclasses.replace(worse(one, 100.0), trial_id=f"{one.trial_id}-{number}", looks={}))
    assert rule.moved_back() == [bad.trial_id] and rule.moved_back() == []


def test_a_config_of_several_seeds_dominates_by_its_mean(tmp_path: Path) -> None:
    """One lucky seed of a config whose mean is worse than the best case stops nothing."""
    spec = spec_of(tmp_path, "best_case")
    trials = list(ended_trials(spec, 60))
    kinds = [kind_of(one.candidate.config) for one in trials]
    alike = [one for one, kind in zip(trials, kinds, strict=True) if kind == max(kinds, key=kinds.count)]
    largest = max(alike, key=lambda one: one.artifact_bytes)
    best = best_of([one for one in alike if one.artifact_bytes < largest.artifact_bytes / 1.2])
    for bad_seeds, action in ((0, "stop"), (40, "go_on")):
        rule = BestCase(spec)
        for one in trials:
            rule.tell(one if one is best else dataclasses.replace(one, is_feasible=False))
        for number in range(bad_seeds):
            rule.tell(dataclasses.replace(worse(best, 9.0), trial_id=f"{number}", looks={}))
        assert rule.look(looked(renamed(worse(largest, 3.0)), 3)).action == action


def test_asha_counts_those_of_earlier_calls(tmp_path: Path) -> None:
    """A restart that forgot who was stopped would be harder on those that come."""
    spec = spec_of(tmp_path, "asha")
    trials = list(ended_trials(spec, 120))
    before, after = Asha(spec), Asha(spec)
    for one in trials[:90]:
        before.look(looked(one))
        after.saw(looked(one), None)
    actions = [[rule.look(looked(one)).action for one in trials[90:]] for rule in (before, after)]
    assert actions[0] == actions[1] and len(set(actions[0])) > 1


def test_audits_are_a_share_by_the_id() -> None:
    """The same for every call, and near the share that was asked for."""
    ids = [f"trial-{index}" for index in range(2_000)]
    audited = [is_audited(one, 0.1) for one in ids]
    assert audited == [is_audited(one, 0.1) for one in ids]
    assert 150 < sum(audited) < 250
    assert not any(is_audited(one, 0.0) for one in ids) and all(is_audited(one, 1.0) for one in ids)
