"""Retries: what happens to a trial whose worker died, and to the kind of node that the worker ran on. Pure."""

from __future__ import annotations

from collections import Counter

MAX_ATTEMPTS = 3
# A worker often dies with its node, and its death is reported first: a trial placed there now would wait for ever.
SECONDS_TO_PAUSE = 5.0


class Retries:
    """Counts the attempts of each trial, and pauses a kind of node for a while after a worker died there.

    A trial whose worker died is sent out again, up to `MAX_ATTEMPTS` attempts in all; then it is `failed`. A trial that
    stopped at its checkpoint because it was asked to is sent out again as often as it takes.
    """

    def __init__(self) -> None:
        self._attempts: Counter[str] = Counter()
        self._paused_until: dict[str, float] = {}

    def started(self, trial_id: str) -> None:
        """Count an attempt."""
        self._attempts[trial_id] += 1

    def is_exhausted(self, trial_id: str) -> bool:
        """Whether a trial whose worker died again is not to be sent out once more."""
        return self._attempts[trial_id] >= MAX_ATTEMPTS

    def worker_died(self, kind: str, now_seconds: float) -> None:
        """Place nothing on nodes of this kind for `SECONDS_TO_PAUSE`."""
        self._paused_until[kind] = now_seconds + SECONDS_TO_PAUSE

    def paused_kinds(self, now_seconds: float) -> frozenset[str]:
        """The kinds of node on which nothing is to be placed now."""
        return frozenset(kind for kind, until in self._paused_until.items() if until > now_seconds)
