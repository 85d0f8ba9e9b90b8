"""When a machine ends itself: by what it has heard, on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.dead_man_switch.decision import DeadManSwitch, DriverSign, Limits, Reason

LOOK, LOST, BEGIN = 15.0, 600.0, 60.0
LIMITS = Limits(lost_seconds=LOST, life_seconds=36_000)
NOBODY: dict[str, DriverSign] = {}

Heard = Mapping[str, DriverSign] | None


def drivers(**beats: int | str) -> dict[str, DriverSign]:
    """Signs by their key: a number is a beat, a text is an end."""
    return {
        key: DriverSign(f"b{beat}") if isinstance(beat, int) else DriverSign("last", beat)
        for key, beat in beats.items()
    }


class World:
    """A switch, and a clock that goes on from look to look."""

    def __init__(self, limits: Limits = LIMITS, now: float = 1e6) -> None:
        self.now = self.began = now
        self.switch = DeadManSwitch(limits, now)

    def hears(self, heard: Heard, after: float = LOOK) -> Reason | None:
        self.now += after
        return self.switch.look(self.now, heard)

    def hears_for(self, seconds: float, heard: Callable[[int], Heard]) -> Reason | None:
        """Look after look, until so much time is over; the reason, as soon as there is one."""
        for number in range(round(seconds / LOOK)):
            if reason := self.hears(heard(number)):
                return reason
        return None

    def at_work(self, seconds: float = 10 * LOOK) -> World:
        """A driver `a` begins, and works for so long."""
        assert self.hears(NOBODY) is None
        assert self.hears_for(seconds, lambda number: drivers(a=number)) is None
        return self


def test_nothing_fires_where_no_driver_ever_was() -> None:
    """A cluster that waits for its first sweep stays, until its longest life is over."""
    world = World()
    assert world.hears_for(36_000 - LOOK, lambda number: NOBODY) is None
    assert world.hears(NOBODY) is Reason.MAX_HOURS


def test_without_a_longest_life_it_waits_for_ever() -> None:
    """For a first sweep."""
    assert World(Limits(lost_seconds=LOST)).hears_for(1e6, lambda number: NOBODY) is None


@pytest.mark.parametrize("end", ["finished", "budget", "deadline", "failed"])
def test_it_fires_a_minute_after_the_sweep_is_over(end: str) -> None:
    """Not before: another one may begin."""
    world = World().at_work()
    assert world.hears(drivers(a=end)) is None
    assert world.hears_for(BEGIN - LOOK, lambda number: drivers(a=end)) is None
    assert world.hears(drivers(a=end)) is Reason.SWEEP_OVER


def test_a_sweep_that_begins_and_ends_between_two_looks_counts() -> None:
    """Its end is all that is seen of it."""
    world = World()
    world.hears(NOBODY)
    assert world.hears_for(BEGIN, lambda number: drivers(a="finished")) is None
    assert world.hears(drivers(a="finished")) is Reason.SWEEP_OVER


def test_an_end_from_before_this_machine_joined_is_none() -> None:
    """It joined for the next sweep."""
    assert World().hears_for(LOST * 3, lambda number: drivers(a="finished")) is None


def test_a_next_sweep_within_the_time_keeps_it() -> None:
    """Of the same run or of another; its own end counts then, and its time begins anew."""
    for key in ("a", "b"):
        world = World().at_work()
        world.hears(drivers(a="finished"))
        assert world.hears_for(BEGIN - LOOK, lambda number: drivers(a="finished")) is None
        assert (
            world.hears_for(LOST * 2, lambda number, key=key: drivers(**{"a": "finished", key: number + 1_000})) is None
        )
        assert world.hears_for(BEGIN, lambda number, key=key: drivers(**{"a": "finished", key: "budget"})) is None
        assert world.hears(drivers(**{"a": "finished", key: "budget"})) is Reason.SWEEP_OVER


def test_two_drivers_must_both_be_over() -> None:
    """As long as one beats, the end of the other is nothing; also where both are seen in one look."""
    world = World().at_work()
    assert world.hears_for(LOST * 2, lambda number: drivers(a="finished", b=number)) is None
    assert world.hears_for(BEGIN, lambda number: drivers(a="finished", b="finished")) is None
    assert world.hears(drivers(a="finished", b="finished")) is Reason.SWEEP_OVER


def test_two_that_end_in_one_look_are_over() -> None:
    """A tie."""
    world = World()
    world.hears(NOBODY)
    world.hears(drivers(a=1, b=1))
    assert world.hears_for(BEGIN, lambda number: drivers(a="finished", b="failed")) is None
    assert world.hears(drivers(a="finished", b="failed")) is Reason.SWEEP_OVER


def test_a_silent_driver_is_waited_for_after_the_end_of_another() -> None:
    """It may be frozen for a while; when it is lost, all are gone."""
    world = World()
    world.hears(NOBODY)
    world.hears(drivers(a=1, b=1))
    world.hears(drivers(a="finished", b=1))
    assert world.hears_for(LOST - 2 * LOOK, lambda number: drivers(a="finished", b=1)) is None
    assert world.hears_for(3 * LOOK, lambda number: drivers(a="finished", b=1)) is Reason.DRIVER_LOST


def test_a_killed_driver_is_lost_after_its_time() -> None:
    """Its last beat stays in the head, and never changes."""
    world = World().at_work()
    last = drivers(a=9)
    assert world.hears_for(LOST - LOOK, lambda number: last) is None
    assert world.hears(last) is Reason.DRIVER_LOST


def test_a_driver_that_its_user_ended_is_missed_too() -> None:
    """Its key is gone. The user has so long to begin again; then the machine costs money for nothing."""
    world = World().at_work()
    assert world.hears_for(LOST - LOOK, lambda number: NOBODY) is None
    assert world.hears_for(LOOK, lambda number: drivers(a=1_000)) is None
    assert world.hears_for(LOST - LOOK, lambda number: NOBODY) is None
    assert world.hears(NOBODY) is Reason.DRIVER_LOST


def test_the_last_beat_of_a_dead_driver_is_no_driver() -> None:
    """One that was killed before this machine joined: nothing is known until it beats."""
    stale = drivers(a=7)
    assert World().hears_for(LOST * 3, lambda number: stale) is None
    world = World()
    world.hears(stale)
    world.hears(drivers(a=8))
    assert world.hears_for(LOST, lambda number: drivers(a=8)) is Reason.DRIVER_LOST


def test_a_lost_head_fires_after_its_time() -> None:
    """Whether or not a driver was there; never by another reason."""
    for world in (World(), World().at_work()):
        assert world.hears_for(LOST - LOOK, lambda number: None) is None
        assert world.hears(None) is Reason.HEAD_LOST


def test_a_short_break_costs_nothing() -> None:
    """Nor do many of them: each answer begins the time anew, and a driver that goes on is there again."""
    world = World().at_work()
    for break_number in range(5):
        assert world.hears_for(LOST - LOOK, lambda number: None) is None
        assert world.hears(drivers(a=100 + break_number)) is None


def test_silence_is_not_counted_against_a_driver() -> None:
    """Nobody could hear it: after the break it has what was left of its time."""
    world = World().at_work()
    last = drivers(a=9)
    assert world.hears_for(LOST / 2, lambda number: last) is None
    assert world.hears_for(LOST - LOOK, lambda number: None) is None
    assert world.hears(last) is None
    assert world.hears_for(LOST / 2 - LOOK, lambda number: last) is None
    assert world.hears(last) is Reason.DRIVER_LOST


def test_a_head_that_was_started_again_has_forgotten_and_nothing_is_over() -> None:
    """The driver has as long as one that was killed."""
    world = World().at_work()
    assert world.hears(None) is None
    assert world.hears_for(LOST - LOOK, lambda number: NOBODY) is None
    assert world.hears(drivers(a=1_000)) is None, "the same command goes on"
    assert world.hears(None) is None
    assert world.hears_for(LOST + LOOK, lambda number: NOBODY) is Reason.DRIVER_LOST


def test_its_longest_life_ends_it_whatever_else_is() -> None:
    """In the middle of a sweep, and before every other reason of the same moment."""
    limits = Limits(lost_seconds=LOST, life_seconds=LOST)
    assert World(limits).hears_for(LOST, lambda number: drivers(a=number)) is Reason.MAX_HOURS
    assert World(limits).hears_for(LOST, lambda number: None) is Reason.MAX_HOURS


def test_with_a_longest_life_alone_nothing_else_fires() -> None:
    """Neither a lost head nor the end of a sweep."""
    for heard in (None, drivers(a="finished")):
        world = World(Limits(life_seconds=36_000))
        assert world.hears_for(36_000 - LOOK, lambda number, heard=heard: heard) is None
        assert world.hears(heard) is Reason.MAX_HOURS


def test_time_in_which_this_process_was_frozen_is_not_counted() -> None:
    """One look after an hour is one look: the head and the driver may be there at the next. The life goes on."""
    world = World().at_work()
    assert world.hears(None, after=3_600) is None
    assert world.hears(drivers(a=9), after=3_600) is None
    assert world.hears(drivers(a=9), after=3_600) is None
    assert world.hears(drivers(a=10)) is None
    assert world.hears(NOBODY, after=36_000) is Reason.MAX_HOURS


def test_short_limits_are_looked_at_often_enough() -> None:
    """Four times within the shortest, at least every 15 s; a next driver has no longer than one that is lost."""
    assert (LIMITS.look_seconds, LIMITS.begin_seconds) == (15, 60)
    short = Limits(lost_seconds=12, life_seconds=8)
    assert (short.look_seconds, short.begin_seconds) == (2, 12)


STEPS = st.lists(
    st.tuples(
        st.floats(1, 40),
        st.sampled_from(["beat a", "beat b", "end a", "end b", "remove a", "quiet", "silence", "forget"]),
    ),
    max_size=80,
)


@given(STEPS)
def test_what_fires_has_its_cause(steps: list[tuple[float, str]]) -> None:
    """In any history: a driver that beat within its time keeps the machine from ending for its or another's sake, and a
    head that answered within its time is not lost.
    """
    world, state, count = World(Limits(lost_seconds=100)), dict[str, DriverSign](), 0
    last_beat = last_answer = last_end = -1e9
    last_answer = world.now
    for after, what in steps:
        count += 1
        verb, _, key = what.partition(" ")
        if verb == "beat":
            state[key] = DriverSign(f"b{count}")
        elif verb == "end":
            state[key] = DriverSign(f"b{count}", "finished")
        elif verb == "remove":
            state.pop(key, None)
        elif verb == "forget":
            state.clear()
        reason = world.hears(None if verb == "silence" else dict(state), after=after)
        if verb != "silence":
            last_answer = world.now
        if verb == "beat":
            last_beat = world.now
        if verb == "end":
            last_end = world.now
        if reason is None:
            continue
        if reason is Reason.HEAD_LOST:
            assert world.now - last_answer >= 100
        else:
            assert verb not in ("beat", "end", "silence")
        if reason is Reason.DRIVER_LOST:
            assert world.now - last_beat >= 100
        if reason is Reason.SWEEP_OVER:
            assert last_end > last_beat and world.now - last_end >= 60
        return


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=50))
def test_it_never_fires_while_a_driver_beats(gaps: list[float]) -> None:
    """However irregular the looks are."""
    world = World(Limits(lost_seconds=100))
    assert all(world.hears(drivers(a=number), after=gap) is None for number, gap in enumerate(gaps))
