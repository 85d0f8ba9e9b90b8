"""Which nodes are suspect, from when until when, and why: from what sentinels have measured. Pure.

A record is compared with the record of every other node that is nearest in time, so that verdicts are a function of the
records alone. With one node of a kind, its own first record is what it is compared with.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any, Literal

from orchestrator.sentinel.records import Explanation, Record

# Of the median step, from the median of the nodes of an accelerator.
SPEED_ALLOWANCE = 0.10
# Of ce, from the median over device names: other devices round otherwise, which grows over the steps. On one device
# name there is none: same seed, same device, same ce.
CE_ALLOWANCE = 0.01

Kind = Literal["speed", "ce"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suspicion:
    """What is wrong with a node. What ran there between its last good sentinel and its next good one is suspect.

    Args:
        since_seconds, until_seconds: infinite where there was no good sentinel.
        found_seconds: when the first bad sentinel ended.
        explanation: of a user; its rows count again.
    """

    node: str
    host: str
    accelerator: str
    kind: Kind
    text: str
    since_seconds: float
    until_seconds: float
    found_seconds: float
    explanation: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the node is so now, as far as anybody knows."""
        return math.isinf(self.until_seconds) and self.explanation is None

    @property
    def label(self) -> str:
        return f"{self.host} ({self.accelerator}, {self.node[:8]})"

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Whether a trial ran on that node in that time, or in a part of it."""
        if row.get("node") != self.node:
            return False
        started, finished = _seconds(row.get("started_at")), _seconds(row.get("finished_at"))
        return (finished is None or finished > self.since_seconds) and (started is None or started < self.until_seconds)


def suspicions(records: Sequence[Record], explanations: Sequence[Explanation] = ()) -> list[Suspicion]:
    """Everything that was ever wrong, oldest first."""
    by_node: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(records, key=lambda one: one.ended_seconds):
        by_node.setdefault((record.node, record.control), []).append(record)
    found = [
        one
        for own in by_node.values()
        for kind, texts in (("speed", _speed_faults(own, records)), ("ce", [_ce_fault(r, records) for r in own]))
        for one in _spans(own, texts, "speed" if kind == "speed" else "ce", _is_wavering(own, records, kind))
    ]
    return sorted((_explained(one, explanations) for one in found), key=lambda one: one.found_seconds)


def why_suspect(row: Mapping[str, Any], found: Iterable[Suspicion]) -> str | None:
    """Why a row of the table of trials takes part in no comparison; None if it does."""
    texts = dict.fromkeys(one.text for one in found if one.explanation is None and one.covers(row))
    return "; ".join(texts) or None


def is_to_repeat(node: str, records: Sequence[Record]) -> bool:
    """Whether a node's last sentinel was off in speed for the first time: one alone may be chance."""
    own = [one for one in records if one.node == node]
    if not own:
        return False
    own = sorted((one for one in own if one.control == own[-1].control), key=lambda one: one.ended_seconds)
    off = [_speed_off(one, records) for one in own]
    return off[-1] is not None and (len(off) == 1 or off[-2] is None)


def _speed_faults(own: Sequence[Record], records: Sequence[Record]) -> list[str | None]:
    """For each record of a node, how far it is off; only where the one before it, or behind it, is off as well."""
    off = [_speed_off(record, records) for record in own]
    padded = [None, *off, None]
    return [text if before or behind else None for before, text, behind in zip(padded, off, padded[2:], strict=False)]


def _is_wavering(own: Sequence[Record], records: Sequence[Record], kind: str) -> list[bool]:
    """Records that are neither good nor bad: off in speed alone."""
    if kind != "speed":
        return [False] * len(own)
    faults = _speed_faults(own, records)
    return [fault is None and _speed_off(one, records) is not None for one, fault in zip(own, faults, strict=True)]


def _speed_off(record: Record, records: Sequence[Record]) -> str | None:
    speed = _speed(record)
    if speed is None:
        return None
    alike = [one for one in records if one.accelerator == record.accelerator and one.control == record.control]
    alike = [one for one in alike if _speed(one) is not None]
    peers = _peers(record, alike)
    if len(peers) > 1:
        reference = median(_speed(one) or 0.0 for one in peers)
        whom = f"the median of {len(peers)} nodes with {record.accelerator}"
    else:
        first = min((one for one in alike if one.node == record.node), key=lambda one: one.ended_seconds)
        reference, whom = _speed(first) or 0.0, "its own first sentinel"
    if abs(speed / reference - 1) <= SPEED_ALLOWANCE:
        return None
    way = "slower" if speed < reference else "faster"
    tokens = "" if record.tokens_per_s is None else f", at {record.tokens_per_s:,.0f} tokens/s"
    return f"{abs(speed / reference - 1):.0%} {way} than {whom}{tokens}"


def _ce_fault(record: Record, records: Sequence[Record]) -> str | None:
    same = [one for one in records if one.control == record.control]
    if record.ce is None or not math.isfinite(record.ce):
        others = [one for one in _peers(record, same) if one is not record and one.ce is not None]
        what = f"its sentinel ended as {record.status}" + (f" ({record.error})" if record.error else "")
        return what if others else None  # a control that fails everywhere is no fault of a node
    scored = [one for one in same if one.ce is not None and math.isfinite(one.ce)]
    on_device = [one for one in scored if _device(one) == _device(record)]
    peers = _peers(record, on_device)
    if len(peers) == 1:
        first = min((one for one in on_device if one.node == record.node), key=lambda one: one.ended_seconds)
        usual, whom = first.ce, "its own first sentinel had"
    else:
        usual, whom = _usual(peers), f"most of {len(peers)} nodes with {record.device_name} have"
    if usual is None:
        return f"ce {record.ce:.17g}: the {len(peers)} nodes with {record.device_name} do not agree"
    if record.ce != usual:
        return f"ce {record.ce:.17g}, where {whom} {usual:.17g}"
    return _beside_other_devices(record, scored)


def _beside_other_devices(record: Record, scored: Sequence[Record]) -> str | None:
    """Whether ce differs from other devices by more than their rounding explains."""
    by_device: dict[tuple[str, str], list[Record]] = {}
    for one in _peers(record, scored):
        by_device.setdefault(_device(one), []).append(one)
    values = [one for one in map(_usual, by_device.values()) if one is not None]
    if len(by_device) < 2 or not values or record.ce is None:
        return None
    reference = median(values)
    if abs(record.ce - reference) <= CE_ALLOWANCE * abs(reference):
        return None
    return (
        f"ce {record.ce:.6g}, off by {abs(record.ce / reference - 1):.1%} from the median of {len(by_device)} kinds of "
        f"device ({reference:.6g}); {CE_ALLOWANCE:.0%} is allowed"
    )


def _usual(records: Sequence[Record]) -> float | None:
    """The ce that most of these have; None where two are as frequent."""
    counts = Counter(one.ce for one in records).most_common(2)
    return counts[0][0] if len(counts) == 1 or counts[0][1] > counts[1][1] else None


def _peers(record: Record, records: Iterable[Record]) -> list[Record]:
    """The record itself, and of every other node the one that is nearest in time."""
    nearest: dict[str, Record] = {}
    for one in records:
        if one.node != record.node:
            before = nearest.setdefault(one.node, one)
            if _distance(one, record) < _distance(before, record):
                nearest[one.node] = one
    return [record, *nearest.values()]


def _distance(one: Record, other: Record) -> float:
    return abs(one.ended_seconds - other.ended_seconds)


def _device(record: Record) -> tuple[str, str]:
    return record.device_name, record.torch_version


def _speed(record: Record) -> float | None:
    """Steps a second; None where it was not measured."""
    seconds = record.step_seconds
    return 1 / seconds if record.status == "completed" and seconds is not None and 0 < seconds < math.inf else None


def _spans(
    own: Sequence[Record], texts: Sequence[str | None], kind: Kind, wavering: Sequence[bool]
) -> Iterator[Suspicion]:
    """A span for each run of bad records between two good ones; its text is that of the newest."""
    last_good, bad = -math.inf, list[tuple[Record, str]]()

    def span(until: float) -> Suspicion:
        record = bad[0][0]
        return Suspicion(
            node=record.node,
            host=record.host,
            accelerator=record.accelerator,
            kind=kind,
            text=bad[-1][1],
            since_seconds=last_good,
            until_seconds=until,
            found_seconds=record.ended_seconds,
        )

    for record, text, is_wavering in zip(own, texts, wavering, strict=True):
        if text is not None:
            bad.append((record, text))
        elif not is_wavering:
            if bad:
                yield span(record.began_seconds)
            last_good, bad = record.ended_seconds, []
    if bad:
        yield span(math.inf)


def _explained(one: Suspicion, explanations: Iterable[Explanation]) -> Suspicion:
    texts = [each.text for each in explanations if each.node == one.node and each.at_seconds >= one.found_seconds]
    return dataclasses.replace(one, explanation="; ".join(dict.fromkeys(texts)) or None)


def _seconds(moment: Any) -> float | None:
    """Of a row: a datetime, or its text; None where there is none."""
    if not moment:
        return None
    return (datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp()
