"""The channel between the driver and running trials: what each says to the other. Pure; Ray carries it."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable
from typing import Literal, Protocol

from trainer.control import GO_ON, Command, Stage

# disk: of the run folder; scratch: of a worker's own disk; link: between a worker and the driver
FaultKind = Literal["disk", "scratch", "link", "data", "versions", "busy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beat:
    """A sign of life of a running trial: the stage that it is in, and the process that it runs in.

    Args:
        memory_kills: of its machine so far, see `num_memory_kills`.
    """

    trial_id: str
    stage: Stage
    node: str
    pid: int
    host: str = ""
    memory_kills: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of a machine, which is no fault of the trial that met it.

    `node` and `attempt` are those of the job that met it; empty and 0 where the driver met it.
    """

    kind: FaultKind
    trial_id: str
    host: str
    message: str
    node: str = ""
    attempt: int = 0

    def text(self) -> str:
        return f"on {self.host}: {self.message}"


class Channel(Protocol):
    """A worker's end."""

    def beat(self, beat: Beat) -> Command:
        """Say that a trial is alive, and be told how it is to go on."""
        ...

    def report_fault(self, fault: Fault) -> None:
        """Say that a machine is at fault."""
        ...

    def note(self, text: str) -> None:
        """Say something that the user should read."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class News:
    """What workers have said since the driver last asked, and the last beat of each trial with its age in seconds.

    `board` names the board: another one than before has lost what it was told.
    """

    board: str
    beats: dict[str, tuple[Beat, float]]
    faults: list[Fault]
    notes: list[str]


class Board:
    """What lies between driver and workers: commands for trials, and what trials have said."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._name = clock, uuid.uuid4().hex
        self._commands: dict[str, Command] = {}
        self._command_of_all = GO_ON
        self._beats: dict[str, tuple[Beat, float]] = {}
        self._faults: list[Fault] = []
        self._notes: list[str] = []

    def beat(self, beat: Beat) -> Command:
        """As `Channel.beat`. What one trial is told goes before what all are told."""
        self._beats[beat.trial_id] = beat, self._clock()
        return self._commands.get(beat.trial_id, self._command_of_all)

    def report_fault(self, fault: Fault) -> None:
        self._faults.append(fault)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def tell(self, command: Command, trial_id: str | None = None) -> None:
        """Tell one trial, or all, how to go on, from their next beat on."""
        if trial_id is None:
            self._command_of_all = command
        else:
            self._commands[trial_id] = command

    def forget(self, trial_id: str) -> None:
        """An attempt at a trial has ended: what it was told, and when it was last alive, counts no more."""
        self._commands.pop(trial_id, None)
        self._beats.pop(trial_id, None)

    def take_news(self) -> News:
        """What was said since the last call."""
        now = self._clock()
        beats = {trial_id: (beat, now - at) for trial_id, (beat, at) in self._beats.items()}
        news = News(board=self._name, beats=beats, faults=self._faults, notes=self._notes)
        self._faults, self._notes = [], []
        return news
