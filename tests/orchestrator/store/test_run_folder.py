"""A run folder of an earlier version: what it meant then, it means still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from search_world import load, with_method

from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.sweep_spec import SweepSpec


def spec_of(folder: Path, **changes: Any) -> SweepSpec:
    values = with_method("ehvi", **{"budget": {"trials": 200}, "replicates": {}, "seeds": [1, 2], **changes})
    values["base"] = {**values["base"], "eval": {"tokens": 4096}}
    return load(folder, values)


@pytest.fixture
def old(tmp_path: Path) -> RunFolder:
    """A folder whose sweep.yaml knows neither `replicates` nor `confirm`."""
    folder, resolved = RunFolder(tmp_path / "run"), spec_of(tmp_path).resolved()
    del resolved["replicates"], resolved["confirm"]
    folder.root.mkdir()
    folder.sweep_file.write_text(yaml.safe_dump(resolved))
    return folder


def test_a_search_of_an_earlier_version_goes_on_as_it_was(old: RunFolder, tmp_path: Path) -> None:
    """All seeds of every config, the whole budget for the search, and no change of the spec is seen."""
    spec = spec_of(tmp_path)
    assert (spec.replicating, spec.num_confirmed) == ("near_front", 5)
    kept = old.kept_method(spec)
    assert (kept.replicating, kept.num_confirmed, kept.num_to_search) == ("always", 0, 200)
    assert old.check(kept.resolved(), {}) == []


def test_it_stays_so_in_every_later_call(old: RunFolder, tmp_path: Path) -> None:
    """The sections that today's version writes into sweep.yaml do not count as the user's wish."""
    for trials in (200, 300, 300):
        kept = old.kept_method(spec_of(tmp_path, budget={"trials": trials}))
        assert (kept.replicating, kept.num_confirmed) == ("always", 0)
        old.write_spec(kept.resolved(), {}, [])


def test_what_the_file_says_now_stands(old: RunFolder, tmp_path: Path) -> None:
    """Both sections may be added in the middle of a run, and are told as changes."""
    spec = spec_of(tmp_path, replicates={"when": "near_front"}, confirm={"configs": 1})
    kept = old.kept_method(spec)
    assert (kept.replicating, kept.num_confirmed) == ("near_front", 1)
    assert {change.section for change in old.check(kept.resolved(), {})} == {"replicates", "confirm"}


def test_a_new_folder_has_the_defaults_of_today(tmp_path: Path) -> None:
    """There is nothing to keep."""
    spec = spec_of(tmp_path)
    assert RunFolder(tmp_path / "run").kept_method(spec) == spec


def test_what_is_kept_may_change_and_its_default_is_no_change(old: RunFolder, tmp_path: Path) -> None:
    """A folder without `keep` reads as one that keeps all; another value is told as a change."""
    written = yaml.safe_load(old.sweep_file.read_text())
    del written["keep"]
    old.sweep_file.write_text(yaml.safe_dump(written))
    spec = old.kept_method(spec_of(tmp_path))
    assert spec.resolved()["keep"] == {"artifacts": "all", "checkpoints": 10}
    assert old.check(spec.resolved(), {}) == []
    spec = old.kept_method(spec_of(tmp_path, keep={"artifacts": "all", "checkpoints": 10}))
    assert old.check(spec.resolved(), {}) == []
    spec = old.kept_method(spec_of(tmp_path, keep={"checkpoints": 0}))
    assert [change.key for change in old.check(spec.resolved(), {})] == ["keep.checkpoints"]
