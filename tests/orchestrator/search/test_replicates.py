"""Which configs get a further seed, and how many."""

from __future__ import annotations

import dataclasses
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_world import load, row_of, with_method

from orchestrator.search.adaptive import AdaptiveSearch, differences
from orchestrator.search.history import REPLICATE, History
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.replicates import doubts, trained
from results.analysis.pareto import pareto_rank
from search_spaces.spec.sweep_spec import SweepSpec


def noisy_row(trial: PlannedTrial, std: float = 0.05) -> dict[str, Any]:
    noise = np.random.default_rng(zlib.crc32(trial.trial_id.encode())).standard_normal()
    row = row_of(trial)
    return {**row, "ce": row["ce"] + std * float(noise)}


def searched(spec: SweepSpec, **changes: Any) -> AdaptiveSearch:
    search = AdaptiveSearch(spec, History(), record=lambda suggestion: None)
    while trials := search.ask():
        for trial in trials:
            search.tell({**noisy_row(trial), **changes})
    return search


def spec_of(folder: Path, trials: int = 60, **changes: Any) -> SweepSpec:
    return load(folder, with_method("ehvi", **{"budget": {"trials": trials}, "replicates": {}, **changes}))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> AdaptiveSearch:
    return searched(spec_of(tmp_path_factory.mktemp("search")))


def test_replicates_take_their_share_and_not_more(search: AdaptiveSearch) -> None:
    """By default a quarter of the budget, few of it early; every other config has one seed, the first."""
    by = [one.method for one in search.history.suggestions]
    assert 10 <= by.count(REPLICATE) <= 15 and by[:20].count(REPLICATE) <= 2
    for config in trained(search.history):
        assert config.seeds == tuple(range(1, len(config.seeds) + 1)) and len(config.seeds) <= 3
    assert len({trial.trial_id for trial in search.trials}) == 60


def test_they_go_where_the_front_is_in_doubt(search: AdaptiveSearch) -> None:
    """Configs with several seeds lie in the first layers of the sorting; those of the last third have one."""
    found = trained(search.history)
    told = [list(one.told.values()) for one in found]
    values = [(np.mean([one.values["ce"] for one in each]), each[0].values["artifact_bytes"]) for each in told]
    ranks = pareto_rank(values, ["min", "min"])
    several = [len(one.seeds) > 1 for one in found]
    assert ranks[several].max() < np.quantile(ranks, 0.67)


def test_the_record_gives_the_same_replicates_again(search: AdaptiveSearch) -> None:
    """A replay of the record gives every suggestion again, replicates with their seeds too."""
    assert {text for _, text in differences(search.spec, search.history)} == {""}


def test_the_search_sees_one_mean(search: AdaptiveSearch) -> None:
    """One observation for each config: the mean over its seeds with their number, never the best of them."""
    observations = search.history.observations(search.spec.constraints)
    assert len(observations) == len(trained(search.history))
    for config in trained(search.history):
        (one,) = [each for each in observations if each.candidate.name == config.candidate.name]
        scores = [told.values["ce"] for told in config.told.values()]
        assert one.values["ce"] == pytest.approx(sum(scores) / len(scores)) and one.num_seeds == len(scores)


def test_a_share_of_zero_and_always(tmp_path: Path) -> None:
    """No replicate, or all seeds of every config at once."""
    none = searched(spec_of(tmp_path, 24, replicates={"share": 0}))
    assert all(one.method != REPLICATE for one in none.history.suggestions)
    always = searched(spec_of(tmp_path, 24, seeds=[1, 2], replicates={"when": "always"}))
    assert all(arm.seeds == (1, 2) for arm in always.history.arms)


@pytest.mark.parametrize("change", [{"status": "failed", "ce": None}, {"ce": math.nan}, {"total_bytes": 10**9}])
def test_what_has_no_score_or_breaks_a_limit_gets_none(tmp_path: Path, change: dict[str, Any]) -> None:
    """Failed, not a number, over the limit: no further seed, and the search goes on."""
    found = searched(spec_of(tmp_path, 24), **change)
    assert len(found.trials) == 24 and doubts(found.spec, found.history) == []


def test_a_config_with_a_trial_under_way_waits(search: AdaptiveSearch) -> None:
    """While one of its seeds runs a config is known by the others, and gets no more."""
    last = next(one for one in reversed(search.history.suggestions) if one.method == REPLICATE)
    name = last.arms[0].candidate.name
    told = tuple(one for one in search.history.told if one.trial_id != last.trials[0].trial_id)
    history = dataclasses.replace(search.history, told=told)
    (config,) = [one for one in trained(history) if one.candidate.name == name]
    assert config.is_running
    states = {one.candidate.name: one.state for one in history.observations(search.spec.constraints)}
    assert states[name] == "completed"
