"""The channel between the driver and running trials: what each says to the other. Pure; Ray carries it."""

from __future__ import annotations

import dataclasses
from typing import Literal, Protocol

from trainer.control import GO_ON, Command, Stage

FaultKind = Literal["disk", "data"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beat:
    """A sign of life of a running trial: the stage that it is in."""

    trial_id: str
    stage: Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of a machine, which is no fault of the trial that met it."""

    kind: FaultKind
    trial_id: str
    host: str
    message: str

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
    """What workers have said since the driver last asked; of the stages, the last of each trial."""

    stages: dict[str, Stage]
    faults: list[Fault]
    notes: list[str]


class Board:
    """What lies between driver and workers: commands for trials, and what trials have said."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}
        self._command_of_all = GO_ON
        self._news = News(stages={}, faults=[], notes=[])

    def beat(self, beat: Beat) -> Command:
        """As `Channel.beat`. What one trial is told goes before what all are told."""
        self._news.stages[beat.trial_id] = beat.stage
        return self._commands.get(beat.trial_id, self._command_of_all)

    def report_fault(self, fault: Fault) -> None:
        self._news.faults.append(fault)

    def note(self, text: str) -> None:
        self._news.notes.append(text)

    def tell(self, command: Command, trial_id: str | None = None) -> None:
        """Tell one trial, or all, how to go on, from their next beat on."""
        if trial_id is None:
            self._command_of_all = command
        elif command.status is None:
            self._commands.pop(trial_id, None)
        else:
            self._commands[trial_id] = command

    def take_news(self) -> News:
        """What was said since the last call."""
        news, self._news = self._news, News(stages={}, faults=[], notes=[])
        return news
