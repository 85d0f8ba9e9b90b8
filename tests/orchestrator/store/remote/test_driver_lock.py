"""One driver at a time for a run in an object store, on a real S3 server."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator

import obstore
import pytest
from file_link import Clock
from s3_server import BUCKET, S3Server, error_body, s3_server

from orchestrator.errors import MachineError, UsageError
from orchestrator.store.remote import driver_lock
from orchestrator.store.remote.driver_lock import SECONDS_BETWEEN_RENEWALS, SECONDS_OF_LEASE, DriverLock
from orchestrator.store.run_store import TransferError
from results import object_store
from results.object_store import LOCK_FILE, open_bucket

URI = f"s3://{BUCKET}/runs/night"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setattr(object_store, "SECONDS_OF_RETRIES", 0)
    with s3_server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        started.client().delete_object(Bucket=BUCKET, Key=f"runs/night/{LOCK_FILE}")  # moto's buckets are the process's
        yield started


def lock(copy: str, clock: Clock, *, machine: str = "", sleep: Callable[[float], None] | None = None) -> DriverLock:
    """A lock of a driver on a machine of its own, so that nobody can tell whether its process lives."""
    made = DriverLock(open_bucket(URI), URI, copy, clock, sleep or clock.sleep)
    made.holder = dataclasses.replace(made.holder, machine=machine or copy, host=copy)
    return made


def take(one: DriverLock) -> list[str]:
    lines: list[str] = []
    one.acquire(lines.append)
    return lines


def test_the_first_driver_takes_the_lock_at_once(server: S3Server) -> None:
    """Nobody had it before, and nobody waits."""
    clock = Clock()
    assert lock("a", clock).acquire(print) is None and clock.now == 0


def test_a_second_driver_is_refused_while_the_first_lives(server: S3Server) -> None:
    """It sees a renewal within seconds, and says who is at work."""
    clock = Clock()
    first = lock("a", clock)
    take(first)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        first.renew()

    with pytest.raises(UsageError, match=r"is in use by process \d+ on a, since .*: one driver at a time"):
        lock("b", clock, sleep=sleep).acquire(print)
    assert clock.now <= SECONDS_BETWEEN_RENEWALS and first.lost is None


def test_a_driver_that_was_killed_is_followed_after_a_minute(server: S3Server) -> None:
    """No clocks are compared: what counts is that its lock does not change."""
    clock = Clock()
    take(lock("a", clock))
    second = lock("b", clock)
    lines: list[str] = []
    before = second.acquire(lines.append)
    assert before is not None and before.host == "a"
    assert SECONDS_OF_LEASE <= clock.now < SECONDS_OF_LEASE + 2 and len(lines) == 1 and "still at work?" in lines[0]


def test_a_driver_that_ended_is_followed_at_once(server: S3Server) -> None:
    """It said so; so does a process of this machine that is no more."""
    clock = Clock()
    first = lock("a", clock)
    take(first)
    first.release()
    second = lock("b", clock, machine="this one")
    take(second)
    second.holder = dataclasses.replace(second.holder, process=2**22 + 1)  # no process has this number
    second.renew()
    third = lock("c", clock)
    third.holder = dataclasses.replace(third.holder, machine=driver_lock._machine())
    content = json.loads(server.files("runs/night")[LOCK_FILE]) | {"machine": driver_lock._machine()}
    obstore.put(open_bucket(URI), LOCK_FILE, json.dumps(content).encode())
    take(third)
    assert clock.now == 0


def test_an_old_driver_that_wakes_up_is_fenced_off(server: S3Server) -> None:
    """It learns of the new one before it writes anything, and the new one's lock stays."""
    clock = Clock()
    old, new = lock("a", clock), lock("b", clock)
    take(old)
    take(new)
    with pytest.raises(TransferError, match=r"another driver works on s3://.* now \(process \d+ on b"):
        old.require()
    old.renew()
    new.renew()
    assert old.lost is not None and new.lost is None
    new.require()


def test_of_two_drivers_that_wait_one_goes_on(server: S3Server) -> None:
    """Both saw the same dead lock; the conditional write lets one of them win, and the other sees it renew."""
    clock = Clock()
    take(lock("dead", clock))
    first, taken = lock("a", clock), []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now >= SECONDS_OF_LEASE - 1 and not taken:
            first._write(first._read()[1])  # type: ignore[index]
            taken.append(True)
        elif taken:
            first.renew()

    with pytest.raises(UsageError, match="in use by"):
        lock("b", clock, sleep=sleep).acquire(print)
    assert first.lost is None


def test_a_write_whose_answer_was_lost_counts(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same write sent again is refused by the store, and the lock is ours all the same."""
    clock, put = Clock(), obstore.put
    one = lock("a", clock)
    take(one)

    def twice(*arguments: object, **options: object) -> object:
        put(*arguments, **options)  # type: ignore[arg-type]
        return put(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "put", twice)
    one.renew()
    assert one.lost is None
    one.require()


def test_a_store_without_conditional_writes_is_refused(server: S3Server) -> None:
    """Two drivers could write there: it is tried out, not believed."""
    server.without_conditions = True
    with pytest.raises(UsageError, match=r"no conditional writes \(If-None-Match, If-Match\).*Choose another store"):
        take(lock("a", Clock()))


def test_a_store_that_is_silent_for_a_while_costs_no_lock(server: S3Server) -> None:
    """Nothing is sent meanwhile, and when it answers again the driver goes on."""
    clock = Clock()
    one = lock("a", clock)
    take(one)
    server.answer = ("503 Slow Down", error_body("SlowDown"))
    clock.sleep(SECONDS_OF_LEASE)
    with pytest.raises(TransferError, match="asks to slow down"):
        one.require()
    server.answer = None
    one.require()
    assert one.lost is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (("403 Forbidden", error_body("InvalidAccessKeyId")), "the key is not known there: check AWS_ACCESS_KEY_ID"),
        (("403 Forbidden", error_body("SignatureDoesNotMatch")), "the secret does not fit the key"),
        (("403 Forbidden", error_body("AccessDenied")), "the key may not do that there"),
        (("404 Not Found", error_body("NoSuchBucket")), "there is no such bucket"),
        (("500 Internal Server Error", error_body("InternalError")), "it answers with errors \\(500\\)"),
        (("503 Slow Down", error_body("SlowDown")), "it asks to slow down, and went on asking"),
    ],
)
def test_what_a_store_refuses_is_one_line(server: S3Server, answer: tuple[str, str], said: str) -> None:
    """Which run, and what is wrong; before anything starts."""
    server.answer = answer
    with pytest.raises(MachineError, match=f"^{URI}: {said}") as error:
        take(lock("a", Clock()))
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 150


def test_a_lock_that_is_no_lock_is_said(server: S3Server) -> None:
    """It is not overwritten."""
    obstore.put(open_bucket(URI), LOCK_FILE, b"[]")
    with pytest.raises(UsageError, match=r"driver\.json is damaged: remove it"):
        take(lock("a", Clock()))


def test_a_copy_that_is_not_the_last_one_gets_a_new_id(server: S3Server) -> None:
    """A driver that dies before it has fetched leaves a lock with an id that no copy has: the next one fetches."""
    clock = Clock()
    here = lock("here", clock)
    take(here)
    assert here.holder.copy != "here"  # nobody was there: nothing here is what lies there
    mine = here.holder.copy
    here.release()
    again = lock(mine, clock)
    take(again)
    assert again.holder.copy == mine
    again.release()
    elsewhere = lock("elsewhere", clock)
    take(elsewhere)
    elsewhere.release()
    stale = lock(mine, clock)
    before = stale.acquire(print)
    assert before is not None and before.copy == elsewhere.holder.copy and stale.holder.copy not in (mine, before.copy)


def test_a_lock_that_could_not_be_kept_is_given_back(server: S3Server) -> None:
    """A store without conditions is left to the next driver at once."""
    server.without_conditions = True
    with pytest.raises(UsageError):
        take(lock("a", Clock()))
    assert json.loads(server.files("runs/night")[LOCK_FILE])["is_released"] is True
