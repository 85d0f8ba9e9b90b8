"""Errors that say the same are counted together."""

from __future__ import annotations

from typing import Any

from results.analysis.night.failures import failures, last_line


def row(number: int, status: str, error: str | None, accelerator: str | None = "H100") -> dict[str, Any]:
    return {"trial_id": f"t{number}", "status": status, "error": error, "accelerator": accelerator}


def test_equal_messages_are_one_row() -> None:
    """Numbers, addresses and ids in a message do not make it another; the most frequent comes first."""
    found = failures(
        [
            row(3, "failed", "Traceback\n  File x\nRuntimeError: worker 0x7f12 died at step 40\n\n", "A40"),
            row(2, "failed", "RuntimeError: worker 0x9911 died at step 7"),
            row(1, "diverged", "the loss is not finite at step 3"),
            row(4, "completed", None),
            row(5, "stopped_early", None),
            row(6, "failed", None, None),
            row(7, "failed", "RuntimeError: worker 3 died at step 9,000"),
        ]
    )
    assert [(one.status, one.num_trials, one.example) for one in found] == [
        ("failed", 3, "t2"),
        ("diverged", 1, "t1"),
        ("failed", 1, "t6"),
    ]
    assert found[0].error == "RuntimeError: worker 0x9911 died at step 7" and found[0].accelerators == ("A40", "H100")
    assert found[2].error == "–" and found[2].accelerators == ()


def test_the_last_line_is_cut() -> None:
    """A message of a megabyte takes one line."""
    assert last_line("first\n" + "x" * 1_000_000) == "x" * 299 + "…"
    assert last_line("   \n\n") == last_line(None) == "–"


def test_nothing_failed() -> None:
    """No row."""
    assert failures([row(1, "completed", None)]) == failures([]) == []
