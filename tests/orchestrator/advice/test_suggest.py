"""`frostline suggest`: its file loads, is a part of the old space, and holds every config of the front."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestrator.advice.suggest import advise
from orchestrator.cli.main import app
from orchestrator.errors import UsageError
from results.tables import schema
from search_spaces.configs.agreeing import found_again
from search_spaces.configs.valid_configs import Candidate, candidates
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec
from search_spaces.spec.yaml_document import dump

NOW = datetime(2026, 5, 1, 7, 30, tzinfo=UTC)
SWEEP: dict[str, Any] = {
    "name": "night",
    "notes": "of the old sweep",
    "search": {"method": "random", "seed": 3},
    "budget": {"trials": 80, "hours": 8},
    "seeds": [1],
    "base": {"model": {"num_heads": 2, "num_layers": 1}, "train": {"steps": 20}},
    "space": {
        "recipe": {"choice": ["baseline", "selective", "full_adapter"]},
        "model.dim": {"choice": [32, 48, 64, 96, 128]},
        "optimizer.learning_rate": {"log_range": [0.001, 0.1]},
        "optimizer.name": {"choice": ["adamw", "muon"]},
    },
    "cases": [
        {
            "when": {"recipe": ["selective", "full_adapter"]},
            "space": {"freeze.matrices": {"choice": [["gate"], ["up"]]}},
        },
        {"when": {"recipe": "full_adapter"}, "space": {"adapter.rank": {"choice": [2, 4, 8]}}},
        {"when": {"optimizer.name": "muon"}, "space": {"optimizer.momentum": {"range": [0.8, 0.99]}}},
    ],
}


def write_run(folder: Path, sweep: dict[str, Any], good: Any, **changes: Any) -> tuple[SweepSpec, list[Candidate]]:
    """A run of the first configs of a sweep; those for which `good` holds are on the front, the others are not.

    Returns the spec, and the configs of the front.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.yaml").write_text(dump(sweep))
    spec = load_sweep(folder / "sweep.yaml")
    rows, front = [], []
    for index, one in enumerate(islice(candidates(spec), spec.budget.trials or 200)):
        is_good = bool(good(one))
        front += [one] if is_good else []
        size = 1_000_000 + index if is_good else 2_000_000 + index
        row = schema.flatten_config(one.config.model_dump(mode="json"))
        row |= {"sweep": "night", "trial_id": f"t{index}", "config_id": one.config.config_id, "seed": one.config.seed}
        row |= {"recipe": one.config.recipe, "data": one.config.data, "status": "completed", "data_sha256": "d" * 64}
        row |= {
            "ce": 3 - index / 1_000 if is_good else 4.0,
            "artifact_bytes": size,
            "total_bytes": size + 40_000,
            **changes,
        }
        rows.append(row)
    path = folder / "tables" / "trials" / "trials-000000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(schema.trials_table(rows), path)
    return spec, front


def read(folder: Path, text: str) -> SweepSpec:
    path = folder / "next.yaml"
    path.write_text(text)
    return load_sweep(path)


def is_low_rate(one: Candidate) -> bool:
    config = one.config
    return config.recipe != "full_adapter" and 0.006 < config.optimizer.learning_rate < 0.02 and config.model.dim > 48


def test_the_next_sweep_is_the_old_one_around_its_front(tmp_path: Path) -> None:
    """Narrower ranges, no recipe that is never on the front and none of its cases; budget, base and seeds as before."""
    old, front = write_run(tmp_path / "run", SWEEP, is_low_rate)
    advice = advise(tmp_path / "run", "runs/night", NOW)
    new = read(tmp_path, advice.text)
    assert len(front) >= 5 and advice.notes == ()
    assert (new.name, new.search.seed, new.budget, new.base, new.seeds) == ("night_next", 4, old.budget, old.base, (1,))
    by_key = {one.key: one.values for one in new.space}
    assert by_key["recipe"] == ("baseline", "selective")
    low, high = by_key["optimizer.learning_rate"]
    assert 0.001 < low <= 0.006 and 0.02 <= high < 0.1
    assert [case.when for case in new.cases] == [{"recipe": ("selective",)}, {"optimizer.name": ("muon",)}]
    assert "# What to try next, by `frostline suggest runs/night` on 2026-05-01 07:30." in advice.text
    assert "  # was 0.001 to 0.1; " in advice.text
    assert advise(tmp_path / "run", "runs/night", NOW) == advice


def test_an_adaptive_search_learns_from_the_old_run(tmp_path: Path) -> None:
    """search.learn_from names the run as the user gave it; search.first has run, and is left out with a note."""
    search = {"method": "ehvi", "first": [{"recipe": "selective"}], "learn_from": ["runs/monday"]}
    write_run(tmp_path / "run", {**SWEEP, "search": search | {"seed": 3}}, is_low_rate)
    advice = advise(tmp_path / "run", "runs/night", NOW)
    new = read(tmp_path, advice.text)
    assert new.search.learn_from == ("runs/monday", "runs/night") and new.search.first == ()
    assert "search.first is not copied: these configs have run" in advice.notes


@st.composite
def sweeps(draw: st.DrawFn) -> dict[str, Any]:
    """Small spaces of every kind of parameter, a grid or drawn, with cases that rest on them."""
    is_grid = draw(st.booleans())
    space: dict[str, Any] = {"recipe": {"choice": ["baseline", "selective", "full_adapter"]}}
    dims = draw(st.lists(st.sampled_from([32, 48, 64, 96, 128]), min_size=1, max_size=4, unique=True))
    space["model.dim"] = draw(st.sampled_from([{"choice": dims}, {"grid": dims}, {"steps": [32, 128, 32]}]))
    if draw(st.booleans()):
        space["model.num_layers"] = {"steps": [3, 1, -1]} if is_grid else {"range": [1, 4]}
    if not is_grid:
        space["optimizer.learning_rate"] = draw(st.sampled_from([{"log_range": [1e-3, 0.1]}, {"range": [0.001, 0.3]}]))
    space["optimizer.name"] = {"choice": ["adamw", "muon"]}
    momentum = {"choice": [0.8, 0.9]} if is_grid else {"range": [0.8, 0.99]}
    search = {"method": "grid"} if is_grid else {"method": draw(st.sampled_from(["random", "ehvi", "tpe"]))}
    budget = {} if is_grid else {"budget": {"trials": draw(st.sampled_from([12, 60]))}}
    cases = [SWEEP["cases"][1], {"when": {"optimizer.name": "muon"}, "space": {"optimizer.momentum": momentum}}]
    rest = {"replicates": {"when": "always"}, "confirm": {"configs": 0}, **budget}
    return {**SWEEP, "search": search, "space": space, "cases": cases, "budget": {}, **rest}


@settings(max_examples=10, deadline=None)
@given(sweep=sweeps(), seed=st.integers(0, 99), share=st.sampled_from([0.03, 0.2, 0.9]))
def test_any_front_lies_in_the_space_that_is_written(
    tmp_path_factory: pytest.TempPathFactory, sweep: dict[str, Any], seed: int, share: float
) -> None:
    """Whatever the space and the front: the file loads, its space has configs, and it holds every one of the front."""
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("any")
    first = iter([True])
    _, front = write_run(folder / "run", sweep, lambda one: next(first, False) or chance.random() < share)
    advice = advise(folder / "run", "run", NOW)
    new = read(folder, advice.text)
    assert all(isinstance(found_again(new, one.config), Candidate) for one in front)
    assert next(iter(candidates(new)), None) is not None


def test_a_run_without_a_front_is_told_so(tmp_path: Path) -> None:
    """No trial completed, or none keeps the limits: one error that says which, and what to do."""
    write_run(tmp_path / "failed", SWEEP, is_low_rate, status="diverged", ce=None)
    with pytest.raises(UsageError, match="no trial of failed has completed"):
        advise(tmp_path / "failed", "failed", NOW)
    write_run(tmp_path / "large", SWEEP, is_low_rate, total_bytes=17_000_000)
    with pytest.raises(UsageError, match="no config of large keeps its limits"):
        advise(tmp_path / "large", "large", NOW)


def test_few_good_configs_leave_a_wide_space_and_a_warning(tmp_path: Path) -> None:
    """One config on the front of twelve: nothing is left out, and a note says why."""
    first = iter([True])
    write_run(tmp_path / "run", {**SWEEP, "budget": {"trials": 12}}, lambda one: next(first, False))
    advice = advise(tmp_path / "run", "run", NOW)
    assert advice.notes == ("of 12 configs only 1 on the front, or likely to be: this advice rests on little",)
    new = {one.key: one.values for one in read(tmp_path, advice.text).space}
    assert new["recipe"] == ("baseline", "selective", "full_adapter") and new["optimizer.learning_rate"] == (0.001, 0.1)


def test_the_command_writes_the_file_alone_to_stdout(tmp_path: Path) -> None:
    """YAML on stdout, notes on stderr; the output can be planned as it is."""
    first = iter([True])
    write_run(tmp_path / "run", {**SWEEP, "budget": {"trials": 12}}, lambda one: next(first, False))
    result = CliRunner().invoke(app, ["suggest", str(tmp_path / "run")])
    assert result.exit_code == 0 and result.stderr.startswith("note: of 12 configs only 1")
    assert read(tmp_path, result.stdout).name == "night_next"
    planned = CliRunner().invoke(app, ["plan", str(tmp_path / "next.yaml"), "--rows", "1"])
    assert planned.exit_code == 0, planned.output


def test_a_grid_that_is_known_as_a_whole_is_told_so(tmp_path: Path) -> None:
    """A grid of words: the smaller one holds nothing new."""
    space = {"recipe": {"choice": ["baseline", "selective"]}, "optimizer.name": {"choice": ["adamw", "muon"]}}
    sweep = {**SWEEP, "search": {"method": "grid"}, "budget": {}, "space": space, "cases": []}
    write_run(tmp_path / "run", sweep, lambda one: one.config.recipe == "selective")
    assert (
        "every config of this grid was tried in run: add values, or more seeds"
        in advise(tmp_path / "run", "run", NOW).notes
    )
