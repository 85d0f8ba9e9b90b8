"""The one sentence of a run."""

from __future__ import annotations

from trial_builder import make_tables, make_trial

from results.analysis.pareto_info import pareto_info
from results.report.formatting import headline


def test_the_best_is_named_by_the_loss_that_is_an_objective() -> None:
    """In a search for bits per byte the best config has the fewest of them, and not the least loss per token."""
    tables = make_tables([make_trial(layers=2, ce=4.0, bpb=1.5), make_trial(layers=3, ce=3.0, bpb=2.0)])
    by_bpb = pareto_info(tables, {"bpb": "min", "artifact_bytes": "min"})
    assert headline(by_bpb).startswith(
        "Best bpb under total_bytes <= 16,000,000: baseline 2L192d, bpb 1.5000 bits/byte"
    )
    by_ce = pareto_info(tables)
    assert headline(by_ce).startswith("Best CE under total_bytes <= 16,000,000: baseline 3L192d, CE 3.0000 nats/token")
