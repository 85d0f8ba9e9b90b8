"""The rules of adaptive searches, their record, and that they are functions of it."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_world import SPACE, load, row_of, with_method

from orchestrator.errors import UsageError
from orchestrator.search.adaptive import AdaptiveSearch, differences
from orchestrator.search.history import FIRST, RANDOM, History, Suggestion
from orchestrator.search.suggest import NUM_START, start_of
from orchestrator.search_record.suggestion_log import SuggestionLog
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sweep_spec import SweepSpec

ADAPTIVE = ("tpe", "ehvi")
FEW_POINTS = {
    "recipe": {"choice": ["baseline", "selective"]},
    "model.dim": {"choice": [16, 32, 48, 64, 80]},
    "artifact.matrix_bits": {"choice": [4, 8]},
}


def searched(spec: SweepSpec, history: History | None = None, most: int = 10_000) -> AdaptiveSearch:
    """A search whose trials end one after another, up to some number of trials."""
    search = AdaptiveSearch(spec, history or History(), record=lambda suggestion: None)
    while len(search.told_ids) < most and (trials := search.ask()):
        for trial in trials:
            search.tell(row_of(trial))
    return search


def ids(search: AdaptiveSearch) -> list[str]:
    return [trial.trial_id for trial in search.trials]


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_replay_of_the_record_gives_the_same(tmp_path: Path, method: str) -> None:
    """Every suggestion is a function of what the record says before it; one that was tampered with is found."""
    spec = load(tmp_path, with_method(method, budget={"trials": 25}, seeds=[1, 2]))
    history = searched(spec).history
    assert [text for _, text in differences(spec, history)] == [""] * len(history.suggestions)
    first, *rest = history.suggestions
    swapped = dataclasses.replace(history, suggestions=(dataclasses.replace(first, arms=rest[0].arms), *rest))
    assert next(differences(spec, swapped))[1]


@pytest.mark.parametrize("method", ADAPTIVE)
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0, max_value=16))
def test_a_search_goes_on_where_it_was_cut(tmp_path: Path, method: str, cut: int) -> None:
    """Written to the record and read again at any trial, a search gives what it would have given anyway."""
    spec = load(tmp_path, with_method(method, budget={"trials": 16}))
    log = SuggestionLog(tmp_path / f"{method}-{cut}.jsonl")
    log.path.unlink(missing_ok=True)
    log.start(())
    begun = AdaptiveSearch(spec, History(), record=log.append)
    while len(begun.told_ids) < cut and (trials := begun.ask()):
        begun.tell(row_of(trials[0]))
    again = log.read(spec)
    assert again is not None
    resumed = AdaptiveSearch(spec, again, record=log.append)
    for trial in resumed.trials:
        resumed.tell(row_of(trial))
    while trials := resumed.ask():
        resumed.tell(row_of(trials[0]))
    assert ids(resumed) == ids(searched(spec))


@pytest.mark.parametrize("method", ADAPTIVE)
def test_shares_of_controls_and_of_chance(tmp_path: Path, method: str) -> None:
    """A quarter of the configs are controls, the first and a tenth of the later ones are random, at any time."""
    search = searched(load(tmp_path, with_method(method, budget={"trials": 40})))
    arms = list(search.history.arms)
    for number in range(1, len(arms) + 1):
        assert sum(arm.is_control for arm in arms[:number]) >= 0.25 * number - 1e-9
    by = [suggestion.method for suggestion in search.history.suggestions]
    assert by[:NUM_START] == [RANDOM] * NUM_START
    assert by[NUM_START:].count(RANDOM) == 3 and Counter(by)[method] == 27


@pytest.mark.parametrize("method", ADAPTIVE)
def test_it_finds_the_best_place_sooner_than_chance(tmp_path: Path, method: str) -> None:
    """After the start, most learning rates are within a factor 4 of the best one; of random draws a fifth are."""
    search = searched(load(tmp_path, with_method(method, budget={"trials": 45})))
    later = [one for one in search.history.suggestions[20:] if one.method == method]
    rates = [arm.candidate.config.optimizer.learning_rate for one in later for arm in one.arms]
    assert sum(0.0025 < rate < 0.04 for rate in rates) > 0.6 * len(rates)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_space_that_is_used_up_ends(tmp_path: Path, method: str) -> None:
    """A space of 20 points with a budget of 100 gives 20 trials and says why there are no more."""
    values = with_method(method, space=FEW_POINTS, cases=[], budget={"trials": 100})
    search = searched(load(tmp_path, values))
    assert len(set(ids(search))) == 20
    assert search.end == "every config of the space that can keep the limits was suggested"


def test_a_space_without_a_feasible_point_ends_at_once(tmp_path: Path) -> None:
    """No trial is given, and the reason names the limit."""
    search = searched(load(tmp_path, with_method("ehvi", constraints=["artifact_bytes <= 700"])))
    assert not search.trials
    assert search.end is not None and "limit artifact_bytes <= 700" in search.end and "\n" not in search.end


@pytest.mark.parametrize("method", ADAPTIVE)
def test_what_cannot_fit_takes_no_device_and_teaches(tmp_path: Path, method: str) -> None:
    """Configs beyond the limit are rejected before they are trained; later ones hardly are."""
    space = {**SPACE["space"], "model": {"choice": [{"dim": dim} for dim in (32, 64, 128, 256)]}}
    values = with_method(method, space=space, constraints=["artifact_bytes <= 60_000"], budget={"trials": 40})
    values["admission"] = {"max_expected_ratio": 1.0}
    search = searched(load(tmp_path, values))
    rejected = [len(suggestion.rejected) for suggestion in search.history.suggestions]
    assert len(search.trials) == 40 and sum(rejected[:10]) >= 5
    assert sum(rejected[20:]) <= sum(rejected[:20])
    assert all(row_of(trial)["artifact_bytes"] < 70_000 for trial in search.trials)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_grid_parameters_are_crossed_with_every_suggestion(tmp_path: Path, method: str) -> None:
    """Each suggestion has an arm for every value of a grid, equal in all that both read."""
    space = {**SPACE["space"], "recipe": {"grid": ["baseline", "selective"]}}
    values = with_method(method, space=space, cases=SPACE["cases"][:1], budget={"trials": 26})
    for suggestion in searched(load(tmp_path, values)).history.suggestions:
        one, other = (arm.candidate.config for arm in suggestion.arms)
        assert {one.recipe, other.recipe} == {"baseline", "selective"}
        assert (one.optimizer, one.model, one.train) == (other.optimizer, other.model, other.train)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_configs_that_are_named_run_first(tmp_path: Path, method: str) -> None:
    """In the order of the file; what an entry leaves out is drawn."""
    first = [
        {"recipe": "selective", "freeze": {"matrices": ["gate"]}, "optimizer.learning_rate": 0.02},
        {"model": {"num_layers": 2}, "train.batch_sequences": 5},
    ]
    values = with_method(method, search={"seed": 5, "first": first})
    suggestions = searched(load(tmp_path, values)).history.suggestions
    assert [one.method for one in suggestions[:3]] == [FIRST, FIRST, RANDOM]
    one, other = (suggestion.arms[0].candidate.config for suggestion in suggestions[:2])
    assert one.freeze is not None and (one.recipe, one.freeze.matrices) == ("selective", ("gate",))
    assert one.optimizer.learning_rate == 0.02
    assert (other.model.num_layers, other.model.dim, other.train.batch_sequences) == (2, 48, 5)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"model.dim": 33}, "search.first[0].model.dim: is not among the values of model, but got 33"),
        ({"model.dmi": 32}, "search.first[0].model.dmi: unknown key; did you mean model.dim?"),
        ({"optimizer.learning_rate": 5}, "search.first[0].optimizer.learning_rate: is not among the values of"),
        ({"train.steps": 20}, "search.first[0].train.steps: is not in the space, but got 20"),
        (
            {"recipe": "baseline", "adapter.rank": 2},
            "first[0].adapter.rank: is in no config of the space beside",
        ),
        (
            {"model": {"dim": 32, "num_layers": 2}},
            "first[0].model.num_layers: is in no config of the space",
        ),
        ({"seed": 3}, "search.first[0].seed: belongs to `seeds`"),
    ],
)
def test_a_first_config_that_is_not_in_the_space(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    """It is refused at its line before anything starts."""
    with pytest.raises(SpecError) as error:
        load(tmp_path, with_method("tpe", search={"seed": 5, "first": [entry]}))
    assert message in str(error.value)


def test_an_unfinished_line_counts_as_not_written(tmp_path: Path) -> None:
    """A driver that is killed while it writes has started nothing of that suggestion."""
    spec, log = load(tmp_path, with_method("tpe")), SuggestionLog(tmp_path / "suggestions.jsonl")
    log.start(())
    search = AdaptiveSearch(spec, History(), record=log.append)
    search.ask()
    whole = log.path.read_bytes()
    search.ask()
    log.path.write_bytes(log.path.read_bytes()[:-40])
    history = log.read(spec)
    assert history is not None and len(history.suggestions) == 1
    assert log.path.read_bytes() != whole, "a reader must not touch what a driver may be writing"
    log.cut_unfinished_line()
    assert log.path.read_bytes() == whole and log.read(spec) == history


@pytest.mark.parametrize("damage", ["{}\n", '{"learned":[]}\n{"number":0}\n', '{"learned":[]}\nnot json\n', "\n"])
def test_a_damaged_record_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    """It names the file; nothing of it is guessed."""
    log = SuggestionLog(tmp_path / "suggestions.jsonl")
    log.path.write_text(damage)
    with pytest.raises(UsageError, match=r"suggestions\.jsonl is damaged"):
        log.read(load(tmp_path, with_method("tpe")))


def test_the_record_holds_all_that_was_suggested(tmp_path: Path) -> None:
    """Suggestions read from the file equal those that were given, rejections and predictions among them."""
    values = with_method("ehvi", constraints=["artifact_bytes <= 45_000"], admission={"max_expected_ratio": 1.0})
    spec, log = load(tmp_path, values), SuggestionLog(tmp_path / "suggestions.jsonl")
    log.start(())
    given: list[Suggestion] = []

    def record(suggestion: Suggestion) -> None:
        log.append(suggestion)
        given.append(suggestion)

    search = AdaptiveSearch(spec, History(), record)
    while trials := search.ask():
        search.tell(row_of(trials[0]))
    history = log.read(spec)
    assert history is not None and history.suggestions == tuple(given)
    assert any(one.rejected for one in given) and any(arm.predicted for one in given for arm in one.arms)
    assert [line["number"] for line in map(json.loads, log.path.read_text().splitlines()[1:])] == list(range(30))


def test_a_config_that_left_the_space_is_run_but_not_learned_from(tmp_path: Path) -> None:
    """After a smaller space its trials stay in the plan, and no method sees them."""
    spec = load(tmp_path, with_method("tpe"))
    log = SuggestionLog(tmp_path / "suggestions.jsonl")
    log.start(())
    search = AdaptiveSearch(spec, History(), record=log.append)
    while search.ask():
        pass
    smaller = {**SPACE["space"], "recipe": {"choice": ["baseline", "selective"]}}
    changed = load(tmp_path, with_method("tpe", space=smaller, cases=SPACE["cases"][:1]))
    history = log.read(changed)
    assert history is not None and history.num_trials == 30
    recipes = {one.candidate.config.recipe for one in history.observations(changed.constraints)}
    assert recipes == {"baseline", "selective"}


def test_a_plan_shows_what_a_search_begins_with(tmp_path: Path) -> None:
    """The first configs of a search are known before any result."""
    spec = load(tmp_path, with_method("ehvi"))
    begin = [arm.candidate.name for arm in start_of(spec)]
    assert begin == [arm.candidate.name for arm in list(searched(spec).history.arms)[:NUM_START]]
