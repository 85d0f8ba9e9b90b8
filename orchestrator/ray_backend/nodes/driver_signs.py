"""What drivers tell workers that may end their machines: that they are at work, and how they ended.

Each run has a key in the store of the head, with a value that is another one at each beat. Ray forgets them when the
head is started again.

`python -m orchestrator.ray_backend.nodes.driver_signs HEAD ADDRESS PORT` is the reader that `HeadLine` asks: it answers
each line by one, and ends when its parent does, or when the head does not answer.
"""

from __future__ import annotations

import json
import platform
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# see `node_health`
from ray._raylet import GcsClient  # type: ignore[attr-defined]

from orchestrator.errors import UsageError
from orchestrator.ray_backend.nodes.node_health import ALIVE, SECONDS_TO_ANSWER
from orchestrator.repeating import repeating

NAMESPACE = b"frostline"
PREFIX = b"driver:"
SECONDS_BETWEEN_BEATS = 5.0


class DriverSigns:
    """Writes what one driver says. A head that does not answer is no reason to end a sweep: the next beat tries again.

    Args:
        head: HOST:PORT.
        run_folder: of which there is one driver at a time.
    """

    def __init__(self, head: str, run_folder: Path) -> None:
        self.head, self.session, self.num_beats = head, uuid.uuid4().hex, 0
        self.key = PREFIX + f"{platform.node()}:{run_folder}".encode()
        self._client: Any = None
        self._has_ended = False
        self._one_at_a_time = threading.Lock()  # no beat comes after the end

    def beat(self) -> None:
        """Say that this driver is at work."""
        with self._one_at_a_time, suppress(Exception):
            if not self._has_ended:
                self.num_beats += 1
                self._write(None)

    def end(self, end: str | None) -> None:
        """Say how the sweep ended; of one that its user ended (None), nothing is left."""
        with self._one_at_a_time, suppress(Exception):
            self._has_ended = True
            if end is None:
                self._connected().internal_kv_del(self.key, False, NAMESPACE, timeout=SECONDS_TO_ANSWER)
            else:
                self._write(end)

    def _write(self, end: str | None) -> None:
        value = json.dumps({"beat": f"{self.session}:{self.num_beats}", "end": end})
        self._connected().internal_kv_put(self.key, value.encode(), True, NAMESPACE, timeout=SECONDS_TO_ANSWER)

    def _connected(self) -> Any:
        self._client = self._client or GcsClient(address=self.head)
        return self._client


@contextmanager
def saying_at_work(signs: DriverSigns, end_of: Callable[[], str | None]) -> Iterator[None]:
    """Beat while the block runs, and say at its end how the sweep ended: as `end_of` says, after an error `failed`.

    Of a sweep that was refused, or that its user ended, nothing is left.
    """
    end: str | None = "failed"
    try:
        with repeating(signs.beat, SECONDS_BETWEEN_BEATS):
            yield
        end = end_of()
    except (UsageError, KeyboardInterrupt):
        end = None
        raise
    finally:
        signs.end(end)


def answer(client: Any, node: tuple[str, int]) -> dict[str, Any]:
    """What drivers wrote, and whether the head lists a living node whose manager has this address and port.

    Raises:
        Exception: Ray's own, if the head does not answer or was started again.
    """
    keys = client.internal_kv_keys(PREFIX, NAMESPACE, timeout=SECONDS_TO_ANSWER)
    values = client.internal_kv_multi_get(keys, NAMESPACE, timeout=SECONDS_TO_ANSWER) if keys else {}
    signs = {key.decode(): sign for key, value in values.items() if (sign := sign_of(value)) is not None}
    nodes = client.get_all_node_info(timeout=SECONDS_TO_ANSWER).values()
    here = [(one.node_manager_address, one.node_manager_port) for one in nodes if one.state == ALIVE]
    return {"drivers": signs, "is_member": node in here}


def sign_of(value: bytes) -> dict[str, str | None] | None:
    """What a driver wrote; None of what nobody here understands: it must end no machine."""
    try:
        found = json.loads(value)
        beat, end = found["beat"], found["end"]
    except (ValueError, TypeError, KeyError):
        return None
    return {"beat": str(beat), "end": None if end is None else str(end)}


def main(head: str, address: str, port: str) -> None:
    """Answer each line of the standard input by one line of JSON."""
    client = GcsClient(address=head)
    for _ in sys.stdin:
        print(json.dumps(answer(client, (address, int(port)))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
