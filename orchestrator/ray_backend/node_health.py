"""Whether this node is alive in the eyes of its cluster's head."""

from __future__ import annotations

# Private, and without a like in Ray's public API: `ray health-check` asks the head alone, and finds a worker that is
# frozen in good health. Ray's version is pinned, and a test on a real cluster notices a change.
from ray._raylet import GcsClient  # type: ignore[attr-defined]

ALIVE = 0
SECONDS_TO_ANSWER = 5.0


def is_alive(head: str, address: str) -> bool:
    """Whether the head (HOST:PORT) lists a living node with this IP address.

    Raises:
        Exception: Ray's own, if no head answers.
    """
    nodes = GcsClient(address=head).get_all_node_info(timeout=SECONDS_TO_ANSWER)
    return any(node.state == ALIVE and node.node_manager_address == address for node in nodes.values())
