"""The sweep file that a user copies for a night."""

from __future__ import annotations

from pathlib import Path

from orchestrator.search import planner
from search_spaces.spec.load import load_sweep
from trainer.artifact.size_bounds import roughly_expected_bytes

FILE = Path(__file__).parents[2] / "search_spaces" / "overnight.yaml"


def test_it_has_all_that_a_night_needs() -> None:
    """Adaptive search, early stopping, replicates near the front, confirmation, hours, dollars and prices."""
    spec = load_sweep(FILE)
    assert spec.is_adaptive and spec.stopping == "best_case" and spec.replicating == "near_front"
    assert (
        spec.num_confirmed > 0 and spec.budget.hours and spec.budget.usd and set(spec.prices) == {"H100", "A40", "CPU"}
    )


def test_its_space_lies_around_the_limit() -> None:
    """Some configs are expected below 16,000,000 bytes and some above: there is something to search."""
    configs = [trial.config for trial in planner.examples(load_sweep(FILE))]
    sizes = [roughly_expected_bytes(config) for config in configs]
    assert min(sizes) < 16_000_000 < max(sizes) and len({config.recipe for config in configs}) == 3
