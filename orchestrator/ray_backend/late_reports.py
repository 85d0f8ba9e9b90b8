"""Sends the reports of a trial in a thread of its own, so that a driver that takes none holds up no step."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def sending_the_newest(send: Callable[[T], None]) -> Iterator[Callable[[T], None]]:
    """A function that takes a report and returns at once. When the block ends, it waits until the newest is sent.

    While `send` waits, a newer report takes the place of an older one: each holds all that is known of the trial.
    """
    newest: deque[T] = deque(maxlen=1)
    woken, ended = threading.Event(), threading.Event()

    def work() -> None:
        is_over = False
        while not is_over:
            woken.wait()
            woken.clear()
            is_over = ended.is_set()
            if newest:
                send(newest.popleft())

    def take(report: T) -> None:
        newest.append(report)
        woken.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield take
    finally:
        ended.set()
        woken.set()
        thread.join()
