from __future__ import annotations

from orchestrator.scheduling.retries import MAX_ATTEMPTS, SECONDS_TO_PAUSE, Retries


def test_a_trial_is_sent_out_again_until_its_attempts_are_used_up() -> None:
    """Each trial has attempts of its own; after the last one it is not retried."""
    retries = Retries()
    for _ in range(MAX_ATTEMPTS - 1):
        retries.started("a")
        assert not retries.is_exhausted("a")
    retries.started("a")
    assert retries.is_exhausted("a") and not retries.is_exhausted("b")


def test_a_kind_is_paused_for_a_while_after_a_death() -> None:
    """The pause of one kind ends by itself, a second death begins it again, and other kinds have none."""
    retries = Retries()
    assert retries.paused_kinds(0.0) == frozenset()
    retries.worker_died("A40", 100.0)
    assert retries.paused_kinds(100.0 + SECONDS_TO_PAUSE / 2) == {"A40"}
    assert retries.paused_kinds(100.0 + SECONDS_TO_PAUSE) == frozenset()
    retries.worker_died("A40", 200.0)
    retries.worker_died("H100", 200.0)
    assert retries.paused_kinds(201.0) == {"A40", "H100"}
