"""Watches whether the head of the cluster (Ray's GCS) answers.

Ray itself says nothing for a minute and then ends the process with a message of its own.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_CONNECT = 2.0
# A head on this machine is dead when it does not answer; another machine's network may come back.
SECONDS_OF_SILENCE_EMBEDDED = 5.0
SECONDS_OF_SILENCE_CLUSTER = 90.0


class HeadWatch:
    """Calls `on_loss` once, with a line of text, when `address` (HOST:PORT) has not answered for `limit_seconds`.

    `look` is called once a second.
    """

    def __init__(self, address: str, limit_seconds: float, on_loss: Callable[[str], None]) -> None:
        self.address, self.limit_seconds, self.on_loss = address, limit_seconds, on_loss
        self._answered = time.monotonic()
        self._is_lost = False

    def look(self) -> None:
        """See whether the head answers now."""
        now = time.monotonic()
        if answers(self.address):
            self._answered = now
        elif now - self._answered >= self.limit_seconds and not self._is_lost:
            self._is_lost = True
            self.on_loss(
                f"the head of the Ray cluster at {self.address} has not answered for {now - self._answered:.0f} s. "
                "Nothing finished is lost: the same command goes on"
            )


def answers(address: str) -> bool:
    """Whether something accepts connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_CONNECT).close()
    except OSError:
        return False
    return True
