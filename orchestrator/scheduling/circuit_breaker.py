"""A circuit breaker: equal failures in a row pause the node or recipe that they have in common, or the sweep. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from typing import Literal

FAILURES_IN_A_ROW = 5

Scope = Literal["node", "recipe", "sweep"]

_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")


@dataclasses.dataclass(frozen=True)
class Pause:
    """What is paused from now on, and why."""

    scope: Scope
    name: str
    error: str

    def text(self) -> str:
        what = "the sweep" if self.scope == "sweep" else f"{self.scope} {self.name}"
        return f"{what} is paused after {FAILURES_IN_A_ROW} equal failures in a row: {self.error}"


class CircuitBreaker:
    """Follows the ends of trials. Failures are equal if their messages differ in numbers alone."""

    def __init__(self) -> None:
        self._streaks: dict[tuple[Scope, str], tuple[str, int]] = {}

    def succeeded(self, *, node: str, recipe: str) -> None:
        """A trial ended without failing: what it ran on and with works."""
        for key in _keys(node, recipe):
            self._streaks.pop(key, None)

    def failed(
        self, error: str, *, node: str, recipe: str, nodes: Collection[str], recipes: Collection[str]
    ) -> Pause | None:
        """Count a failure.

        Args:
            nodes, recipes: those that trials could still use.

        Returns:
            The narrowest pause that leaves something to go on with, or that of the sweep; None below the limit.
        """
        kind = _NUMBERS.sub("0", error)
        for key in _keys(node, recipe):
            last, count = self._streaks.get(key, (kind, 0))
            self._streaks[key] = (kind, count + 1) if last == kind else (kind, 1)
        others: dict[Scope, set[str]] = {"node": set(nodes) - {node}, "recipe": set(recipes) - {recipe}, "sweep": {""}}
        for scope, name in _keys(node, recipe):
            if self._streaks[scope, name][1] >= FAILURES_IN_A_ROW and others[scope]:
                self._streaks.clear()  # what is left begins anew
                return Pause(scope, name, error)
        return None


def _keys(node: str, recipe: str) -> tuple[tuple[Scope, str], ...]:
    return ("node", node), ("recipe", recipe), ("sweep", "")
