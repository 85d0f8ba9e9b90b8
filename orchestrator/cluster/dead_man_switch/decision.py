"""When a worker's machine is to end itself, by what it has heard of the head and of the drivers. Pure.

Clocks of machines are never compared: a driver is at work as long as what it writes keeps changing, by the clock of
the one that reads it. Time in which this process was frozen counts for the longest life alone.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

SECONDS_BETWEEN_LOOKS = 15.0
SECONDS_TO_BEGIN_AGAIN = 60.0
LOOKS_IN_LOST_TIME = 4


class Reason(enum.StrEnum):
    """Why a machine ends itself."""

    SWEEP_OVER = "sweep_over"
    HEAD_LOST = "head_lost"
    DRIVER_LOST = "driver_lost"
    MAX_HOURS = "max_hours"

    def words(self, limits: Limits) -> str:
        """What has happened, in a few words."""
        lost = f"for {(limits.lost_seconds or 0.0) / 60:g} min"
        return {
            Reason.SWEEP_OVER: f"the sweep is over, and no other began within {limits.begin_seconds:g} s",
            Reason.HEAD_LOST: f"the head has not answered {lost}",
            Reason.DRIVER_LOST: f"no driver has been at work {lost}",
            Reason.MAX_HOURS: f"{(limits.life_seconds or 0.0) / 3_600:g} h are over",
        }[self]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a machine waits.

    Args:
        lost_seconds: for a head, or for a driver where one was; None: whatever is lost, it stays.
        life_seconds: the longest life; None: no limit.
    """

    lost_seconds: float | None = None
    life_seconds: float | None = None

    @property
    def begin_seconds(self) -> float:
        """That a next driver has to begin, after one has come to its end."""
        return min(SECONDS_TO_BEGIN_AGAIN, self.lost_seconds or SECONDS_TO_BEGIN_AGAIN)

    @property
    def look_seconds(self) -> float:
        """Between two looks."""
        shortest = min(one for one in (self.lost_seconds, self.life_seconds, 3_600.0) if one is not None)
        return min(SECONDS_BETWEEN_LOOKS, shortest / LOOKS_IN_LOST_TIME)


@dataclasses.dataclass(frozen=True)
class DriverSign:
    """What a driver wrote last: a text that is another one at each beat, and its end once it has come to one."""

    beat: str
    end: str | None = None


@dataclasses.dataclass
class _Driver:
    """A driver as it is known here. One that was there at the first look may be dead: it has to beat once more."""

    sign: DriverSign
    was_at_work: bool
    quiet_seconds: float = 0.0


class DeadManSwitch:
    """Is told at each look what the head says, and answers with a reason once the machine is to end itself.

    Args:
        now: of a clock that never goes back, in seconds.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits, self._began, self._looked = limits, now, now
        self._drivers: dict[str, _Driver] | None = None  # None before the first look that was answered
        self._has_had_driver = self._is_over = False
        self._silent_seconds = self._idle_seconds = self._over_seconds = 0.0

    def look(self, now: float, signs: Mapping[str, DriverSign] | None) -> Reason | None:
        """Why the machine is to end itself now; None: it stays.

        Args:
            signs: of all drivers that the head knows of, by their key; None: the head did not answer.
        """
        limits, elapsed = self.limits, now - self._looked
        self._looked = now
        if limits.life_seconds is not None and now - self._began >= limits.life_seconds:
            return Reason.MAX_HOURS
        if limits.lost_seconds is None:
            return None
        # a look may be answered late, but not by much: the rest of the time this process was frozen
        step = min(elapsed, limits.lost_seconds / 2)
        if signs is None:
            self._silent_seconds += step
            return Reason.HEAD_LOST if self._silent_seconds >= limits.lost_seconds else None
        if self._silent_seconds:  # nobody could hear the drivers meanwhile
            self._silent_seconds = step = 0.0
        self._hear(signs, step)
        if self._is_over and self._over_seconds >= limits.begin_seconds:
            return Reason.SWEEP_OVER
        if self._has_had_driver and self._idle_seconds >= limits.lost_seconds:
            return Reason.DRIVER_LOST
        return None

    def _hear(self, signs: Mapping[str, DriverSign], step: float) -> None:
        """Follow each driver, and count for how long none has been heard, and how long ago the last one ended."""
        is_first_look, before = self._drivers is None, self._drivers or {}
        self._drivers = {}
        beats, ends = False, False
        for key, sign in signs.items():
            known = before.get(key)
            if known is not None and known.sign == sign:
                known.quiet_seconds += step
                self._drivers[key] = known
                continue
            self._drivers[key] = _Driver(sign, was_at_work=not is_first_look)
            beats |= not is_first_look and sign.end is None
            ends |= not is_first_look and sign.end is not None
        self._has_had_driver |= beats or ends
        self._idle_seconds = 0.0 if beats or ends else self._idle_seconds + step
        self._is_over = not beats and (ends or self._is_over)
        is_waiting = self._is_over and not ends and not self._is_anyone_at_work()
        self._over_seconds = self._over_seconds + step if is_waiting else 0.0

    def _is_anyone_at_work(self) -> bool:
        lost_seconds = self.limits.lost_seconds or 0.0
        return any(
            driver.was_at_work and driver.sign.end is None and driver.quiet_seconds < lost_seconds
            for driver in (self._drivers or {}).values()
        )
