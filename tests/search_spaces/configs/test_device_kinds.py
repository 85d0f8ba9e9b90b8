"""Which kinds of device configs may run on, and draws that are kept to some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_world import MIXED, load, with_method

from search_spaces.configs.combinations import Combination
from search_spaces.configs.device_kinds import (
    accelerators_of,
    can_run_on,
    deciding_parameters,
    kept_to,
    one_runs_on,
    runs_on,
)
from search_spaces.configs.valid_configs import Candidate, arms_of, options_of_draw
from search_spaces.spec.sections.resources import ResourcesConfig
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.config.trial import TrialConfig


def drawn(spec: SweepSpec, kinds: list[str] | None, number: int) -> list[Candidate]:
    arms = arms_of(spec, kept_to(kinds, options_of_draw(0, number, 0)))
    return [] if isinstance(arms, Combination) else arms


@pytest.mark.parametrize(
    ("accelerator", "kind", "can"),
    [
        ("any", "H100", True),
        ("any", "CPU", True),
        ("H100", "H100", True),
        ("H100", "A40", False),
        ("A100-80G", "A100", False),
        (["A40", "H100"], "H100", True),
        (["A40", "H100"], "CPU", False),
    ],
)
def test_what_a_trial_names_and_what_it_may_get(accelerator: Any, kind: str, can: bool) -> None:
    """Its own kind, one of its list, or whatever there is."""
    assert can_run_on(accelerator, kind) is can


@pytest.mark.parametrize(
    ("device", "gpus", "kinds"),
    [("auto", None, {"CPU", "A40"}), ("cpu", None, {"CPU"}), ("cuda", None, {"A40"}), ("auto", 0.0, {"CPU"})],
)
def test_anywhere_depends_on_the_gpus_that_it_takes(device: Any, gpus: float | None, kinds: set[str]) -> None:
    """A trial with a GPU never gets a CPU, and one without none of the cards."""
    config = TrialConfig(recipe="baseline", data="stdlib", device=device)
    one = Candidate(config, ResourcesConfig(accelerator="any", gpus=gpus), "")
    assert {kind for kind in ("CPU", "A40") if runs_on(one, [kind])} == kinds


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    return load(tmp_path_factory.mktemp("spec"), with_method("tpe", **MIXED))


@given(number=st.integers(0, 10_000), kinds=st.sets(st.sampled_from(["H100", "A40", "CPU", "T4"]), min_size=1))
def test_a_draw_that_is_kept_to_kinds_runs_there(spec: SweepSpec, number: int, kinds: set[str]) -> None:
    """It is valid and fits, or there is none; of what does not say where a trial runs it is the same draw."""
    [free] = drawn(spec, None, number)
    for one in drawn(spec, sorted(kinds), number):
        assert one_runs_on([one], kinds) and one.config == free.config
    if one_runs_on([free], kinds):
        assert drawn(spec, sorted(kinds), number), "what fits is not lost"


def test_what_the_space_says_of_where_trials_run(spec: SweepSpec, tmp_path: Path) -> None:
    """Every accelerator once, also inside mappings; and the parameters that decide which case says it."""
    assert accelerators_of(spec) == ["H100", "A40", "any"]
    assert [one.key for one in deciding_parameters(spec)] == ["recipe"]
    sizes = {"choice": [{"accelerator": "H100", "gpus": 1}, {"accelerator": "A40", "gpus": 1}, {"gpus": 1}]}
    whole = load(tmp_path, with_method("tpe", space={**MIXED["space"], "resources": sizes}, cases=[]))
    assert accelerators_of(whole) == ["H100", "A40"] and deciding_parameters(whole) == []
    found = {one.resources.accelerator for number in range(40) for one in drawn(whole, ["A40"], number)}
    assert found == {"A40", "any"}
