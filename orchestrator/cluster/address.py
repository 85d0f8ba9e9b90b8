"""Addresses of a cluster: of the head as a user writes it, and of this machine as the head sees it."""

from __future__ import annotations

import socket

from orchestrator.cluster.ray_start import HEAD_PORT
from orchestrator.errors import UsageError

SECONDS_TO_CONNECT = 5.0
ANYWHERE = ("192.0.2.1", 9)  # reserved for documentation: nothing is sent, only the route is looked up


def head_address(text: str) -> tuple[str, int]:
    """HOST or HOST:PORT as host and port.

    Raises:
        UsageError: if the port is no number from 1 to 65535.
    """
    host, colon, port = text.removeprefix("ray://").rpartition(":")
    if not colon:
        return text, HEAD_PORT
    if not port.isdigit() or not 1 <= int(port) <= 65_535 or not host:
        raise UsageError(f"the head must be HOST or HOST:PORT, but got {text!r}")
    return host, int(port)


def own_address(host: str | None = None) -> str:
    """The address of this machine on the route to a host; without one, on the route to anywhere.

    Raises:
        UsageError: if the host has no address or there is no route.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, HEAD_PORT) if host else ANYWHERE)
            return str(probe.getsockname()[0])
    except OSError as error:
        if host is None:
            return "127.0.0.1"
        raise UsageError(f"{host}: no way there from this machine ({error.strerror or error})") from error


def require_answer(host: str, port: int) -> None:
    """Open a connection first: Ray itself takes minutes to notice that nothing answers.

    Raises:
        UsageError: if nothing answers.
    """
    try:
        socket.create_connection((host, port), timeout=SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise UsageError(
            f"nothing answers at {host}:{port} ({error.strerror or error}): is the head running, the port right, and "
            "open in its firewall?"
        ) from error
