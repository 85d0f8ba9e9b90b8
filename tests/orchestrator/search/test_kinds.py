"""A search that is told which kinds of device are free: what it answers fits them, and the record says so."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from search_world import MIXED, load, row_of, with_method

from orchestrator.search.adaptive import AdaptiveSearch, differences
from orchestrator.search.background import BackgroundSearch, asked_lately
from orchestrator.search.history import FIRST, LATE, RANDOM, REPLICATE, History, Suggestion
from orchestrator.search.planner import PlannedTrial, examples
from orchestrator.search.suggest import BUDGET_USED, Exhausted, Suggester
from orchestrator.search_record.suggestion_log import SuggestionLog
from search_spaces.configs.device_kinds import can_run_on
from search_spaces.spec.sweep_spec import SweepSpec

ADAPTIVE = ("tpe", "ehvi")
each = pytest.mark.parametrize("method", ADAPTIVE)
# Of twenty learning rates one needs an H100: its configs are a twentieth of the space.
RARE: dict[str, Any] = {
    "space": {
        "optimizer.learning_rate": {"choice": [round(1e-3 * 1.2**power, 6) for power in range(20)]},
        "train.batch_sequences": {"range": [4, 400]},
    },
    "cases": [
        {
            "when": {"optimizer.learning_rate": [round(1e-3 * 1.2**power, 6) for power in range(19)]},
            "space": {"resources.accelerator": {"choice": ["A40"]}},
        },
        {
            "when": {"optimizer.learning_rate": [round(1e-3 * 1.2**19, 6)]},
            "space": {"resources.accelerator": {"choice": ["H100"]}},
        },
    ],
}
# Six configs for the H100, and many for the A40.
FEW: dict[str, Any] = {
    "space": {"recipe": {"choice": ["baseline", "selective"]}},
    "cases": [
        {
            "when": {"recipe": "baseline"},
            "space": {"resources.accelerator": {"choice": ["H100"]}, "model.dim": {"choice": [16, 32, 48, 64, 80, 96]}},
        },
        {
            "when": {"recipe": "selective"},
            "space": {"resources.accelerator": {"choice": ["A40"]}, "model.dim": {"steps": [32, 512, 4]}},
        },
    ],
}


def new(spec: SweepSpec, history: History | None = None) -> AdaptiveSearch:
    return AdaptiveSearch(spec, history or History(), record=lambda suggestion: None)


def asked_in_turn(search: AdaptiveSearch, kinds: Collection[str], num: int) -> list[PlannedTrial]:
    """Asked for one kind after the other; every trial ends at once."""
    found: list[PlannedTrial] = []
    for number in range(num):
        kind = sorted(kinds)[number % len(kinds)]
        for trial in search.ask([kind]):
            assert can_run_on(trial.accelerator, kind)
            found.append(trial)
            search.tell(row_of(trial))
    return found


@each
def test_every_answer_fits_a_free_kind_and_can_be_replayed(tmp_path: Path, method: str) -> None:
    """For one kind or several: a config that can run there, none twice; the record gives the same again."""
    spec = load(tmp_path, with_method(method, **MIXED, budget={"trials": 40}, seeds=[1]))
    search, chance = new(spec), random.Random(1)
    while search.end is None:
        kinds = chance.choice((["A40"], ["H100"], ["H100", "A40"], ["CPU", "A40"]))
        for trial in search.ask(kinds):
            assert any(can_run_on(trial.accelerator, kind) for kind in kinds)
            search.tell(row_of(trial))
    assert len({trial.trial_id for trial in search.trials}) == 40
    assert {one.kinds for one in search.history.suggestions} == {
        ("A40",), ("H100",), ("A40", "H100"), ("A40", "CPU"),
    }  # fmt: skip
    assert [text for _, text in differences(spec, search.history)] == [""] * 40
    assert [one.method for one in search.history.suggestions].count(method) > 20, "the method still chooses"


@each
def test_the_method_chooses_well_for_each_kind(tmp_path: Path, method: str) -> None:
    """After the start, most learning rates are within a factor 4 of the best one on both kinds; by chance a fifth."""
    spec = load(tmp_path, with_method(method, **MIXED, budget={"trials": 60}))
    search = new(spec)
    asked_in_turn(search, ["A40", "H100"], 60)
    for kind in ("A40", "H100"):
        later = [one for one in search.history.suggestions[20:] if one.method == method and one.kinds == (kind,)]
        rates = [arm.candidate.config.optimizer.learning_rate for one in later for arm in one.arms]
        assert len(rates) > 10 and sum(0.0025 < rate < 0.04 for rate in rates) > 0.6 * len(rates)


@each
def test_a_rare_kind_is_served_by_the_method(tmp_path: Path, method: str) -> None:
    """Where one config in twenty can run on a kind, each answer still fits, and is not a random one."""
    search = new(load(tmp_path, with_method(method, **RARE, budget={"trials": 40})))
    assert len(asked_in_turn(search, ["A40", "H100"], 40)) == 40
    later = [one for one in search.history.suggestions[20:] if one.kinds == ("H100",)]
    assert sum(one.method == method for one in later) >= len(later) - 3  # a tenth is chance's


def test_a_rare_kind_is_among_the_examples(tmp_path: Path) -> None:
    """What a sweep may need is known before it starts, also where 60 draws would miss it."""
    rates = [round(1e-3 * 1.01**power, 8) for power in range(400)]
    cases = [
        {"when": {"optimizer.learning_rate": rates[:-1]}, "space": {"resources.accelerator": {"choice": ["A40"]}}},
        {"when": {"optimizer.learning_rate": rates[-1:]}, "space": {"resources.accelerator": {"choice": ["H100"]}}},
    ]
    space = {"optimizer.learning_rate": {"choice": rates}}
    found = examples(load(tmp_path, with_method("tpe", space=space, cases=cases)))
    assert {trial.accelerator for trial in found} == {"A40", "H100"} and len(found) == 61


@each
def test_one_kind_that_is_used_up_is_not_the_end(tmp_path: Path, method: str) -> None:
    """Nothing comes for it, and it is not looked for again; the other kind goes on until the budget is used."""
    spec = load(tmp_path, with_method(method, **FEW, budget={"trials": 30}))
    search = new(spec)
    found = asked_in_turn(search, ["H100"], 7)
    assert len(found) == 6 and search.end is None and search.used_up == {"H100"}

    def refuse(*args: Any, **more: Any) -> Any:
        raise AssertionError("it was looked for again")

    suggest = search.suggester.suggest
    search.suggester.suggest = refuse  # type: ignore[method-assign]
    assert search.ask(["H100"]) == () == search.ask(["H100"]) and search.end is None
    search.suggester.suggest = suggest  # type: ignore[method-assign]
    assert all(trial.accelerator == "A40" for trial in search.ask(["H100", "A40"]))
    while trials := search.ask(["A40"]):
        search.tell(row_of(trials[0]))
    assert len(search.trials) == 30 and search.end == BUDGET_USED
    assert [text for _, text in differences(spec, search.history)] == [""] * 30


@each
def test_the_end_is_where_nothing_is_left_for_any_kind(tmp_path: Path, method: str) -> None:
    """A space of 12 points: asked for one kind and then for the other, it ends with the last point and says why."""
    cases = [
        {"when": {"recipe": "baseline"}, "space": {"resources.accelerator": {"choice": ["H100"]}}},
        {"when": {"recipe": "selective"}, "space": {"resources.accelerator": {"choice": ["A40"]}}},
    ]
    space = {"recipe": FEW["space"]["recipe"], "model.dim": {"choice": [16, 32, 48, 64, 80, 96]}}
    search = new(load(tmp_path, with_method(method, space=space, cases=cases, budget={"trials": 100})))
    assert len(asked_in_turn(search, ["H100"], 8)) == 6 and search.end is None
    assert len(asked_in_turn(search, ["A40"], 8)) == 6
    assert search.end == "every config of the space that can keep the limits was suggested"


def test_a_kind_that_no_config_needs_is_used_up_at_once(tmp_path: Path) -> None:
    """A free T4 gets nothing, and the search does not end of it."""
    search = new(load(tmp_path, with_method("ehvi", **FEW)))
    assert search.ask(["T4"]) == () and search.end is None and search.used_up == {"T4"}
    assert search.ask(["T4", "A40"])


def test_controls_come_on_the_kinds_that_can_run_them(tmp_path: Path) -> None:
    """A control that is due on a kind without controls leaves its place to another config, and comes later."""
    search = new(load(tmp_path, with_method("tpe", **FEW, budget={"trials": 20})))
    assert {trial.config.recipe for trial in asked_in_turn(search, ["A40"], 8)} == {"selective"}
    assert [trial.config.recipe for trial in asked_in_turn(search, ["H100"], 2)] == ["baseline"] * 2


@each
def test_configs_that_are_named_first_come_whatever_is_free(tmp_path: Path, method: str) -> None:
    """In the order of the file; what an entry leaves open is drawn for what is free."""
    first = [{"recipe": "selective"}, {"recipe": "full_adapter"}, {"recipe": "baseline"}, {"recipe": "baseline"}]
    values = with_method(method, **MIXED, search={"seed": 5, "first": first})
    spec = load(tmp_path, values)
    search = new(spec)
    found = [search.ask([kind])[0] for kind in ("H100", "H100", "H100", "A40")]
    assert [one.method for one in search.history.suggestions] == [FIRST] * 4
    assert [one.config.recipe for one in found] == [one["recipe"] for one in first]
    assert [one.accelerator for one in found[:2]] == ["A40", "H100"]
    assert found[2].accelerator in ("H100", "any") and found[3].accelerator in ("A40", "any")
    assert [text for _, text in differences(spec, search.history)] == [""] * 4


def test_further_seeds_are_given_on_free_kinds(tmp_path: Path) -> None:
    """Configs in doubt get their next seed where they can run, and a replay gives the same."""
    changes = {"replicates": {"when": "near_front", "share": 0.4, "seeds": 3}, "budget": {"trials": 50}}
    spec = load(tmp_path, with_method("tpe", **{**MIXED, **changes}))
    search = new(spec)
    asked_in_turn(search, ["A40", "H100"], 50)
    again = [one for one in search.history.suggestions if one.method == REPLICATE]
    assert len(again) > 5 and {one.kinds for one in again} == {("A40",), ("H100",)}
    assert not any(text for _, text in differences(spec, search.history))


def test_the_arms_of_a_grid_stay_together(tmp_path: Path) -> None:
    """Accelerators that are compared come as one suggestion, for whichever of them is free."""
    space = {**MIXED["space"], "resources.accelerator": {"grid": ["H100", "A40"]}}
    search = new(load(tmp_path, with_method("ehvi", space=space, cases=[], budget={"trials": 24})))
    while trials := search.ask(["A40"]):
        assert [one.accelerator for one in trials] == ["H100", "A40"]
        for trial in trials:
            search.tell(row_of(trial))
    assert len(search.trials) == 24


@each
def test_without_kinds_nothing_changes(tmp_path: Path, method: str) -> None:
    """The trials of a space whose configs run anywhere are the same, whether it is asked with kinds or without."""
    spec = load(tmp_path, with_method(method, budget={"trials": 20}))
    one, other = new(spec), new(spec)
    for _ in range(20):
        for search, trials in ((one, one.ask()), (other, other.ask(["CPU"]))):
            search.tell(row_of(trials[0]))
    if method == "ehvi":  # the candidates of tpe are the same too, but of a study of its own
        assert [trial.trial_id for trial in one.trials] == [trial.trial_id for trial in other.trials]
    assert all(suggestion.kinds is None for suggestion in one.history.suggestions)


def test_the_record_keeps_the_kinds_and_reads_old_lines(tmp_path: Path) -> None:
    """A line says for which kinds it was; a line without says that it did not matter, and is written as before."""
    spec, log = load(tmp_path, with_method("tpe", **MIXED)), SuggestionLog(tmp_path / "suggestions.jsonl")
    log.start(())
    search = AdaptiveSearch(spec, History(), record=log.append)
    search.ask(["H100", "A40"])
    search.ask()
    lines = [json.loads(line) for line in log.path.read_text().splitlines()[1:]]
    assert lines[0]["kinds"] == ["A40", "H100"] and "kinds" not in lines[1]
    history = log.read(spec)
    assert history is not None and history.suggestions == search.history.suggestions


def test_a_late_suggestion_fits_too(tmp_path: Path) -> None:
    """One that is drawn in place of the method's is drawn for the kinds that are free."""
    suggester = Suggester(load(tmp_path, with_method("ehvi", **MIXED)))
    for kind in ("A40", "H100"):
        answer = suggester.suggest(History(), LATE, [kind])
        assert isinstance(answer, Suggestion) and answer.kinds == (kind,) and answer.method == LATE
        assert can_run_on(answer.trials[0].accelerator, kind)
    nothing = suggester.suggest(History(), LATE, ["T4"])
    assert isinstance(nothing, Suggestion), "some configs run anywhere"
    none = Suggester(load(tmp_path, with_method("ehvi", **FEW))).suggest(History(), LATE, ["T4"])
    assert isinstance(none, Exhausted) and none.kinds == ("T4",)


@pytest.fixture
def made() -> Iterator[list[BackgroundSearch]]:
    found: list[BackgroundSearch] = []
    yield found
    for search in found:
        search.close()


def waited(search: BackgroundSearch, kinds: Collection[str]) -> list[PlannedTrial]:
    deadline = time.monotonic() + 60
    while not (trials := search.ask(kinds)) and search.end is None and not search.used_up.issuperset(kinds):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return list(trials)


@each
def test_what_was_computed_ahead_fits_and_can_be_replayed(
    tmp_path: Path, made: list[BackgroundSearch], method: str
) -> None:
    """Kinds in any order, results at any moment: each answer fits, and follows what the record says."""
    spec = load(tmp_path, with_method(method, **MIXED, budget={"trials": 40}))
    search = BackgroundSearch(spec, History(), record=lambda suggestion: None, clock=lambda: 0.0)
    made.append(search)
    running: list[PlannedTrial] = []
    chance = random.Random(3)
    while search.end is None:
        kinds = chance.choice((["A40"], ["H100"], ["A40", "H100"]))
        for trial in waited(search, kinds):
            assert any(can_run_on(trial.accelerator, kind) for kind in kinds)
            running.append(trial)
        while len(running) > 3:
            search.tell(row_of(running.pop(chance.randrange(len(running)))))
            time.sleep(chance.choice((0, 0, 0.05)))
    assert len(search.trials) == 40
    assert [text for _, text in differences(spec, search.history)] == [""] * 40
    assert RANDOM in {one.method for one in search.history.suggestions}


def test_the_next_of_every_kind_that_was_asked_for_gets_ready(tmp_path: Path, made: list[BackgroundSearch]) -> None:
    """After answers for two kinds and a while, neither has to be waited for."""
    spec = load(tmp_path, with_method("tpe", **MIXED, budget={"trials": 60}))
    search = BackgroundSearch(spec, History(), record=lambda suggestion: None, clock=lambda: 0.0)
    made.append(search)
    for number in range(16):
        for trial in waited(search, [("A40", "H100")[number % 2]]):
            search.tell(row_of(trial))
    deadline = time.monotonic() + 60
    while True:
        with search._ahead._changed:
            if all(search._ahead._ready.get(kind) for kind in ("A40", "H100")) and not search._ahead._stale:
                break
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert asked_lately(search.history) == ["H100", "A40"]
    assert search.ask(["A40"]) and None not in search._ahead._kinds


def test_a_used_up_kind_ends_no_search_in_the_background(tmp_path: Path, made: list[BackgroundSearch]) -> None:
    """Found out by the thread or by the driver: the other kind goes on to the budget."""
    spec = load(tmp_path, with_method("tpe", **FEW, budget={"trials": 30}))
    search = BackgroundSearch(spec, History(), record=lambda suggestion: None, clock=lambda: 0.0)
    made.append(search)
    for kinds in [["H100"]] * 7 + [["H100", "A40"]] * 30:
        for trial in waited(search, kinds):
            search.tell(row_of(trial))
    assert len(search.trials) == 30 and search.used_up == {"H100"} and search.end == BUDGET_USED
