"""The sections `replicates` and `confirm`: what they mean by default, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_world import load, with_method

from search_spaces.spec.problems import SpecError
from search_spaces.spec.sweep_spec import SweepSpec

SEARCHED: dict[str, Any] = {"budget": {"trials": 200}, "replicates": {}}


def spec_of(folder: Path, method: str = "ehvi", **changes: Any) -> SweepSpec:
    values = with_method(method, **{**SEARCHED, **changes})
    values["base"] = {**values["base"], "eval": {"tokens": 4096}}
    return load(folder, values)


def test_a_search_replicates_near_the_front_and_confirms(tmp_path: Path) -> None:
    """By default three seeds where it is in doubt, and a quarter of the budget for five configs and their rivals."""
    spec = spec_of(tmp_path)
    assert (spec.replicating, spec.seeds, spec.num_confirmed) == ("near_front", (1, 2, 3), 5)
    assert (spec.num_to_confirm, spec.num_to_search) == (50, 150)
    assert spec.fresh_seeds == (101, 102, 103, 104, 105)


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_plan_does_neither(tmp_path: Path, method: str) -> None:
    """One seed for all, and the whole budget; both can be asked for, but for replicates near the front."""
    spec = spec_of(tmp_path, method)
    assert (spec.replicating, spec.seeds, spec.num_confirmed, spec.num_to_search) == ("always", (1,), 0, 200)
    assert spec_of(tmp_path, method, confirm={"configs": 2}).num_to_search == 180
    with pytest.raises(SpecError, match=r"replicates\.when: needs method tpe or ehvi, but the search has method"):
        spec_of(tmp_path, method, replicates={"when": "near_front"})


@pytest.mark.parametrize(("trials", "configs"), [(39, 0), (40, 1), (80, 2), (1_000, 5)])
def test_confirmation_takes_no_more_than_a_quarter_by_itself(tmp_path: Path, trials: int, configs: int) -> None:
    """Fewer configs in a small budget, never fewer seeds."""
    spec = spec_of(tmp_path, budget={"trials": trials})
    assert spec.num_confirmed == configs and spec.num_to_confirm <= trials / 4


def test_without_a_part_of_the_text_nothing_is_confirmed_by_itself(tmp_path: Path) -> None:
    """`eval.tokens` null is all of the validation text: the search leaves none."""
    assert load(tmp_path, with_method("ehvi", **SEARCHED)).num_confirmed == 0


def test_fresh_seeds_are_none_of_the_search(tmp_path: Path) -> None:
    """Those that the search has are left out."""
    spec = spec_of(tmp_path, seeds=[1, 102, 2**62], confirm={"seeds": 3})
    assert spec.fresh_seeds == (101, 103, 104)


def test_seeds_may_stand_in_either_place(tmp_path: Path) -> None:
    """At the top or under `replicates`, as a number or a list; in both is a mistake."""
    assert spec_of(tmp_path, seeds=2).seeds == spec_of(tmp_path, replicates={"seeds": [1, 2]}).seeds == (1, 2)
    with pytest.raises(SpecError, match=r"replicates\.seeds: is given twice; `seeds` in line \d+ is the same thing"):
        spec_of(tmp_path, seeds=2, replicates={"seeds": 2})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"replicates": {"when": "always", "share": 0.1}}, "replicates.share: has no effect with always"),
        ({"replicates": {"share": 1.5}}, "replicates.share: must be at most 1"),
        ({"confirm": {"seeds": 1}}, "confirm.seeds: must be at least 2"),
        ({"confirm": {"configs": 20}}, "confirm.configs: 20 configs and their rivals, 5 seeds each, take 200 trials"),
        ({"confirm": {"config": 2}}, "confirm.config: unknown key; did you mean configs"),
        ({"objectives": {"tokens_per_s": "max"}, "confirm": {"configs": 1}}, "confirm.configs: needs ce or bpb"),
    ],
)
def test_mistakes_are_said(tmp_path: Path, changes: dict[str, Any], error: str) -> None:
    """With file, line, key and rule."""
    method = "tpe" if "objectives" in changes else "ehvi"
    with pytest.raises(SpecError) as found:
        spec_of(tmp_path, method, **changes)
    assert error in str(found.value)
