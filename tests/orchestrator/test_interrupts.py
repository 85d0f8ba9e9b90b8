"""Ctrl-C and SIGTERM: once asks, twice leaves."""

from __future__ import annotations

import signal

import pytest

from orchestrator.interrupts import on_interrupt


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_asks_and_two_leave(first: signal.Signals, second: signal.Signals) -> None:
    """Whichever they are; afterwards the handlers are what they were."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    asked: list[str] = []
    with on_interrupt(lambda: asked.append("end")):
        signal.raise_signal(first)
        assert asked == ["end"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
    assert asked == ["end"] and [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
