"""Admission: whether a config can keep the byte budget, decided from its shapes before training.

Two rules, and only upper limits (`<=`) on `artifact_bytes` and `total_bytes` count. A trial whose smallest possible
artifact breaks a limit is refused for certain. One that is expected at more than `max_expected_ratio` times a limit is
refused by the estimate, which trained artifacts come within some per cent of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sweep_spec import Constraint, SweepSpec
from trainer.artifact.code_size import code_bytes
from trainer.artifact.size_bounds import Bounds, byte_bounds, roughly_most_bytes
from trainer.config.trial import TrialConfig

# The sizes in a reason, but not those of its limit.
_SIZE = re.compile(r"\b(at least|expected about|at most) [\d.,]+ (bytes|[kM]B)")

# What a column counts beside the artifact.
_BESIDE: dict[str, Callable[[], int]] = {"artifact_bytes": lambda: 0, "total_bytes": code_bytes}


def refusals(trials: Iterable[PlannedTrial], spec: SweepSpec) -> dict[str, str]:
    """Why trials are not to be trained, by config_id; configs that are admitted are not in it.

    One answer for all replicates: they differ by the digits of their seed, a few bytes of header at most.
    """
    configs: dict[str, TrialConfig] = {}
    for trial in trials:
        configs.setdefault(trial.config.config_id, trial.config)
    answers = {
        config_id: refusal(config, spec.constraints, spec.admission.max_expected_ratio)
        for config_id, config in configs.items()
    }
    return {config_id: answer for config_id, answer in answers.items() if answer is not None}


def refusal(config: TrialConfig, constraints: Iterable[Constraint], max_expected_ratio: float | None) -> str | None:
    """Why a config is not to be trained, with its numbers, the limit and what would admit it; None if it is admitted.

    Args:
        max_expected_ratio: at least 1; None leaves the estimate out, so that only the certain bound counts.
    """
    limits = byte_limits(constraints)
    if not limits:
        return None
    if all(limit.holds(roughly_most_bytes(config) + bytes_beside(limit)) for limit in limits):
        return None
    bounds = byte_bounds(config)
    unsure = [limit for limit in limits if not limit.holds(bounds.upper_bytes + bytes_beside(limit))]
    certain = next((limit for limit in unsure if not limit.holds(bounds.lower_bytes + bytes_beside(limit))), None)
    if certain is not None:
        return (
            f"at least {bounds.lower_bytes + bytes_beside(certain):,} bytes{_with_code(certain)} whatever its weights, "
            f"limit {_shown(certain)}; only a higher limit admits it"
        )
    if max_expected_ratio is None or not unsure:
        return None
    return _beyond_expectation(bounds, unsure, max_expected_ratio)


def same_refusal(one: str | None, other: str | None) -> bool:
    """Whether two reasons name the same rule and limit; their sizes may differ, as they count the code of their day."""
    return one is not None and other is not None and _SIZE.sub("", one) == _SIZE.sub("", other)


def fits_surely(bounds: Bounds, constraints: Iterable[Constraint]) -> bool:
    """Whether every artifact within these bounds keeps every limit in bytes."""
    return all(limit.holds(bounds.upper_bytes + bytes_beside(limit)) for limit in byte_limits(constraints))


def byte_limits(constraints: Iterable[Constraint]) -> list[Constraint]:
    """The constraints that admission can judge: upper limits on bytes."""
    return [one for one in constraints if one.op == "<=" and one.column in _BESIDE]


def expected_violations(config: TrialConfig, limits: Iterable[Constraint]) -> dict[str, float]:
    """By limit in bytes, the excess of the expected size over it, relative to it: above 0 where it is broken."""
    expected = byte_bounds(config).expected_bytes
    return {str(limit): (expected + bytes_beside(limit)) / limit.bound - 1 for limit in limits}


def _beyond_expectation(bounds: Bounds, limits: Iterable[Constraint], max_expected_ratio: float) -> str | None:
    for limit in limits:
        expected, beside = bounds.expected_bytes, bytes_beside(limit)
        if expected + beside > max_expected_ratio * limit.bound:
            return (
                f"expected about {_size(expected + beside)}{_with_code(limit)} "
                f"(at most {_size(bounds.upper_bytes + beside)}), more than {max_expected_ratio:g} times "
                f"the limit {_shown(limit)}; admission: {{max_expected_ratio: null}} trains it anyway"
            )
    return None


def bytes_beside(limit: Constraint) -> int:
    """What a limited column counts beside the artifact: nothing, or the code."""
    return _BESIDE[limit.column]()


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.1f} kB"


def _with_code(limit: Constraint) -> str:
    return " with its code" if limit.column == "total_bytes" else ""


def _shown(limit: Constraint) -> str:
    return f"{limit.column} {limit.op} {limit.bound:,.12g}"
