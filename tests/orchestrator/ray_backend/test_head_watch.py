"""Whether the head of a cluster answers is noticed in seconds; a head that comes back in time is forgiven."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from orchestrator.ray_backend.head_watch import HeadWatch, answers
from orchestrator.repeating import repeating


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is free, and stays so for the test."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        number = int(holder.getsockname()[1])
    yield number


def listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=128)


def test_a_head_that_is_gone_is_told_once(port: int) -> None:
    """After the limit the driver is told, with the address."""
    said: list[str] = []
    told = threading.Event()

    def lost(text: str) -> None:
        said.append(text)
        told.set()

    head = listen(port)
    with repeating(HeadWatch(f"127.0.0.1:{port}", 0.2, lost, lambda: True).look, 0.02):
        assert not told.wait(0.5)
        head.close()
        assert told.wait(10)
    assert len(said) == 1 and f"127.0.0.1:{port} has not answered" in said[0]


def test_a_head_that_comes_back_is_forgiven(port: int) -> None:
    """A network that restarts within the limit ends nothing."""
    told = threading.Event()
    listen(port).close()
    with repeating(HeadWatch(f"127.0.0.1:{port}", 30.0, lambda text: told.set(), lambda: True).look, 0.02):
        assert not told.wait(0.3)
        with listen(port):
            assert answers(f"127.0.0.1:{port}") and not told.wait(0.3)


def test_another_head_at_the_address_is_a_loss(port: int) -> None:
    """A head that was started again is told as soon as it can say that it is another one; until then it is starting."""
    said: list[str] = []
    answers_of_head = iter([RuntimeError("starting"), False, False])

    def is_same() -> bool:
        answer = next(answers_of_head)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = HeadWatch(f"127.0.0.1:{port}", 30.0, said.append, is_same)
    with listen(port):
        watch.look()
    watch.look()
    with listen(port):
        watch.look()
        assert said == []
        watch.look()
        watch.look()
    [line] = said
    assert "was started again" in line and line.endswith("the same command goes on")


def test_the_end_of_a_sweep_is_no_loss(port: int) -> None:
    """Ray is stopped after the watch has ended: that is no loss of the head."""
    told = threading.Event()
    with repeating(HeadWatch(f"127.0.0.1:{port}", 0.3, lambda text: told.set(), lambda: True).look, 0.02):
        pass
    assert not told.wait(0.6)
