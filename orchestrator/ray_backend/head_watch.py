"""Watches whether the head of the cluster (Ray's GCS) answers, and whether it is still the same.

Ray itself says nothing for a minute and then ends the process with a message of its own. A head that was started again
knows nothing of this sweep: what waits for it waits for ever.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

# A head that was started again must be noticed before a call of Ray's that waits for it is: that ends the process.
SECONDS_BETWEEN_LOOKS = 0.25
SECONDS_TO_CONNECT = 2.0
# A head on this machine is dead when it does not answer; another machine's network may come back.
SECONDS_OF_SILENCE_EMBEDDED = 5.0
SECONDS_OF_SILENCE_CLUSTER = 90.0


class HeadWatch:
    """Calls `on_loss` once, with a line of text, when `address` (HOST:PORT) has not answered for `limit_seconds`, or
    when another head answers there. `look` is called every `SECONDS_BETWEEN_LOOKS`.

    Args:
        is_same: asks a head that answers again whether it is the one of before; any exception: it cannot say yet.
    """

    def __init__(
        self, address: str, limit_seconds: float, on_loss: Callable[[str], None], is_same: Callable[[], bool]
    ) -> None:
        self.address, self.limit_seconds, self.on_loss, self.is_same = address, limit_seconds, on_loss, is_same
        self._answered = time.monotonic()
        self._is_silent = self._is_lost = False

    @property
    def is_silent(self) -> bool:
        """Whether the head did not answer when it was last looked at, or is another one."""
        return self._is_silent

    def look(self) -> None:
        """See whether the head answers now."""
        now = time.monotonic()
        if not answers(self.address):
            self._is_silent = True
        elif not self._is_silent:
            self._answered = now
        else:
            with suppress(Exception):  # it is starting
                if self.is_same():
                    self._answered, self._is_silent = now, False
                else:
                    self._lose("was started again, and knows nothing of this sweep")
        if now - self._answered >= self.limit_seconds:
            self._lose(f"has not answered for {now - self._answered:.0f} s")

    def _lose(self, what: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            end = "Nothing finished is lost: the same command goes on"
            self.on_loss(f"the head of the Ray cluster at {self.address} {what}. {end}")


def answers(address: str) -> bool:
    """Whether something accepts connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_CONNECT).close()
    except OSError:
        return False
    return True
