"""The sections `budget`, `prices` and `on_finish` of a sweep: what it may take, what that costs, what happens then."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, field_validator

from search_spaces.spec.sections.accelerators import PATTERN, spelt_as_ray_does
from trainer.config.section import Section

MAX_TRIALS = 1_000_000
MAX_HOURS = 24 * 366
MAX_USD = 1_000_000

# finished: nothing is left to do; budget: the dollars are used; deadline: the hours, or the time has come; failed: a
# fault, or too many trials that fail alike
End = Literal["finished", "budget", "deadline", "failed"]
ENDS: tuple[str, ...] = get_args(End)


class BudgetConfig(Section):
    """Where the sweep ends, if not with its space: what is reached first. See `docs/night.md`."""

    trials: int | None = Field(default=None, ge=1, le=MAX_TRIALS, description="most trials, replicates counted")
    hours: float | None = Field(
        default=None, gt=0, le=MAX_HOURS, description="that drivers work on it, all calls together"
    )
    until: str | None = Field(
        default=None,
        description="local time of the driver: 07:00 is the next one after the call, or 2026-12-01 07:00",
        json_schema_extra={"expected": "a time in quotes, such as '07:00' or '2026-12-01 07:00'"},
    )
    usd: float | None = Field(
        default=None,
        gt=0,
        le=MAX_USD,
        description="for all machines of the cluster while the sweep goes on, in use or not",
    )

    @field_validator("until")
    @classmethod
    def _is_a_time(cls, text: str | None) -> str | None:
        if text is not None:
            read_until(text, datetime.now().astimezone())
        return text

    @property
    def is_timed(self) -> bool:
        """Whether it can end a trial that runs."""
        return any(limit is not None for limit in (self.hours, self.until, self.usd))


def read_until(text: str, now: datetime) -> datetime:
    """The moment that `until` means, in local time: of a time of day, the next one after `now`.

    Raises:
        ValueError: if it is no time.
    """
    try:
        of_day = time.fromisoformat(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).astimezone()  # without a zone: local, by the rules of that day
        except ValueError:
            raise ValueError("must be a time in quotes, such as '07:00' or '2026-12-01 07:00'") from None
    today = now.astimezone().date()
    moments = [datetime.combine(today + timedelta(days=days), of_day).astimezone() for days in (0, 1)]
    return next((moment for moment in moments if moment > now), moments[-1])


Price = Annotated[float, Field(ge=0, le=MAX_USD)]
Kind = Annotated[str, Field(pattern=PATTERN), AfterValidator(spelt_as_ray_does)]


class OnFinishConfig(Section):
    """A command that is run once when the sweep ends by itself. See `docs/night.md`."""

    command: tuple[str, ...] = Field(
        min_length=1, description="a list of arguments", json_schema_extra={"expected": "a list of arguments"}
    )
    ends: tuple[str, ...] = Field(
        default=ENDS,
        min_length=1,
        description=f"for which of them: {', '.join(ENDS)}",
        json_schema_extra={"expected": f"a list of {', '.join(ENDS)}"},
    )

    @field_validator("ends")
    @classmethod
    def _are_known(cls, ends: tuple[str, ...]) -> tuple[str, ...]:
        for end in ends:
            if end not in ENDS:
                raise ValueError(f"must be of {', '.join(ENDS)}")
        return ends
