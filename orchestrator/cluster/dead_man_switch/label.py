"""How a node says that it ends itself: a label of Ray's, and the words that are made of it. Pure.

A label's value has at most 63 letters, digits, `_`, `.` and `-`, and begins and ends with a letter or a digit.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

STOPS_ITSELF_LABEL = "frostline.stops-itself"
MOST_LETTERS_OF_A_COMMAND = 24  # the rest of the 63 is for the limits
FORM = re.compile(r"(?:leaves|runs-([A-Za-z0-9.-]*))(?:_lost-([0-9.e-]+)m)?(?:_max-([0-9.e-]+)h)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StopsItself:
    """By what a machine ends itself.

    Args:
        command: the name of the program that it runs; None: Ray ends there, and the machine stays.
        lost_minutes: that it waits for a head or a driver that is lost; None: it waits for ever, whatever is over.
        max_hours: its longest life; None: no limit.
    """

    command: str | None = None
    lost_minutes: float | None = None
    max_hours: float | None = None

    @property
    def ends_machine(self) -> bool:
        """Whether the machine itself ends, so that it costs nothing any more."""
        return self.command is not None

    def words(self) -> str:
        """What it does when, in a few words."""
        does = "leaves the cluster" if self.command is None else f"runs {self.command}"
        lost = self.lost_minutes
        when = [] if lost is None else ["when the sweep is over", f"{lost:g} min after its head or driver was lost"]
        when += [] if self.max_hours is None else [f"after {self.max_hours:g} h at the latest"]
        return f"{does} {', '.join(when)}"


def in_a_word(stops: StopsItself | None) -> str:
    """Whether a machine ends by itself, for a column of a table."""
    return "no" if stops is None else "yes" if stops.ends_machine else "leaves"


def label_value(stops: StopsItself) -> str:
    """As a value that Ray takes for a label."""
    # what a label may not have becomes a dash; `_` is between the parts
    name = re.sub(r"[^A-Za-z0-9.]+", "-", stops.command or "")[:MOST_LETTERS_OF_A_COMMAND]
    parts = ["leaves" if stops.command is None else f"runs-{name}"]
    parts += [] if stops.lost_minutes is None else [f"lost-{stops.lost_minutes:g}m"]
    parts += [] if stops.max_hours is None else [f"max-{stops.max_hours:g}h"]
    return "_".join(parts)


def from_label(value: str | None) -> StopsItself | None:
    """What a node's label says; None of a node that does not end itself, or whose label nobody here understands."""
    found = None if value is None else FORM.fullmatch(value)
    if found is None:
        return None
    command, lost, most = found.groups()
    try:
        return StopsItself(
            command=command,
            lost_minutes=None if lost is None else float(lost),
            max_hours=None if most is None else float(most),
        )
    except ValueError:
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaidNode:
    """One machine of a cluster, what it costs an hour (None: unknown), and by what it ends itself, if it does."""

    host: str
    usd_per_hour: float | None
    stops: StopsItself | None


def cost_lines(nodes: Iterable[PaidNode]) -> list[str]:
    """What the machines cost an hour, and until when: a line for each way to end by itself, and one for the others.

    Nothing, where none ends by itself and none is known to cost something.
    """
    nodes = sorted(nodes, key=lambda one: one.host)
    ways = {one.stops for one in nodes if one.stops is not None and one.stops.ends_machine}
    lines = []
    for way in sorted(ways, key=StopsItself.words):
        same = [one for one in nodes if one.stops == way]
        lines.append(f"end by themselves ({_cost(same)} until then): {_hosts(same)}; each {way.words()}")
    others = [one for one in nodes if one.stops not in ways]
    if others and (lines or any(one.usd_per_hour for one in others)):
        lines.append(
            f"{_cost(others)} until somebody stops these machines, which do not end by themselves: {_hosts(others)}"
        )
    return lines


def _hosts(nodes: Iterable[PaidNode]) -> str:
    """Each host once, with what it does instead, if it leaves the cluster."""
    said = (
        one.host if one.stops is None or one.stops.ends_machine else f"{one.host} ({one.stops.words()})"
        for one in nodes
    )
    return ", ".join(dict.fromkeys(said))


def _cost(nodes: Iterable[PaidNode]) -> str:
    prices = [one.usd_per_hour for one in nodes]
    unknown = prices.count(None)
    known = f"{sum(price for price in prices if price is not None):g} USD/hour"
    if unknown == len(prices):
        return "at an unknown price"
    return known + (f" and {unknown} of unknown price" if unknown else "")
