"""Reports that are sent beside the training."""

from __future__ import annotations

import threading

from orchestrator.ray_backend.late_reports import sending_the_newest


def test_a_driver_that_takes_no_report_holds_up_nothing() -> None:
    """Reports return at once while one is stuck; when it has gone, the newest of the others follows, and no other."""
    stuck, begun = threading.Event(), threading.Event()
    sent: list[int] = []

    def send(report: int) -> None:
        begun.set()
        stuck.wait()
        sent.append(report)

    with sending_the_newest(send) as report:
        report(1)
        begun.wait()
        for step in range(2, 100):
            report(step)
        assert sent == []
        stuck.set()
    assert sent == [1, 99]


def test_the_last_report_is_sent_before_the_block_ends() -> None:
    """Also where nothing was reported, the block ends."""
    sent: list[int] = []
    with sending_the_newest(sent.append) as report:
        report(7)
    assert sent == [7]
    with sending_the_newest(sent.append):
        pass
    assert sent == [7]
