"""A link to a file server that loses calls and answers, as networks do."""

from __future__ import annotations

import random
from typing import Any

from orchestrator.store.file_server import FileServer, NotReached


class FaultyLink:
    """Calls a server; of some calls the question is lost, of others the answer.

    Args:
        lost: share of the calls that get no answer.
    """

    def __init__(self, server: FileServer, lost: float = 0.0, seed: int = 0) -> None:
        self.server, self.lost, self.random = server, lost, random.Random(seed)
        self.is_cut = False
        self.calls: list[str] = []

    def __call__(self, method: str, *arguments: Any) -> Any:
        if self.is_cut or self.random.random() < self.lost / 2:
            raise NotReached("the question is lost")
        answer = getattr(self.server, method)(*arguments)
        self.calls.append(method)
        if self.random.random() < self.lost / 2:
            raise NotReached("the answer is lost")
        return answer


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
