"""What is refused before training: the rule at its edges, and what it says."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import tiny_sweep

from orchestrator.scheduling.admission import fits_surely, refusal, refusals, same_refusal
from orchestrator.search.planner import plan
from search_spaces.spec.sweep_spec import Constraint
from trainer.artifact.code_size import code_bytes
from trainer.artifact.size_bounds import Bounds, byte_bounds
from trainer.config.trial import TrialConfig

CONFIG = TrialConfig.model_validate({"model": {"num_layers": 12, "dim": 384, "num_heads": 6}})
BOUNDS = byte_bounds(CONFIG)
EXPECTED = BOUNDS.expected_bytes
BESIDE = {"artifact_bytes": 0, "total_bytes": code_bytes()}
WITH_CODE = {"artifact_bytes": "", "total_bytes": " with its code"}


def at_most(limit: float, column: str = "artifact_bytes") -> Constraint:
    return Constraint(column, "<=", limit)


@pytest.mark.parametrize("column", BESIDE)
def test_the_certain_bound_at_its_edge(column: str) -> None:
    """Without the estimate only a limit below the smallest possible artifact refuses; one equal to it does not."""
    smallest = BOUNDS.lower_bytes + BESIDE[column]
    assert refusal(CONFIG, [at_most(smallest, column)], None) is None
    refused = refusal(CONFIG, [at_most(smallest - 1, column)], None)
    assert refused == (
        f"at least {smallest:,} bytes{WITH_CODE[column]} whatever its weights, limit {column} <= {smallest - 1:,}; "
        "only a higher limit admits it"
    )


@pytest.mark.parametrize("column", BESIDE)
@pytest.mark.parametrize("ratio", [1, 2, 2.5])
def test_the_estimate_at_its_edge(column: str, ratio: float) -> None:
    """Exactly `max_expected_ratio` times the limit is admitted, a hair more is refused; null admits both."""
    limit = (EXPECTED + BESIDE[column]) / ratio
    assert refusal(CONFIG, [at_most(limit, column)], ratio) is None
    assert refusal(CONFIG, [at_most(limit * 0.999999, column)], ratio) is not None
    assert refusal(CONFIG, [at_most(limit * 0.999999, column)], None) is None


def test_a_refusal_names_the_numbers_the_limit_and_the_way_around_it() -> None:
    """A reader of the row learns what was expected, what is certain, which limit breaks, and how to train it anyway."""
    refused = refusal(CONFIG, [Constraint("ce", "<=", 0.1), at_most(8_000_000, "total_bytes")], 2.0)
    assert refused == (
        "expected about 16.8 MB with its code (at most 18.2 MB), more than 2 times the limit total_bytes <= 8,000,000; "
        "admission: {max_expected_ratio: null} trains it anyway"
    )


@pytest.mark.parametrize(
    "constraints",
    [
        [],
        [Constraint("artifact_bytes", ">=", 1e12)],
        [Constraint("ce", "<=", 0.0), Constraint("peak_memory_bytes", "<=", 1)],
    ],
    ids=["none", "lower limit", "other columns"],
)
def test_only_upper_limits_on_bytes_refuse(constraints: list[Constraint]) -> None:
    """Lower limits, and limits on what training alone can tell, refuse nothing."""
    assert refusal(CONFIG, constraints, 1.0) is None


def test_the_certain_reason_is_told_first() -> None:
    """Of several broken limits the one that no setting gets around is named, wherever it stands."""
    limits = [at_most(1_000_000), at_most(10, "total_bytes")]
    for constraints in (limits, limits[::-1]):
        assert "limit total_bytes <= 10; only a higher limit" in (refusal(CONFIG, constraints, 2.0) or "")
    kept = [at_most(10**9), at_most(1_000_000, "total_bytes")]
    assert "the limit total_bytes <= 1,000,000;" in (refusal(CONFIG, kept, 2.0) or "")


limits = st.floats(min_value=0, max_value=1e8) | st.sampled_from([BOUNDS.lower_bytes, EXPECTED, BOUNDS.upper_bytes])
ratios = st.none() | st.floats(min_value=1, max_value=1e3)


@given(limit=limits, more=st.floats(min_value=1, max_value=100), ratio=ratios, column=st.sampled_from(sorted(BESIDE)))
def test_a_wider_rule_refuses_no_more(limit: float, more: float, ratio: float | None, column: str) -> None:
    """What a limit and ratio admit, a higher limit, a higher ratio and none at all admit too; what surely fits, all."""
    bound = at_most(limit, column)
    if refusal(CONFIG, [bound], ratio) is None:
        assert refusal(CONFIG, [at_most(limit * more, column)], ratio) is None
        assert refusal(CONFIG, [bound], None if ratio is None else ratio * more) is None
        assert refusal(CONFIG, [bound], None) is None
    if fits_surely(BOUNDS, [bound]):
        assert refusal(CONFIG, [bound], ratio) is None


@given(st.lists(limits.map(at_most), max_size=3), ratios)
def test_every_limit_must_admit(constraints: list[Constraint], ratio: float | None) -> None:
    """Several limits admit exactly what each of them admits."""
    alone = [refusal(CONFIG, [constraint], ratio) is None for constraint in constraints]
    assert (refusal(CONFIG, constraints, ratio) is None) == all(alone)


def test_surely_is_at_the_upper_bound() -> None:
    """A config surely fits when its largest artifact, with the code where that counts, equals the limit."""
    bounds = Bounds(lower_bytes=10, expected_bytes=15, upper_bytes=20)
    assert fits_surely(bounds, [at_most(20), at_most(20 + code_bytes(), "total_bytes")])
    assert not fits_surely(bounds, [at_most(19)]) and not fits_surely(bounds, [at_most(20, "total_bytes")])


def test_replicates_share_one_answer(tmp_path: Path) -> None:
    """Refusals are by config: each holds for all seeds, and an admitted config has none."""
    widths = {"model": {"choice": [{"dim": 32}, {"dim": 256}]}}
    spec = tiny_sweep(tmp_path, constraints=["artifact_bytes <= 50_000"], space=widths, seeds=[1, 10**6])
    trials = plan(spec)
    assert list(refusals(trials, spec)) == [trials[2].config.config_id] == [trials[3].config.config_id]
    generous = dataclasses.replace(spec, admission=spec.admission.model_copy(update={"max_expected_ratio": None}))
    assert refusals(trials, generous) == {}


def test_it_needs_neither_ray_nor_torch() -> None:
    """Admission is decided without loading torch, ray, numpy or pandas."""
    code = (
        "import sys, orchestrator.scheduling.admission as a\nfrom trainer.config.trial import TrialConfig\n"
        "from search_spaces.spec.sweep_spec import Constraint\n"
        "assert a.refusal(TrialConfig(), [Constraint('total_bytes', '<=', 1e5)], 2.0)\n"
        "print([m for m in ('torch', 'ray', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_reason_stands_whatever_the_code_weighs() -> None:
    """Sizes count the scoring code of their day: only another rule, limit or ratio makes another reason."""
    reason = (
        "expected about 1.4 MB with its code (at most 1.5 MB), more than 1.2 times the limit total_bytes <= 60,000; "
        "admission: {max_expected_ratio: null} trains it anyway"
    )
    assert same_refusal(reason, reason.replace("1.4 MB", "987.6 kB").replace("1.5 MB", "1.6 MB"))
    for other in (reason.replace("60,000", "61,000"), reason.replace("1.2 times", "1.3 times"), None):
        assert not same_refusal(reason, other)
    certain = "at least 1,234 bytes whatever its weights, limit artifact_bytes <= 100; only a higher limit admits it"
    assert same_refusal(certain, certain.replace("1,234", "999")) and not same_refusal(certain, reason)
