"""Early stopping of a run: its thread and its record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from looked_trials import ended_trials, looked, worse
from search_world import load, row_of, with_method

from orchestrator.early_stopping import stopper as module
from orchestrator.early_stopping.rule import Ended, Looked, Verdict
from orchestrator.early_stopping.stop_log import StopLog
from orchestrator.early_stopping.stopper import Stopper
from orchestrator.errors import UsageError
from orchestrator.search.planner import planned_trial
from results.tables.schema import flatten_config
from search_spaces.spec.sweep_spec import SweepSpec

STOP = Verdict(action="stop", step=4, predicted=3.0, best_case=2.9, band="conformal", dominated_by="x", margin=0.1)


class Scripted:
    """A rule that says what a test wants, and remembers what it was told."""

    def __init__(self, verdict: Verdict = STOP) -> None:
        self.verdict, self.told, self.asked = verdict, list[Ended](), list[Looked]()
        self.seen, self.back = list[tuple[str, Verdict | None]](), list[str]()

    def tell(self, ended: Ended) -> None:
        self.told.append(ended)

    def look(self, looked: Looked) -> Verdict:
        self.asked.append(looked)
        return self.verdict

    def saw(self, looked: Looked, verdict: Verdict | None) -> None:
        self.seen.append((looked.trial_id, verdict))

    def moved_back(self) -> list[str]:
        return [self.back.pop()] if self.back else []


@pytest.fixture
def spec(tmp_path: Path) -> SweepSpec:
    return load(tmp_path, with_method("ehvi"))


@pytest.fixture
def log(tmp_path: Path) -> StopLog:
    return StopLog(tmp_path / "run" / "early_stopping.jsonl")


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def begin(
    spec: SweepSpec, log: StopLog, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[object], Stopper]]:
    """A stopper with a rule of the test; a second one finds what the first has recorded."""
    made: list[Stopper] = []

    def begin(rule: object) -> Stopper:
        monkeypatch.setattr(module, "make_rule", lambda spec: rule)
        made.append(Stopper(spec, log, log.read(), notes.append))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def look(stopper: Stopper, one: Ended, count: int = 1) -> list[tuple[str, Verdict]]:
    """Report the first looks of a trial, and take what is decided."""
    stopper.looked(one.trial_id, planned_trial(one.candidate, 1).config, looked(one, count).looks)
    stopper.wait()
    return list(stopper.take())


def test_a_verdict_is_on_the_disk_before_it_is_given(
    spec: SweepSpec, log: StopLog, begin: Callable[[object], Stopper]
) -> None:
    """Once for each trial: later looks of it are not judged."""
    rule = Scripted()
    stopper, [one] = begin(rule), list(ended_trials(spec, 1))
    stopper.looked(one.trial_id, planned_trial(one.candidate, 1).config, looked(one).looks)
    stopper.wait()
    assert not log.path.exists()
    for trial_id, verdict in stopper.take():
        assert log.read() == {trial_id: verdict} == {one.trial_id: STOP}
    assert look(stopper, one, 2) == [(one.trial_id, STOP)]  # said again to a trial that still runs
    assert len(rule.asked) == 1 and len(log.path.read_text().splitlines()) == 1


def test_a_look_is_judged_once(spec: SweepSpec, begin: Callable[[object], Stopper]) -> None:
    """Reports repeat the looks so far; only a new one counts."""
    rule = Scripted(Verdict(action="go_on", step=1))
    stopper, [one] = begin(rule), list(ended_trials(spec, 1))
    for count in (0, 1, 1, 2, 2):
        assert look(stopper, one, count) == []
    assert [len(asked.looks) for asked in rule.asked] == [1, 2]


def test_a_stop_that_its_trial_never_heard_of_is_said_again(
    spec: SweepSpec, begin: Callable[[object], Stopper]
) -> None:
    """The driver died between the record and the command: the next call says it at the trial's next look."""
    [one] = ended_trials(spec, 1)
    look(begin(Scripted()), one)
    assert look(begin(Scripted(Verdict(action="go_on", step=1))), one) == [(one.trial_id, STOP)]


def test_what_a_user_wants_to_end_is_not_stopped(
    spec: SweepSpec, log: StopLog, begin: Callable[[object], Stopper]
) -> None:
    """Now and in later calls, whether it was stopped before or not."""
    one, other = ended_trials(spec, 2)
    stopper = begin(Scripted())
    look(stopper, one)
    stopper.spare([one.trial_id, other.trial_id], "asked for")
    for each in (stopper, begin(Scripted())):
        assert look(each, one, 2) == look(each, other, 2) == []
    assert log.read()[one.trial_id].action == "go_on"


def test_completed_trials_teach_the_rule(spec: SweepSpec, begin: Callable[[object], Stopper]) -> None:
    """With score, bytes and looks, audited ones marked; what did not complete teaches nothing."""
    rule = Scripted(dataclasses.replace(STOP, action="audit"))
    stopper, [one, other] = begin(rule), list(ended_trials(spec, 2))
    look(stopper, one)
    for trial, changes in ((one, {}), (other, {"feasible": False}), (other, {"status": "diverged", "ce": None})):
        planned = planned_trial(trial.candidate, 1)
        stopper.ended(row_of(planned, **changes), planned.config, trial.looks)
    stopper.wait()
    assert [(told.trial_id, told.was_to_stop, told.is_feasible) for told in rule.told] == [
        (one.trial_id, True, True),
        (other.trial_id, False, False),
    ]
    assert rule.told[0].looks == one.looks and rule.told[0].candidate.chosen == one.candidate.chosen


def test_a_score_that_is_no_number_teaches_nothing(spec: SweepSpec, begin: Callable[[object], Stopper]) -> None:
    """NaN and infinity would break every later forecast."""
    rule = Scripted()
    stopper, [one] = begin(rule), list(ended_trials(spec, 1))
    planned = planned_trial(one.candidate, 1)
    for ce in (math.nan, math.inf, None):
        stopper.ended(row_of(planned, ce=ce), planned.config, one.looks)
    stopper.wait()
    assert rule.told == []


def test_an_audited_trial_counts_as_one_though_the_driver_has_not_heard(
    spec: SweepSpec, begin: Callable[[object], Stopper]
) -> None:
    """Its verdict and its end may both wait in the thread, which knows the order."""
    rule = Scripted(dataclasses.replace(STOP, action="audit"))
    stopper, [one] = begin(rule), list(ended_trials(spec, 1))
    planned = planned_trial(one.candidate, 1)
    stopper.looked(one.trial_id, planned.config, looked(one).looks)
    stopper.ended(row_of(planned), planned.config, one.looks)
    stopper.wait()
    assert [told.was_to_stop for told in rule.told] == [True]


def test_a_verdict_that_comes_after_a_user_spared_the_trial_is_dropped(
    spec: SweepSpec, log: StopLog, begin: Callable[[object], Stopper]
) -> None:
    """The last word of the record stays the user's."""
    stopper, [one] = begin(Scripted()), list(ended_trials(spec, 1))
    stopper.looked(one.trial_id, planned_trial(one.candidate, 1).config, looked(one).looks)
    stopper.wait()
    stopper.spare([one.trial_id], "wanted")
    assert list(stopper.take()) == [] and log.read()[one.trial_id].action == "go_on"


def test_a_stopped_trial_goes_on_when_the_front_moves_back(
    spec: SweepSpec, log: StopLog, begin: Callable[[object], Stopper]
) -> None:
    """The record says so, and it is not stopped again."""
    rule = Scripted()
    stopper, [one, other] = begin(rule), list(ended_trials(spec, 2))
    look(stopper, one)
    rule.back.append(one.trial_id)
    planned = planned_trial(other.candidate, 1)
    stopper.ended(row_of(planned), planned.config, other.looks)
    stopper.wait()
    [(trial_id, verdict)] = stopper.take()
    assert (trial_id, verdict.action) == (one.trial_id, "go_on") and "moved back" in verdict.reason
    assert log.read()[one.trial_id] == verdict and look(stopper, one, 2) == []


def test_trials_of_earlier_calls_that_have_no_score_are_seen(
    spec: SweepSpec, log: StopLog, begin: Callable[[object], Stopper]
) -> None:
    """With the verdict on them: a rule that counts who came so far counts them, and one that stopped them knows."""
    [one] = ended_trials(spec, 1)
    config = planned_trial(one.candidate, 1).config
    row = {**flatten_config(config.model_dump(mode="json")), "config_id": config.config_id}
    row |= {"trial_id": one.trial_id, "status": "stopped_early", "finished_at": "2026", "seed": config.seed}
    row |= {"recipe": config.recipe, "data": config.data}
    log.append(one.trial_id, STOP)
    rule = Scripted()
    stopper = begin(rule)
    stopper.ended_before([row], {one.trial_id: looked(one, 2).looks})
    stopper.wait()
    assert rule.seen == [(one.trial_id, STOP)]


def test_a_rule_that_fails_stops_nothing_and_says_so_once(
    spec: SweepSpec, notes: list[str], begin: Callable[[object], Stopper]
) -> None:
    """The sweep goes on without it."""

    class Broken(Scripted):
        def look(self, looked: Looked) -> Verdict:
            raise ZeroDivisionError("made up")

    stopper = begin(Broken())
    for one in ended_trials(spec, 3):
        assert look(stopper, one) == []
    assert notes == ["early stopping failed (ZeroDivisionError('made up')): no more trials are stopped"]


def test_the_real_rule_in_the_thread(spec: SweepSpec, log: StopLog) -> None:
    """Told of sixty trials it stops a hopeless one, and the record says what dominates it."""
    stopper = Stopper(spec, log, {}, print)
    trials = list(ended_trials(spec, 60))
    for one in trials:
        planned = planned_trial(one.candidate, 1)
        row = row_of(planned, ce=one.score, artifact_bytes=one.artifact_bytes)
        stopper.ended(row, planned.config, one.looks)
    bad = worse(min(trials, key=lambda trial: trial.score), 3.0)
    [(_, verdict)] = look(stopper, dataclasses.replace(bad, trial_id="bad"), 3)
    stopper.close()
    assert verdict.action in ("stop", "audit")
    assert log.read()["bad"].dominated_by in {one.trial_id for one in trials}


def test_a_line_that_a_death_cut_counts_as_not_written(log: StopLog) -> None:
    """Later ones are read all the same."""
    log.append("a", STOP)
    log.append("b", STOP)
    log.path.write_bytes(log.path.read_bytes()[:-30])
    assert log.read() == {"a": STOP}
    log.append("c", STOP)
    assert log.read() == {"a": STOP, "c": STOP}


@pytest.mark.parametrize("line", ["[]", "not json", '{"trial_id": "a"}', '{"action": "stop", "step": 1}'])
def test_a_damaged_record_is_one_clear_error(log: StopLog, line: str) -> None:
    """It names the file and the line."""
    log.append("a", STOP)
    log.path.write_text(log.path.read_text() + line + "\n")
    with pytest.raises(UsageError, match=r"early_stopping\.jsonl, line 2, is damaged"):
        log.read()
