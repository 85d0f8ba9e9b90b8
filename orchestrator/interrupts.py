"""Ctrl-C and SIGTERM: once asks for an end at a checkpoint, twice leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_interrupt(ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` at the first signal; the second raises KeyboardInterrupt. Call it in the main thread."""
    num_signals = 0

    def interrupted(number: int, frame: object) -> None:
        nonlocal num_signals
        num_signals += 1
        if num_signals > 1:
            raise KeyboardInterrupt
        ask()

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
