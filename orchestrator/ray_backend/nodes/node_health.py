"""What a cluster's head says at once: whether it knows a node, alive or not, and whether it takes this token."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

# Private, and without a like in Ray's public API: `ray health-check` asks the head alone, and finds a worker that is
# frozen in good health. Ray's version is pinned, and a test on a real cluster notices a change.
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError

from orchestrator.errors import UsageError

ALIVE = 0
SECONDS_TO_ANSWER = 5.0


def is_alive(head: str, address: str) -> bool:
    """Whether the head (HOST:PORT) lists a living node with this IP address.

    Raises:
        Exception: Ray's own, if no head answers.
    """
    nodes = GcsClient(address=head).get_all_node_info(timeout=SECONDS_TO_ANSWER)
    return any(node.state == ALIVE and node.node_manager_address == address for node in nodes.values())


def knows_node(head: str, node_id: str) -> bool:
    """Whether the head (HOST:PORT) lists a node, alive or dead. One that was started again lists none of before.

    Raises:
        Exception: Ray's own, if no head answers.
    """
    return node_id in {node.hex() for node in GcsClient(address=head).get_all_node_info(timeout=SECONDS_TO_ANSWER)}


def require_right_token(head: str) -> None:
    """Ask the head (HOST:PORT) for anything: `ray.init` repeats for minutes what a head refuses.

    Raises:
        UsageError: if it refuses the token.
    """
    try:
        with _silent_stderr():
            GcsClient(address=head)
    except AuthenticationError as error:
        raise UsageError(
            f"the cluster at {head} refuses the token: use the head's own, by --token-file, RAY_AUTH_TOKEN_PATH or "
            "RAY_AUTH_TOKEN"
        ) from error
    except (RayError, RuntimeError, OSError):
        return  # what it is, `ray.init` will say


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what Ray's C++ part writes beside the error that it raises from the terminal."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
