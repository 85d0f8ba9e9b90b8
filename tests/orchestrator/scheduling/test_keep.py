"""Which artifacts and checkpoints a run folder need not keep."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import tiny_sweep
from trial_builder import make_tables, make_trial

from orchestrator.early_stopping.rule import Verdict
from orchestrator.scheduling.keep import ToCome, far_checkpoints, removable_artifacts, to_come
from orchestrator.search.planner import PlannedTrial, plan
from results.analysis.pareto_info import ParetoInfo, pareto_info
from search_spaces.spec.sections.keep import KeepConfig
from search_spaces.spec.sweep_spec import SweepSpec

LIMIT_BYTES = 1_000
STOP = Verdict(action="stop", step=4, margin=0.1)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    """Six configs of one recipe with two seeds each, under a limit of bytes."""
    return tiny_sweep(
        tmp_path_factory.mktemp("keep"),
        space={"model.dim": {"choice": [16, 32, 48, 64, 80, 96]}},
        constraints=[f"artifact_bytes <= {LIMIT_BYTES}"],
        keep={"artifacts": "front"},
    )


def row(trial: PlannedTrial, ce: float = 3.0, size: int = 100, **changes: Any) -> Row:
    """The row of a trial, completed unless `changes` say otherwise."""
    config = trial.config
    who = {"trial_id": trial.trial_id, "config_id": config.config_id, "recipe": config.recipe, "seed": config.seed}
    return {**make_trial(ce=ce, artifact_bytes=size), "stage": "search", **who, **changes}


def rows(spec: SweepSpec, points: Sequence[tuple[float, int]]) -> list[Row]:
    """A row for each of both seeds of the first configs, all at the point of their config."""
    return [row(trial, *points[index // 2]) for index, trial in enumerate(plan(spec)[: 2 * len(points)])]


def gone(spec: SweepSpec, found: Sequence[Row], coming: ToCome | None = None) -> list[int]:
    """Which of the configs, by number, lose their artifacts."""
    removed = set(removable_artifacts(spec, found, coming or ToCome()))
    numbers = {one["config_id"]: number for number, one in enumerate(found[::2])}
    lost = {one["config_id"] for one in found if one["trial_id"] in removed}
    assert removed == {one["trial_id"] for one in found if one["config_id"] in lost}  # all its seeds, or none
    return sorted(numbers[one] for one in lost)


def info_of(spec: SweepSpec, found: Sequence[Row]) -> ParetoInfo:
    return pareto_info(make_tables(found), spec.objectives, [str(limit) for limit in spec.constraints])


OUTCOMES = st.tuples(
    st.sampled_from(["completed", "completed", "completed", "stopped_early", "diverged", "failed"]),
    st.sampled_from([1.0, 2.0, 3.0, 4.0, math.nan]),
    st.sampled_from([100, 200, 300, LIMIT_BYTES + 1]),
)


@given(data=st.data())
def test_every_artifact_of_the_final_front_is_still_there(spec: SweepSpec, data: st.DataObject) -> None:
    """In whatever order trials end, and whatever they end as, nothing of the front that `pareto` shows was removed."""
    trials = plan(spec)
    order = data.draw(st.permutations(trials))
    found: list[Row] = []
    removed: set[str] = set()
    for trial in order:
        status, ce, size = data.draw(OUTCOMES)
        found.append(row(trial, ce, size, status=status))
        removed |= set(removable_artifacts(spec, found, to_come(spec, trials, found, {}, is_over=True)))
    info = info_of(spec, found)
    assert not removed & {one.trial_id for group in info.front for one in group.replicates}
    unscored = {one["trial_id"] for one in found if one["status"] != "completed" or math.isnan(one["ce"])}
    assert not removed & unscored


@given(points=st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([100, 200, 1_001])), min_size=6))
def test_all_else_is_removed_in_the_end(spec: SweepSpec, points: list[tuple[float, int]]) -> None:
    """When every trial has completed, exactly the artifacts of the front are left."""
    found = rows(spec, points[:6])
    coming = to_come(spec, plan(spec), found, {}, is_over=True)
    removed = set(removable_artifacts(spec, found, coming))
    front = {one.trial_id for group in info_of(spec, found).front for one in group.replicates}
    assert {one["trial_id"] for one in found} - removed == front


def test_ties_stay(spec: SweepSpec) -> None:
    """Equal configs are all on the front; one that is equal in one value and worse in the other is not."""
    assert gone(spec, rows(spec, [(2.0, 100), (2.0, 100), (2.0, 200), (3.0, 100)])) == [2, 3]


def test_where_nothing_keeps_the_limits_nothing_stays(spec: SweepSpec) -> None:
    """A config that breaks a limit is off the front whatever comes; one whose value is unknown is in doubt."""
    found = rows(spec, [(2.0, LIMIT_BYTES + 1), (1.0, LIMIT_BYTES + 2)])
    assert gone(spec, found) == [0, 1]
    assert gone(spec, [{**one, "artifact_bytes": None} for one in found]) == []


@pytest.mark.parametrize("of", [0, 1])
def test_what_may_change_stays(spec: SweepSpec, of: int) -> None:
    """A config stays while it, or the only one that is better, has a seed that waits, failed, or was stopped early."""
    found = rows(spec, [(1.0, 100), (2.0, 200)])
    assert gone(spec, found) == [1]
    trials = plan(spec)[:4]
    late = found[2 * of + 1]
    others = [one for one in found if one is not late]
    for then in (others, [*others, {**late, "status": "failed"}], [*others, {**late, "status": "stopped_early"}]):
        coming = to_come(spec, trials, then, {}, is_over=True)
        assert coming.config_ids == {late["config_id"]} and removable_artifacts(spec, then, coming) == []


def test_a_search_that_may_give_more_seeds_keeps_what_lacks_them(spec: SweepSpec) -> None:
    """While seeds are chosen, only configs with all of them are held against each other."""
    found = rows(spec, [(1.0, 100), (2.0, 200)])
    assert gone(spec, found, ToCome(is_choosing=True)) == [1]
    assert removable_artifacts(spec, found[:3], ToCome(is_choosing=True)) == []
    assert removable_artifacts(spec, found[:3], ToCome()) == [found[2]["trial_id"]]


def test_confirmation_keeps_what_it_may_choose_and_what_it_has_chosen(spec: SweepSpec) -> None:
    """All that keeps the limits until it has chosen; then the chosen configs, their rivals, and all its own trials."""
    found = rows(spec, [(1.0, 100), (2.0, 200), (3.0, 300), (4.0, LIMIT_BYTES + 1)])
    to_confirm = dataclasses.replace(spec, confirm=spec.confirm.model_copy(update={"configs": 1}))
    waiting = to_come(to_confirm, plan(spec)[:8], found, {}, is_over=False)
    assert waiting.is_choosing and gone(to_confirm, found, waiting) == [3]
    fresh = dataclasses.replace(plan(spec)[2], trial_id="fresh")
    rows_now = [*found, row(fresh, 9.0, 900, stage="confirm")]
    trials = [*plan(spec)[:8], fresh]
    coming = to_come(to_confirm, trials, rows_now, {"fresh": found[4]["config_id"]}, is_over=True)
    assert coming.confirmed == {found[2]["config_id"], found[4]["config_id"]}
    assert removable_artifacts(to_confirm, rows_now, coming) == [found[6]["trial_id"], found[7]["trial_id"]]


def test_controls_of_what_stays_stay(spec: SweepSpec) -> None:
    """A baseline stays while trials are to come, then if a config that stays differs from it in its recipe alone."""
    base = rows(spec, [(3.0, 300), (4.0, 400)])
    of_first = [{**one, "recipe": "selective", "ce": 1.0, "config_id": "sel", "trial_id": f"sel{n}"} for n, one in
                enumerate(base[:2])]  # fmt: skip
    other = [{**one, "cfg_model_dim": 999} for one in base[2:]]
    found = [*base[:2], *other, *of_first]
    assert removable_artifacts(spec, found, ToCome(is_compared=True)) == []
    assert removable_artifacts(spec, found, ToCome()) == [one["trial_id"] for one in other]
    assert to_come(spec, plan(spec), found, {}, is_over=True).is_compared
    assert not to_come(spec, plan(spec), base, {}, is_over=True).is_compared  # one recipe: nothing to compare
    assert not to_come(spec, plan(spec)[:4], found, {}, is_over=True).is_compared


def test_all_and_none(spec: SweepSpec) -> None:
    """`all` removes nothing; `none` every artifact of a completed trial, also of confirmation, and no other."""
    found = rows(spec, [(1.0, 100), (2.0, 200)])
    found += [row(plan(spec)[4], status="failed"), row(plan(spec)[5], stage="confirm")]
    assert removable_artifacts(dataclasses.replace(spec, keep=KeepConfig()), found, ToCome()) == []
    none = dataclasses.replace(spec, keep=KeepConfig(artifacts="none"))
    completed = [one["trial_id"] for one in found if one["status"] == "completed"]
    assert removable_artifacts(none, found, ToCome()) == completed and len(completed) == 5


@given(margins=st.lists(st.floats(0, 10), max_size=30), num_kept=st.integers(0, 12))
def test_the_checkpoints_nearest_to_the_front_are_kept(margins: list[float], num_kept: int) -> None:
    """At most the number that is kept, none of them further from the front than one that goes; 0 keeps none."""
    verdicts: Mapping[str, Verdict] = {f"t{n}": dataclasses.replace(STOP, margin=m) for n, m in enumerate(margins)}
    far = far_checkpoints([*verdicts, "by hand"], verdicts, num_kept)
    kept = set(verdicts) - set(far)
    assert len(kept) == min(num_kept, len(margins)) and "by hand" not in far
    nearest = min((verdicts[one].margin or 0 for one in far), default=math.inf)
    assert all((verdicts[one].margin or 0) <= nearest for one in kept)


def test_a_trial_that_is_to_go_on_takes_no_place_of_the_others() -> None:
    """What a user asked to go on with has another verdict: it is neither removed nor counted."""
    verdicts = {f"t{n}": dataclasses.replace(STOP, margin=float(n)) for n in range(3)}
    verdicts["t0"] = dataclasses.replace(STOP, action="go_on")
    assert far_checkpoints(verdicts, verdicts, 1) == ["t2"]
