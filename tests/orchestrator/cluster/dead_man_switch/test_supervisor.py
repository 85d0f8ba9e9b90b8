"""The process that outlives Ray's node, with a shell script as Ray and a head that says what the test wants."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.dead_man_switch.decision import DriverSign, Limits
from orchestrator.cluster.dead_man_switch.head_line import HeadLine, HeadSays
from orchestrator.cluster.dead_man_switch.label import StopsItself
from orchestrator.cluster.dead_man_switch.stop_command import stop_arguments
from orchestrator.cluster.dead_man_switch.supervisor import Orders, Supervisor
from orchestrator.cluster.dead_man_switch.switch import switch_of
from orchestrator.errors import UsageError

LIMITS = Limits(lost_seconds=2)
SOON = Limits(lost_seconds=60, life_seconds=1)
RUNS_ON = "trap 'echo ended >> log; exit 7' TERM INT; echo began >> log; while :; do sleep 0.05; done"
STOP = ["sh", "-c", 'echo "$FROSTLINE_STOP_REASON $FROSTLINE_NODE $FROSTLINE_UP_SECONDS" >> log; exit ${EXIT:-0}']


class SayingHead:
    """A head that says a list of things, the last of them for ever; None: it does not answer."""

    def __init__(self, *says: HeadSays | None) -> None:
        self.says, self.is_closed = list(says), False

    def ask(self) -> HeadSays | None:
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]

    def close(self) -> None:
        self.is_closed = True


MEMBER, STRANGER = HeadSays({}, True), HeadSays({}, False)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for each test, and the handlers of pytest again after it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


def supervised(
    head: SayingHead, limits: Limits, ray: str = RUNS_ON, stop: list[str] | None = STOP
) -> tuple[int, str, list[str]]:
    """The exit code, what was said, and what Ray and the command did."""
    said: list[str] = []
    orders = Orders(ray=["sh", "-c", ray], limits=limits, stop=stop or [], drain_seconds=5, node="10.0.0.7")
    code = Supervisor(orders, head, said.append).run()
    assert head.is_closed
    log = Path("log")
    return code, "\n".join(said), log.read_text().splitlines() if log.exists() else []


def test_ray_ends_first_then_the_command_runs_once() -> None:
    """It is told why, where, and after how long; both are said in one line."""
    code, said, log = supervised(SayingHead(MEMBER), SOON)
    assert code == 0 and log[:2] == ["began", "ended"] and len(log) == 3
    reason, node, seconds = log[2].split()
    assert (reason, node) == ("max_hours", "10.0.0.7") and int(seconds) >= 1
    assert "are over: this machine ends itself by: sh -c" in said


def test_without_a_command_it_only_leaves() -> None:
    """Ray ends, the machine stays."""
    code, said, log = supervised(SayingHead(MEMBER), Limits(life_seconds=1), stop=None)
    assert (code, log) == (0, ["began", "ended"]) and "has left the cluster; the machine stays" in said


@pytest.mark.parametrize("stop", [["sh", "-c", "exit 9"], ["/no/such/program"]])
def test_a_command_that_fails_is_said_and_not_repeated(stop: list[str]) -> None:
    """Exit code 3: the machine still runs."""
    code, said, _ = supervised(SayingHead(MEMBER), SOON, stop=stop)
    assert code == 3 and "this machine still runs" in said and ("exit code 9" in said or "No such file" in said)


def test_a_lost_head_fires_also_when_ray_has_ended_long_ago() -> None:
    """Ray's node ends by itself without a head; the clock goes on."""
    ends = "echo began >> log; sleep 1; exit 1"
    code, said, log = supervised(SayingHead(MEMBER, None), LIMITS, ray=ends)
    assert code == 0 and log[0] == "began" and log[1].startswith("head_lost") and "joining again" not in said


def test_it_joins_again_when_the_head_is_back_in_time() -> None:
    """And goes on with its clock."""
    ends = "echo began >> log; sleep 0.7; exit 1"
    code, said, log = supervised(SayingHead(MEMBER, None, MEMBER), Limits(lost_seconds=2, life_seconds=4), ray=ends)
    assert code == 0 and log.count("began") >= 2 and log[-1].startswith("max_hours")
    assert "Ray has ended on this node (exit code 1), and the head answers: joining again" in said


def test_a_node_that_never_joined_ends_with_the_code_of_ray() -> None:
    """A port in use, a wrong option: the user is there, and the machine has done nothing yet."""
    assert supervised(SayingHead(STRANGER), LIMITS, ray="exit 5")[::2] == (5, [])
    assert supervised(SayingHead(STRANGER), LIMITS, ray="kill -9 $$")[0] == 137
    assert supervised(SayingHead(MEMBER), Limits(life_seconds=60), ray="exit 5")[0] == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_its_user_ends_runs_no_command(number: signal.Signals) -> None:
    """The signal goes on to Ray, whose exit code is the answer."""
    threading.Timer(1.0, os.kill, (os.getpid(), number)).start()
    code, _, log = supervised(SayingHead(MEMBER), Limits(lost_seconds=60))
    assert code == 7 and log == ["began", "ended"]


def test_a_user_who_ends_it_while_trials_write_their_checkpoints_is_heard() -> None:
    """The command is not run."""
    slow = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.05; done"
    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    code, said, log = supervised(SayingHead(MEMBER), SOON, ray=slow)
    assert code == 128 + signal.SIGTERM and log == [] and "the command is not run" in said


def test_drivers_reach_the_switch() -> None:
    """A sweep that is over ends the machine."""
    begins, over = HeadSays({"a": DriverSign("1")}, True), HeadSays({"a": DriverSign("1", "finished")}, True)
    code, _, log = supervised(SayingHead(MEMBER, begins, over), LIMITS)
    assert code == 0 and log[-1].startswith("sweep_over")


def test_a_reader_that_hangs_or_dies_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ray's own client may; the next question has a new one."""
    line = HeadLine(("127.0.0.1", 1), ("127.0.0.1", 2))
    monkeypatch.setattr("orchestrator.cluster.dead_man_switch.head_line.require_answer", lambda host, port: None)
    monkeypatch.setattr("orchestrator.cluster.dead_man_switch.head_line.SECONDS_TO_BEGIN", 1.0)
    answer = 'print(\'{"drivers": {"a": {"beat": "1", "end": null}}, "is_member": true}\', flush=True)'
    for reader, expected in (
        (f"input(); {answer}", HeadSays({"a": DriverSign("1")}, True)),
        ("input()", None),
        ("input(); print('a warning', flush=True); input()", None),
        ("input(); print('[]', flush=True); input()", None),
        ("import time; time.sleep(600)", None),
        (f"input(); {answer}", HeadSays({"a": DriverSign("1")}, True)),
    ):
        line.command = [sys.executable, "-c", reader]
        monkeypatch.setattr(
            "orchestrator.cluster.dead_man_switch.head_line.SECONDS_TO_BEGIN", 1.0 if "600" in reader else 30.0
        )
        assert line.ask() == expected
        line.close()


def test_a_head_that_refuses_connections_is_asked_nothing() -> None:
    """At once, and without loading Ray."""
    line, began = HeadLine(("127.0.0.1", 1), ("127.0.0.1", 2)), time.monotonic()
    assert line.ask() is None and time.monotonic() - began < 5


def test_a_command_is_read_without_a_shell() -> None:
    """Quotes are as in a shell, variables are those of the environment, and what only looks like one stays."""
    environment = {"RUNPOD_POD_ID": "a b"}
    for text in ("echo remove pod $RUNPOD_POD_ID", "echo remove pod ${RUNPOD_POD_ID}"):
        assert stop_arguments(text, environment) == ["echo", "remove", "pod", "a b"]
    text = "sh -c 'echo $FROSTLINE_STOP_REASON > /tmp/why; poweroff'"
    assert stop_arguments(text, {}) == ["sh", "-c", "echo $FROSTLINE_STOP_REASON > /tmp/why; poweroff"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("echo 'a", "No closing quotation"),
        (" ", "is empty"),
        ("echo $RUNPOD_POD_ID", r"\$RUNPOD_POD_ID is not set"),
        ("no-such-program now", "there is no program no-such-program"),
    ],
)
def test_a_command_that_could_never_end_the_machine_is_refused(text: str, problem: str) -> None:
    """Before the node joins, not at night."""
    with pytest.raises(UsageError, match=problem):
        stop_arguments(text, {})


def test_the_switch_is_off_by_default() -> None:
    """And on by a command, or by a longest life; a time to wait for the lost needs something to do then."""
    assert switch_of(None, None, None) is None
    on = switch_of("sh -c true", 10, None)
    assert on is not None and on.stops == StopsItself(command="sh", lost_minutes=10, max_hours=10)
    assert on.limits == Limits(lost_seconds=600, life_seconds=36_000) and on.command == ("sh", "-c", "true")
    leaves = switch_of(None, 2, None)
    assert leaves is not None and leaves.limits == Limits(life_seconds=7_200) and not leaves.stops.ends_machine
    with pytest.raises(UsageError, match="--lost-minutes is how long --stop-command waits"):
        switch_of(None, 2, 5)


@given(st.text())
def test_any_text_is_a_command_or_an_error(text: str) -> None:
    """Never another exception."""
    with contextlib.suppress(UsageError):
        assert stop_arguments(text, {})


def test_trials_are_told_to_end_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would let them run on, and then kill them: each is told once Ray has been."""
    child = "trap 'echo \"$0 ended\" >> log; exit' TERM; for i in {1..400}; do sleep 0.05; done"
    names = ["ray::ResourceTrainable.train", "ray::FileServer", "python"]
    children = "".join(f"bash -c 'exec -a {name} bash -c \"$CHILD\" {name}' & " for name in names)
    drains = "trap 'for i in 1 2 3; do sleep 1; done; kill -9 $(jobs -p); exit 0' TERM"
    ray = f"{children} {drains}; while :; do sleep 0.05; done"
    monkeypatch.setenv("CHILD", child)
    code, _, log = supervised(SayingHead(MEMBER), SOON, ray=ray)
    assert code == 0 and log[:-1] == ["ray::ResourceTrainable.train ended"]
