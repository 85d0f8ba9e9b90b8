"""The control channel over Ray: a small actor beside the driver, and the ends of driver and worker."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator import worker
from orchestrator.control_channel import Beat, Board, Fault, News
from trainer.control import Command

SECONDS_TO_ANSWER = 10.0


class DriverEnd(Protocol):
    """What the driver does on the channel; `Board` itself is one, where both ends are one process."""

    def tell(self, command: Command, trial_id: str | None = None) -> None: ...

    def forget(self, trial_id: str) -> None: ...

    def take_news(self) -> News: ...


class BoardActor:
    """The driver's end of a `Board` that lives in an actor. Should the actor die, a new one is told all that counts."""

    def __init__(self) -> None:
        # on the driver's own node: it must not be lost with a worker's
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(Board)
        self.handle: Any = actor.options(scheduling_strategy=here).remote()
        self._told: dict[str | None, Command] = {}
        self._board: str | None = None

    def tell(self, command: Command, trial_id: str | None = None) -> None:
        self._told[trial_id] = command
        self.handle.tell.remote(command, trial_id)

    def forget(self, trial_id: str) -> None:
        self._told.pop(trial_id, None)
        self.handle.forget.remote(trial_id)

    def take_news(self) -> News:
        try:
            news: News = ray.get(self.handle.take_news.remote(), timeout=SECONDS_TO_ANSWER)
        except ray.exceptions.RayError:  # what was said is lost, or comes later; the trial folders tell the rest
            return News(board="", beats={}, faults=[], notes=[])
        if news.board != self._board:
            for trial_id, command in self._told.items():
                self.handle.tell.remote(command, trial_id)
            self._board = news.board
        return news


def end_process(node_id: str, pid: int) -> None:
    """Kill a process of a node, by a task that runs there."""
    there = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    ray.remote(num_cpus=0)(_kill).options(scheduling_strategy=there).remote(pid)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class WorkerEnd:
    """The worker's end of the same actor, see `Channel`."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def beat(self, beat: Beat) -> Command:
        command: Command = ray.get(self.handle.beat.remote(beat), timeout=SECONDS_TO_ANSWER)
        return command

    def report_fault(self, fault: Fault) -> None:
        ray.get(self.handle.report_fault.remote(fault), timeout=SECONDS_TO_ANSWER)

    def note(self, text: str) -> None:
        self.handle.note.remote(text)


def end_trial_on_sigterm() -> None:
    """Let SIGTERM end this worker's trial at its next report, with its checkpoint; without a trial, as before.

    Call it in the main thread of the worker.
    """
    before = signal.getsignal(signal.SIGTERM)

    def handler(number: int, frame: FrameType | None) -> None:
        if worker.is_busy.is_set():
            worker.terminated.set()
        elif callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, handler)
