from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.submission.choose import best_trial, chosen_row, group_of
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.replicate_groups import to_rows
from results.tables.load import from_arrow
from results.tables.schema import trials_table


def trial(name: str, seed: int, ce: float, total_bytes: int, data_sha256: str = "d" * 64) -> dict[str, Any]:
    return {
        "sweep": "demo",
        "trial_id": f"{name}-s{seed}",
        "config_id": name,
        "seed": seed,
        "recipe": "selective",
        "data": "text",
        "data_sha256": data_sha256,
        "status": "completed",
        "accelerator": "CPU",
        "ce": ce,
        "artifact_bytes": total_bytes - 50,
        "total_bytes": total_bytes,
        "cfg_model_dim": len(name),
    }


def info_of(*rows: dict[str, Any]) -> ParetoInfo:
    return pareto_info(from_arrow(trials_table(rows)))


def test_the_lowest_seed_of_the_best_config() -> None:
    """Least mean CE among configs within the limit; of its seeds the lowest, not the one with the best score."""
    info = info_of(
        *(trial("a", seed, 3.0, 1_000) for seed in (1, 2)),
        *(trial("bb", seed, ce, 2_000) for seed, ce in ((7, 2.9), (3, 2.5), (5, 2.1))),
        *(trial("ccc", seed, 1.0, 20_000_000) for seed in (1, 2)),
    )
    assert best_trial(info) == "bb-s3"


def test_nothing_is_taken_where_nothing_compares() -> None:
    """Without a config within the limit, or with two texts, a trial must be named."""
    with pytest.raises(UsageError, match="no completed config keeps the limits"):
        best_trial(info_of(trial("a", 1, 3.0, 20_000_000)))
    with pytest.raises(UsageError, match="several texts"):
        best_trial(info_of(trial("a", 1, 3.0, 1_000), trial("bb", 1, 2.0, 1_000, "e" * 64)))


def test_a_whole_id_is_found_though_others_begin_with_it() -> None:
    """`a-s1` is that trial, also beside `a-s11`; a beginning of both is refused, and what is near is named."""
    rows = to_rows(from_arrow(trials_table([trial("a", 1, 3.0, 1_000), trial("a", 11, 3.0, 1_000)])).trials)
    assert chosen_row(rows, "a-s1")["seed"] == 1
    with pytest.raises(UsageError, match="2 trials begin with a-s: a-s1, a-s11"):
        chosen_row(rows, "a-s")
    with pytest.raises(UsageError, match="there is no trial a-s12; did you mean a-s1 or a-s11"):
        chosen_row(rows, "a-s12")
    with pytest.raises(UsageError, match="there is no trial zzz; there are a-s1, a-s11"):
        chosen_row(rows, "zzz")


def test_the_config_is_that_of_the_same_text() -> None:
    """A config on two texts is two groups: a trial belongs to the one of its own."""
    info = info_of(trial("a", 1, 3.0, 1_000), trial("a", 1, 2.0, 1_000, "e" * 64))
    found = group_of(info, {"config_id": "a", "data_sha256": "e" * 64})
    assert found is not None and found.ce.mean == 2.0
    assert group_of(info, {"config_id": "b", "data_sha256": "e" * 64}) is None
