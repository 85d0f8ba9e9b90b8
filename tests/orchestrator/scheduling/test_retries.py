from __future__ import annotations

from orchestrator.scheduling.retries import MAX_BUSY, MAX_DEATHS, MAX_HANGS, SECONDS_TO_PAUSE, Retries


def test_a_trial_is_sent_out_again_until_its_deaths_are_used_up() -> None:
    """Each trial has deaths of its own; after the last one it is not sent out again."""
    retries = Retries()
    for _ in range(MAX_DEATHS - 1):
        assert retries.worker_died("a", "CPU", 0.0)
    assert not retries.worker_died("a", "CPU", 0.0)
    assert retries.worker_died("b", "CPU", 0.0)


def test_a_trial_that_hangs_is_sent_out_again_once() -> None:
    """Hangs are counted apart from deaths."""
    retries = Retries()
    assert [retries.hung("a") for _ in range(MAX_HANGS)] == [True, False]
    assert retries.worker_died("a", "CPU", 0.0)


def test_a_folder_in_use_is_tried_some_times() -> None:
    """Its owner may be a worker that is about to end."""
    retries = Retries()
    assert [retries.found_busy("a") for _ in range(MAX_BUSY)] == [True] * (MAX_BUSY - 1) + [False]


def test_a_kind_is_paused_for_a_while_after_a_death() -> None:
    """The pause of one kind ends by itself, a second death begins it again, and other kinds have none."""
    retries = Retries()
    assert retries.paused_kinds(0.0) == frozenset()
    retries.worker_died("a", "A40", 100.0)
    assert retries.paused_kinds(100.0 + SECONDS_TO_PAUSE / 2) == {"A40"}
    assert retries.paused_kinds(100.0 + SECONDS_TO_PAUSE) == frozenset()
    retries.worker_died("a", "A40", 200.0)
    retries.worker_died("b", "H100", 200.0)
    assert retries.paused_kinds(201.0) == {"A40", "H100"}


def test_a_trial_that_ran_out_of_memory_goes_once_to_devices_with_more() -> None:
    """And on those alone; where none has more, and the second time, its row stands."""
    retries = Retries()
    assert not retries.ran_out_of_memory("a", ()) and retries.kinds_of("a") is None
    assert retries.ran_out_of_memory("a", ["H100", "H200"]) and retries.kinds_of("a") == {"H100", "H200"}
    assert not retries.ran_out_of_memory("a", ["H200"]) and retries.kinds_of("a") == {"H100", "H200"}
    assert retries.kinds_of("b") is None and retries.ran_out_of_memory("b", ["H200"])
    retries.forget("a")
    assert retries.kinds_of("a") is None
