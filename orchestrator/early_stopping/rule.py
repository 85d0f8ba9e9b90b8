"""What every rule of early stopping is told and answers."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Literal, Protocol

from search_spaces.configs.valid_configs import Candidate

Action = Literal["go_on", "stop", "audit"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looked:
    """A running trial as far as it was looked at: its validation loss by step, in order."""

    trial_id: str
    candidate: Candidate
    looks: Mapping[int, float]

    @property
    def step(self) -> int:
        return max(self.looks)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial that ran to its end. `was_to_stop`: it would have been stopped, and ran on to check the rule."""

    trial_id: str
    candidate: Candidate
    looks: Mapping[int, float]
    score: float
    artifact_bytes: float
    is_feasible: bool = True
    was_to_stop: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a trial after a look. The numbers are those that led to a stop.

    Args:
        step: of the look.
        predicted: the score that the trial is expected to end with.
        best_case: a score that it will hardly be better than, by the risk of the sweep.
        band: how the distance of the two was found: `conformal`, or `student` where too few trials have ended.
        dominated_by: the trial that is better than the best case, with no more bytes.
        margin: by how much.
        column: which score these are of, `ce` or `bpb`.
        reason: in words.
    """

    action: Action
    step: int
    predicted: float | None = None
    best_case: float | None = None
    band: str | None = None
    dominated_by: str | None = None
    margin: float | None = None
    column: str = "ce"
    reason: str = ""


class StoppingRule(Protocol):
    """Says which trials are stopped. A function of what it was told, and of nothing else."""

    def tell(self, ended: Ended) -> None:
        """A trial ran to its end."""
        ...

    def look(self, looked: Looked) -> Verdict:
        """Whether a trial goes on, given its newest look."""
        ...

    def saw(self, looked: Looked, verdict: Verdict | None) -> None:
        """A trial of an earlier call that has no score: as far as it was looked at, and the verdict on it."""
        ...

    def moved_back(self) -> list[str]:
        """The trials it had stopped that may win after all; each is named once."""
        ...


def is_audited(trial_id: str, share: float) -> bool:
    """Whether a trial runs on although it would be stopped: a draw that is a function of its id."""
    digest = hashlib.sha256(f"audit/{trial_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
