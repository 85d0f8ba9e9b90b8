"""The process of `frostline cluster join` with a dead-man switch: Ray's node is its child, and it outlives the node."""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from orchestrator.cluster.dead_man_switch.decision import DeadManSwitch, Limits, Reason
from orchestrator.cluster.dead_man_switch.head_line import HeadSays
from orchestrator.cluster.dead_man_switch.stop_command import Say, run_stop_command
from orchestrator.cluster.dead_man_switch.trials import tell_trials_to_end

SECONDS_BETWEEN_POLLS = 0.2
SECONDS_TO_BE_DRAINED = 2.0
# Beyond what trials get: Ray ends its processes one after another, each of which has some seconds.
SECONDS_FOR_RAY_TO_END = 30.0


class Head(Protocol):
    """What is asked of a head; a `HeadLine` is one."""

    def ask(self) -> HeadSays | None: ...

    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Orders:
    """What a supervisor does.

    Args:
        ray: the command of Ray's node.
        limits: when the machine ends itself.
        stop: the command that ends it; empty: Ray ends, and the machine stays.
        drain_seconds: that trials get before.
        node: by which name the command is told of this node.
    """

    ray: Sequence[str]
    limits: Limits
    stop: Sequence[str]
    drain_seconds: float
    node: str


class Supervisor:
    """Runs Ray's node until it ends, its user ends it, or the switch fires.

    SIGTERM and SIGINT are passed on to Ray. Its end is then the end: the user is there, and the command is not run.
    """

    def __init__(self, orders: Orders, head: Head, say: Say) -> None:
        self.orders, self.head, self.say = orders, head, say
        self._signal: int | None = None
        self._has_joined = False

    def run(self) -> int:
        """Stay until all is over; the exit code.

        Ray's own, if it ends before it has joined, or because it was told to. After the switch has fired 0, or 3 where
        the command failed.
        """
        began, limits = time.monotonic(), self.orders.limits
        switch = DeadManSwitch(limits, began)
        self._start_ray()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        try:
            while True:
                code = self._wait(limits.look_seconds)
                if self._signal is not None:
                    self._tell_trials()
                    return _exit_code(self._ray.wait())
                says = None if limits.lost_seconds is None else self.head.ask()
                reason = switch.look(time.monotonic(), None if says is None else says.signs)
                if reason is not None:
                    return self._fire(reason, time.monotonic() - began)
                self._has_joined |= code is None and says is not None and says.is_member
                if code is not None and not self._has_joined:
                    return _exit_code(code)
                if code is not None and says is not None:
                    self.say(f"Ray has ended on this node (exit code {code}), and the head answers: joining again")
                    self._start_ray()
        finally:
            self.head.close()
            self._kill_ray()

    def _start_ray(self) -> None:
        # a session of its own: Ctrl-C comes to this process, which passes it on
        self._ray = subprocess.Popen(self.orders.ray, start_new_session=True)
        if self._signal is not None:  # it came while no Ray was there
            self._ray.send_signal(self._signal)

    def _pass_on(self, number: int, frame: object) -> None:
        self._signal = number
        self._ray.send_signal(number)  # nothing, if it has ended

    def _wait(self, seconds: float) -> int | None:
        """Ray's exit code; None while it runs. Returns after so many seconds, when Ray ends, or at a signal."""
        was_running, ends = self._ray.poll() is None, time.monotonic() + seconds
        while self._signal is None and time.monotonic() < ends and not (was_running and self._ray.poll() is not None):
            time.sleep(SECONDS_BETWEEN_POLLS)
        return self._ray.poll()

    def _tell_trials(self) -> None:
        """Let trials end at their checkpoints, once Ray has been told to end."""
        # by then driver and head know that this node gets no more
        with suppress(subprocess.TimeoutExpired):
            self._ray.wait(timeout=SECONDS_TO_BE_DRAINED)
        tell_trials_to_end(self._ray.pid)

    def _fire(self, reason: Reason, up_seconds: float) -> int:
        """End Ray as the user would, then run the command; the exit code."""
        orders, why = self.orders, reason.words(self.orders.limits)
        self.say(f"{why}: ending Ray on this node; trials get {orders.drain_seconds:g} s to write their checkpoints")
        if self._ray.poll() is None:
            self._ray.terminate()
            self._tell_trials()
        with suppress(subprocess.TimeoutExpired):
            self._ray.wait(timeout=orders.drain_seconds + SECONDS_FOR_RAY_TO_END)
        self._kill_ray()
        if self._signal is not None:
            self.say("told to end meanwhile: the command is not run")
            return 128 + self._signal
        if not orders.stop:
            self.say(f"{why}: this node has left the cluster; the machine stays")
            return 0
        self.say(f"{why}: this machine ends itself by: {shlex.join(orders.stop)}")
        facts = {"STOP_REASON": reason.value, "NODE": orders.node, "UP_SECONDS": f"{up_seconds:.0f}"}
        return run_stop_command(orders.stop, {f"FROSTLINE_{name}": value for name, value in facts.items()}, self.say)

    def _kill_ray(self) -> None:
        if self._ray.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._ray.pid, signal.SIGKILL)
            self._ray.wait()


def _exit_code(code: int) -> int:
    """As shells give it: of a process that a signal ended, 128 and its number."""
    return code if code >= 0 else 128 - code
