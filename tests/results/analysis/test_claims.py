"""What confirmation may claim: tests against scipy, pairs, and what the table and the words say of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from trial_builder import make_tables, make_trial

from results.analysis.claims import claims_of, confirmed_configs
from results.analysis.pareto_info import pareto_info
from results.analysis.replicate_groups import to_rows
from results.analysis.statistics import holm, paired_test
from results.report.conclusions import conclusions
from results.report.formatting import headline

FRESH = (101, 102, 103, 104, 105)


def fresh(recipe: str, seed: int, ce_test: float, against: str | None = None, **changes: Any) -> dict[str, Any]:
    more = {"stage": "confirm", "ce_test": ce_test, "confirm_against": against, **changes}
    return make_trial(recipe, seed=seed, ce=changes.pop("ce", ce_test - 0.1), **more)


def run_with(differences: tuple[float, ...], **changes: Any) -> list[dict[str, Any]]:
    """A frozen config and its rival, searched with one seed, and confirmed."""
    rival = make_trial("baseline", seed=1, ce=3.3)
    found = [rival, make_trial("selective", seed=1, ce=3.1, **changes)]
    for seed, difference in zip(FRESH, differences, strict=False):
        found.append(fresh("baseline", seed, 3.5 + seed / 100))
        found.append(fresh("selective", seed, 3.5 + seed / 100 + difference, rival["config_id"]))
    return found


def test_a_claim_is_the_paired_test_of_scipy() -> None:
    """One claim: difference, interval and p-value are those of scipy's paired t-test."""
    differences = (-0.05, -0.03, -0.06, -0.02, -0.04)
    (claim,) = claims_of(to_rows(make_tables(run_with(differences)).trials))
    wanted = reference.ttest_1samp(differences, 0.0)
    assert claim.test is not None and claim.p_value == pytest.approx(wanted.pvalue)
    interval = wanted.confidence_interval()
    found = claim.test.difference
    assert found.mean == pytest.approx(np.mean(differences)) and found.num == 5
    assert found.half_width == pytest.approx((interval.high - interval.low) / 2)
    assert claim.is_decided and claim.accelerators == ("CPU",)


def test_each_claim_has_its_own_variance() -> None:
    """A noisy claim beside quiet ones is tested by its own noise; no spread at all is certainty, or none."""
    rng = np.random.default_rng(0)
    for scale in (0.01, 1.0, 100.0):
        differences = list(rng.normal(scale, scale, 5))
        wanted = reference.ttest_1samp(differences, 0.0)
        found = paired_test(differences)
        assert found.p_value == pytest.approx(wanted.pvalue) and found.difference.std == pytest.approx(
            np.std(differences, ddof=1)
        )
    assert paired_test([1.0, 1.0, 1.0]).p_value == 0.0 and paired_test([0.0, 0.0]).p_value == 1.0
    with pytest.raises(ValueError, match="two differences or more, but got 1"):
        paired_test([1.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_p_value_and_bonferroni(p_values: list[float]) -> None:
    """Adjusted p-values keep the order, are never below the p-value nor above Bonferroni's, and at most 1."""
    adjusted = holm(p_values)
    for p_value, found in zip(p_values, adjusted, strict=True):
        assert p_value - 1e-12 <= found <= min(1.0, len(p_values) * p_value) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


def test_holm_by_hand() -> None:
    """Three p-values as in the textbook: the smallest times three, the next times two, the rest as the largest."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_pairs_are_of_one_seed_and_one_accelerator() -> None:
    """A seed without its rival, and one on another card, are no pair; with fewer than two pairs nothing is decided."""
    rows = run_with((-0.05, -0.03, -0.06))
    rows[-1]["accelerator"] = "H100"
    (claim,) = claims_of(to_rows(make_tables(rows).trials))
    assert claim.test is not None and claim.test.difference.num == 2
    rows[-3]["accelerator"] = "H100"
    (claim,) = claims_of(to_rows(make_tables(rows).trials))
    assert claim.test is None and claim.p_value is None and not claim.is_decided


def test_several_copies_of_a_run_are_no_more_evidence() -> None:
    """A seed that is there twice is one pair, whatever the runs are loaded in."""
    rows = run_with((-0.05, 0.02, -0.06, -0.02, -0.04))
    again = [{**row, "sweep": "copy"} for row in rows]
    (once,), (twice,) = (claims_of(to_rows(make_tables(one).trials)) for one in (rows, rows + again))
    assert once.test is not None and twice.test is not None
    assert twice.test.p_value == pytest.approx(once.test.p_value) and twice.test.difference.num == 5
    other_data = [{**row, "data_sha256": "e" * 64} for row in rows]
    assert len(claims_of(to_rows(make_tables(rows + other_data).trials))) == 2
    unrivalled = [{**row, "confirm_against": None, "sweep": "first"} for row in rows]
    assert len(claims_of(to_rows(make_tables(unrivalled + rows).trials))) == 1


@pytest.mark.parametrize("change", [{"status": "diverged", "ce": None, "ce_test": None}, {"feasible": False}])
@pytest.mark.parametrize("place", [-1, -2])
def test_a_fresh_seed_that_is_lost_decides_nothing(change: dict[str, Any], place: int) -> None:
    """Of the config or of its rival: a mean of the others would be too good. The words say how many."""
    rows = run_with((-0.05, -0.03, -0.06, -0.02, -0.04))
    rows[place] |= change
    tables = make_tables(rows)
    (claim,) = claims_of(to_rows(tables.trials))
    assert claim.num_lost == 1 and not claim.is_decided
    said = "\n".join(conclusions(pareto_info(tables)))
    assert "not decided, as 1 fresh trial gave no score or broke a limit" in said


def test_a_rival_that_is_lost_is_not_called_absent() -> None:
    """All its fresh trials failed: the claim is there, and undecided."""
    rows = run_with((-0.05, -0.03))
    for row in rows:
        if row.get("stage") == "confirm" and row["recipe"] == "baseline":
            row |= {"status": "failed", "ce": None, "ce_test": None}
    said = "\n".join(conclusions(pareto_info(make_tables(rows))))
    assert "fewer than two pairs: as 2 fresh trials gave no score" in said and "nothing to claim" not in said


def test_confirmation_moves_no_front_and_no_mean() -> None:
    """Groups, their means and the front are those of the search alone; what was confirmed stands beside."""
    rows = run_with((-0.05, -0.03, -0.06, -0.02, -0.04))
    with_it, without = pareto_info(make_tables(rows)), pareto_info(make_tables(rows[:2]))
    for one, other in zip(with_it.groups, without.groups, strict=True):
        assert (one.ce, one.rank, one.feasible) == (other.ce, other.rank, other.feasible)
        assert one.confirmed is not None and one.confirmed.test.num == 5 and other.confirmed is None
    found = confirmed_configs(to_rows(make_tables(rows).trials))
    assert {config_id for config_id, _ in found} == {one.config_id for one in with_it.groups}
    assert json.loads(json.dumps(with_it.as_dict()))["claims"][0]["is_decided"] is True


def test_the_words_tell_what_was_confirmed_from_what_was_searched() -> None:
    """A headline is of confirmation, or says that there was none; a claim is decided, or not, at its level."""
    info = pareto_info(make_tables(run_with((-0.05, -0.03, -0.06, -0.02, -0.04))))
    assert "confirmed: " in headline(info) and "no choice has seen (5 fresh seeds)" in headline(info)
    text = "\n".join(conclusions(info))
    assert "p by Holm for one claim, level 0.05" in text and "better, p 0.004" in text and "(5 pairs, CPU" in text
    noisy = pareto_info(make_tables(run_with((-0.5, 0.4, -0.6, 0.5, 0.1))))
    assert "not decided, p " in "\n".join(conclusions(noisy))
    plain = pareto_info(make_tables(run_with(())))
    assert headline(plain).endswith("searched, not confirmed.")


def test_a_config_with_a_stopped_replicate_is_not_on_the_front() -> None:
    """The mean of its other seeds would be too good."""
    rows = [make_trial(seed=1, ce=3.0), make_trial(seed=2, ce=None, status="stopped_early", artifact_bytes=None)]
    info = pareto_info(make_tables([*rows, make_trial("selective", seed=1, ce=3.5)]))
    assert [group.recipe for group in info.front] == ["selective"]
    assert any("a replicate that was stopped early" in note for note in info.notes)
