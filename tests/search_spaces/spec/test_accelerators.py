"""Lists of accelerators: what they mean in every place of a sweep file, and every way of being wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.search.planner import PlannedTrial, plan
from search_spaces.spec.load import load_sweep
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sections.accelerators import ANY, kinds_of_text, read_kinds, text_of_kinds
from search_spaces.spec.sections.resources import ResourcesConfig
from search_spaces.spec.sweep_spec import SweepSpec

KINDS = st.lists(st.sampled_from(["A40", "H100", "CPU", "L4", "My-GPU_2"]), min_size=1, unique=True)


def load(folder: Path, **values: Any) -> SweepSpec:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(values))
    return load_sweep(path)


def problems(folder: Path, **values: Any) -> list[str]:
    with pytest.raises(SpecError) as error:
        load(folder, **values)
    return [f"{'.'.join(map(str, one.keys))}: {one.rule}" for one in error.value.problems]


@given(KINDS, st.randoms())
def test_the_order_of_a_list_has_no_meaning(kinds: list[str], random: Any) -> None:
    """However a list is written it is one value, and its text names the same kinds again."""
    shuffled = random.sample(kinds, len(kinds))
    assert read_kinds(kinds) == read_kinds(shuffled)
    text = text_of_kinds(read_kinds(kinds))
    assert kinds_of_text(text) == set(kinds)
    written = json.loads(ResourcesConfig(accelerator=shuffled).model_dump_json())  # type: ignore[arg-type]
    assert ResourcesConfig.model_validate(written) == ResourcesConfig(accelerator=kinds)  # type: ignore[arg-type]


def test_a_list_of_one_kind_is_that_kind(tmp_path: Path) -> None:
    """`[H100]` and `H100` are one sweep, also by what is kept of it."""
    listed, named = (load(tmp_path, name="x", resources={"accelerator": one}) for one in (["H100"], "H100"))
    assert listed == named and listed.resolved() == named.resolved()


@pytest.mark.parametrize(
    ("accelerator", "gpus", "device", "wanted"),
    [
        (["H100", "A40"], None, "auto", ("A40,H100", 1.0)),
        (["H100", "A40"], 0.5, "auto", ("A40,H100", 0.5)),
        (["H100", "A40"], None, "cpu", ("A40,H100", 1.0)),
        (["CPU", "A40"], None, "auto", ("A40,CPU", None)),
        (["any"], None, "auto", (ANY, None)),
    ],
)
def test_what_a_trial_of_a_list_is_given(
    tmp_path: Path, accelerator: Any, gpus: float | None, device: str, wanted: tuple[Any, ...]
) -> None:
    """One GPU on cards alone; where the list names CPUs as well, it is the node that decides."""
    resources = {"accelerator": accelerator, **({} if gpus is None else {"gpus": gpus})}
    [trial] = plan(load(tmp_path, resources=resources, base={"device": device}))
    assert (trial.accelerator, trial.gpus) == wanted
    assert trial.trial_id == trial.config.trial_id
    assert [trial.allows(kind) for kind in ("A40", "L4")] == [True, wanted[0] == ANY]


def test_a_space_may_choose_between_lists(tmp_path: Path) -> None:
    """One config on cards and on a CPU is two trials; ids are names of folders, and those of single kinds stay."""
    space = {"resources.accelerator": {"choice": [["H100", "A40"], "CPU", "A40"]}}
    spec = load(tmp_path, space=space)
    suffixes = [trial.trial_id.removeprefix(trial.config.trial_id) for trial in plan(spec)]
    assert suffixes == ["-A40.H100", "-CPU", "-A40"]
    assert load(tmp_path, **spec.resolved()).resolved() == spec.resolved()


def test_ids_of_trials_that_name_one_kind_have_not_moved(tmp_path: Path) -> None:
    """As the version before lists gave them."""
    space = {"resources.accelerator": {"choice": ["H100", "any"]}, "resources.gpus": {"choice": [0.5]}}
    ids = ["baseline-6L192d-s1-004e469e5210-H100-0.5gpu", "baseline-6L192d-s1-004e469e5210-any-0.5gpu"]
    assert [trial.trial_id for trial in plan(load(tmp_path, space=space))] == ids


def test_a_case_may_rest_on_the_accelerator(tmp_path: Path) -> None:
    """A list in `when` gives alternatives, as for every key; a list of kinds is a list in it."""
    space = {"resources.accelerator": {"choice": [["A40", "H100"], "CPU", "L4"]}}

    def steps(when: Any) -> list[bool]:
        case = {"when": {"resources.accelerator": when}, "space": {"train.steps": {"choice": [7]}}}
        return [trial.config.train.steps == 7 for trial in plan(load(tmp_path, space=space, cases=[case]))]

    assert steps(["CPU", "L4"]) == [False, True, True]
    assert steps([["H100", "A40"]]) == [True, False, False]


@pytest.mark.parametrize(
    ("accelerator", "rule"),
    [
        ([], "must not be an empty list: name a kind, or write any"),
        (["A40", "h100"], "its 'h100' must be spelt H100"),
        (["A40", "H100", "A40"], "must not list A40 twice"),
        (["A40", "any"], "must not list any beside other kinds: it means all of them"),
        (["A40", 100], "must list kinds as text, and 100 is none"),
        (["A40", ["H100"]], "must list kinds as text, and ['H100'] is none"),
        (["A 40", "H100"], "its 'A 40' must look like"),
        ("A40,H100", "must look like"),
        (7, "must be a kind as Ray names it, a list of kinds, CPU, or any"),
        ([f"{'x' * 60}{index}" for index in range(3)], "must not list kinds of more than 128 characters together"),
    ],
)
def test_a_wrong_list_is_one_error(tmp_path: Path, accelerator: Any, rule: str) -> None:
    """In `resources` and in a space: the key, what is wrong with it, and nothing else."""
    [found] = problems(tmp_path, resources={"accelerator": accelerator})
    assert found.startswith(f"resources.accelerator: {rule}")
    [found] = problems(tmp_path, space={"resources.accelerator": {"choice": ["L4", accelerator]}})
    assert found.startswith(f"space.resources.accelerator.choice.1: {rule}")


@pytest.mark.parametrize(
    ("resources", "base", "text"),
    [
        (
            {"accelerator": ["CPU", "A40"], "gpus": 1},
            {},
            "resources.gpus: must be left out where resources.accelerator is A40 or CPU, but got 1",
        ),
        (
            {"accelerator": ["H100", "A40"], "gpus": 0},
            {},
            "resources.gpus: must be above 0 where resources.accelerator is A40 or H100, but got 0",
        ),
        (
            {"accelerator": ["CPU", "A40"]},
            {"device": "cuda"},
            "base.device: cuda needs a GPU, but its resources.accelerator is A40 or CPU",
        ),
    ],
)
def test_a_list_that_contradicts_other_keys(
    tmp_path: Path, resources: dict[str, Any], base: dict[str, Any], text: str
) -> None:
    """Where a list names CPUs and cards, no number of GPUs and no device can hold on both."""
    assert problems(tmp_path, resources=resources, base=base) == [text]


def test_the_same_list_twice_is_listed_twice(tmp_path: Path) -> None:
    """In another order it is the same choice."""
    choice = [["A40", "H100"], ["H100", "A40"]]
    [found] = problems(tmp_path, space={"resources.accelerator": {"choice": choice}})
    assert found == "space.resources.accelerator.choice.1: listed twice"


def test_a_trial_allows_what_it_names() -> None:
    """By its text alone: one kind, several, any."""

    def allows(accelerator: str) -> list[bool]:
        trial = PlannedTrial(config=None, accelerator=accelerator, cpus=1, gpus=None, trial_id="t")  # type: ignore[arg-type]
        return [trial.allows(kind) for kind in ("A40", "H100", "CPU")]

    assert allows("A40") == [True, False, False]
    assert allows("A40,CPU") == [True, False, True]
    assert allows(ANY) == [True, True, True]
