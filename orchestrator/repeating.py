"""Calls a function again and again, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(function: Callable[[], None], every_seconds: float) -> Iterator[None]:
    """Call `function` at once and then every so many seconds, until the block ends. It must not raise."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            function()
            ended.wait(every_seconds)

    threading.Thread(target=repeat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
