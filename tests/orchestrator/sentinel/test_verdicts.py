"""Which nodes sentinels find, and which rows are suspect for it."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sentinel.records import Explanation, Record
from orchestrator.sentinel.verdicts import (
    CE_ALLOWANCE,
    SPEED_ALLOWANCE,
    Suspicion,
    is_to_repeat,
    suspicions,
    why_suspect,
)

HOUR = 3_600.0


def record(node: str, hour: float = 0.0, *, speed: float = 100.0, ce: float | None = 4.0, **more: Any) -> Record:
    """A sentinel of ten seconds that did `speed` steps a second."""
    values: dict[str, Any] = {
        "host": f"host-{node}",
        "accelerator": "A40",
        "control": "c",
        "status": "completed",
        "device_name": "NVIDIA A40",
        "torch_version": "2.13.0",
        "tokens_per_s": speed * 1_000,
        "step_seconds": 1 / speed,
        **more,
    }
    return Record(node=node, ce=ce, began_seconds=hour * HOUR, ended_seconds=hour * HOUR + 10, **values)


def row(node: str, began: float, ended: float) -> dict[str, Any]:
    """Of a trial, by hours since 1970."""
    started, finished = (datetime.fromtimestamp(hour * HOUR, UTC) for hour in (began, ended))
    return {"node": node, "started_at": started.isoformat(), "finished_at": finished}


def twice(*records: Record) -> list[Record]:
    """Each of them once more, soon after."""
    later = [
        dataclasses.replace(one, began_seconds=one.began_seconds + 20, ended_seconds=one.ended_seconds + 20)
        for one in records
    ]
    return [*records, *later]


def test_a_slow_node_of_three_is_found_alone() -> None:
    """Half as fast as the others: it is named with the share, and nothing is said of them."""
    [found] = suspicions(twice(record("a"), record("b"), record("c", speed=50)))
    assert (found.node, found.kind, found.since_seconds, found.until_seconds) == ("c", "speed", -math.inf, math.inf)
    assert found.text == "50% slower than the median of 3 nodes with A40, at 50,000 tokens/s"
    assert found.is_open and found.label == "host-c (A40, c)"


def test_one_slow_sentinel_may_be_chance() -> None:
    """It is repeated at once, and counts where the second is slow as well; a good second one clears the node."""
    first = [record("a"), record("b"), record("c", speed=50)]
    assert suspicions(first) == [] and is_to_repeat("c", first) and not is_to_repeat("a", first)
    slow, good = (record("c", 0.1, speed=speed) for speed in (50.0, 100.0))
    assert len(suspicions([*first, slow])) == 1 and not is_to_repeat("c", [*first, slow])
    assert suspicions([*first, good]) == [] and not is_to_repeat("c", [*first, good])
    assert not is_to_repeat("d", first)


def test_two_nodes_that_differ_are_both_shown() -> None:
    """In speed and in ce: which one is at fault nobody can know from the two."""
    found = suspicions(twice(record("a", speed=100), record("b", speed=50)))
    assert {one.node for one in found} == {"a", "b"} and {one.kind for one in found} == {"speed"}
    found = suspicions([record("a", ce=4.0), record("b", ce=4.0000000000000009)])
    assert {(one.node, one.kind) for one in found} == {("a", "ce"), ("b", "ce")}
    assert all("the 2 nodes with NVIDIA A40 do not agree" in one.text for one in found)


def test_one_node_is_compared_with_its_own_first() -> None:
    """A single node that becomes slow, or whose ce changes, is found; one that stays as it was is not."""
    assert suspicions([record("a", hour) for hour in range(5)]) == []
    [slow] = suspicions([record("a", 0), record("a", 2), record("a", 4, speed=60), record("a", 4.1, speed=60)])
    assert slow.kind == "speed" and "its own first sentinel" in slow.text
    [wrong] = suspicions([record("a", 0), record("a", 2, ce=4.1)])
    assert wrong.kind == "ce" and "where its own first sentinel had 4" in wrong.text and wrong.since_seconds == 10


def test_on_one_device_name_ce_is_equal_to_the_last_digit() -> None:
    """Of three, the one that differs in the last bit is found; another device name may differ within its allowance."""
    off = math.nextafter(4.0, 5.0)
    [found] = suspicions([record("a"), record("b"), record("c", ce=off)])
    assert found.node == "c" and found.kind == "ce" and "where most of 3 nodes with NVIDIA A40 have 4" in found.text
    other = {"device_name": "H100", "accelerator": "H100"}
    near, far = 4.0 * (1 + 0.9 * CE_ALLOWANCE), 4.0 * (1 + 3 * CE_ALLOWANCE)
    assert suspicions([record("a"), record("b", ce=near, **other)]) == []
    assert {one.node for one in suspicions([record("a"), record("b", ce=far, **other)])} == {"a", "b"}
    third = {"device_name": "L4", "accelerator": "L4"}
    found_alone = suspicions([record("a"), record("b", ce=far, **other), record("c", ce=4.001, **third)])
    assert [one.node for one in found_alone] == ["b"] and "kinds of device" in found_alone[0].text


def test_other_versions_and_other_controls_are_not_compared() -> None:
    """Another torch rounds otherwise; after a change of the space the control is another."""
    assert suspicions([record("a"), record("b", ce=4.001, torch_version="2.14.0")]) == []
    assert suspicions(twice(record("a"), record("b", control="d", speed=10, ce=5.0))) == []


def test_a_sentinel_without_a_score_is_the_node_s_fault_where_others_have_one() -> None:
    """Failed, diverged or NaN; a control that fails everywhere says nothing of a node."""
    failed = record("c", ce=None, status="failed", error="CUDA error", step_seconds=None)
    [found] = suspicions([record("a"), record("b"), failed])
    assert found.node == "c" and found.text == "its sentinel ended as failed (CUDA error)"
    [nan] = suspicions([record("a"), record("b"), record("c", ce=math.nan)])
    assert nan.node == "c"
    assert suspicions([dataclasses.replace(failed, node=node) for node in "abc"]) == []


def test_rows_between_the_last_good_and_the_next_good_sentinel_are_suspect() -> None:
    """Of that node alone, also those that ran in a part of that time; the verdict does not depend on the order."""
    good = [record(node, hour) for node in "ab" for hour in (0, 2, 4, 6)]
    bad = [record("c", 0), record("c", 2), record("c", 4, speed=40), record("c", 4.1, speed=40), record("c", 6)]
    [found] = suspicions([*good, *bad])
    assert (found.since_seconds, found.until_seconds) == (2 * HOUR + 10, 6 * HOUR) and not found.is_open
    inside = [row("c", 3, 4), row("c", 1, 3), row("c", 5, 7), row("c", 1, 7)]
    outside = [row("c", 0, 1), row("c", 6.1, 7), row("a", 3, 4)]
    assert all(why_suspect(one, [found]) == found.text for one in inside)
    assert all(why_suspect(one, [found]) is None for one in outside)
    assert suspicions([*reversed(bad), *good]) == [found]
    unknown = {"node": "c", "started_at": None, "finished_at": None}
    assert why_suspect(unknown, [found]) == found.text, "where its time is not known, a row may have run there then"


def test_an_explanation_covers_what_was_found_until_then() -> None:
    """The rows count again, also those to come while the node stays so; what is found after it has been good is new."""
    others = [record(node, hour) for node in "ab" for hour in (0, 2, 4, 6, 8)]
    slow = [record("c", 0, speed=50), record("c", 0.1, speed=50), record("c", 2, speed=50)]
    explanation = Explanation(node="c", at_seconds=1 * HOUR, text="its card is capped")
    [found] = suspicions([*others, *slow], [explanation])
    assert found.explanation == "its card is capped" and not found.is_open
    assert why_suspect(row("c", 1, 3), [found]) is None
    again = [record("c", 4), record("c", 6, speed=50), record("c", 6.1, speed=50)]
    first, second = suspicions([*others, *slow, *again], [explanation])
    assert first.explanation is not None and second.explanation is None
    assert why_suspect(row("c", 5, 7), [first, second]) == second.text
    elsewhere = Explanation(node="a", at_seconds=9 * HOUR, text="x")
    early = Explanation(node="c", at_seconds=1.0, text="x")
    assert suspicions([*others, *slow], [elsewhere, early])[0].explanation is None


def test_two_faults_of_one_time_are_both_said() -> None:
    """Slow and wrong: one text, each once."""
    found = suspicions(twice(record("a"), record("b"), record("c", speed=50, ce=4.5)))
    assert [one.kind for one in found] == ["speed", "ce"]
    assert why_suspect(row("c", 0, 1), [*found, *found]) == "; ".join(one.text for one in found)


SPEEDS = st.lists(st.floats(1.0, 1e6), min_size=3, max_size=8)


@given(SPEEDS, st.floats(0.001, 1_000))
def test_verdicts_on_speed_depend_on_ratios_alone(speeds: list[float], factor: float) -> None:
    """Exactly the nodes beyond the allowance are found, whatever the unit; the median itself never is."""

    def found(values: list[float]) -> set[str]:
        return {one.node for one in suspicions(twice(*(record(str(i), speed=v) for i, v in enumerate(values))))}

    middle = sorted(speeds)
    reference = (middle[(len(middle) - 1) // 2] + middle[len(middle) // 2]) / 2
    off = [abs(one / reference - 1) for one in speeds]
    sure = {str(i) for i, one in enumerate(off) if one > SPEED_ALLOWANCE + 1e-9}
    may = {str(i) for i, one in enumerate(off) if one > SPEED_ALLOWANCE - 1e-9}
    assert sure <= found(speeds) <= may
    clear = sure == may
    assert not clear or found([one * factor for one in speeds]) == found(speeds)


@given(st.lists(st.sampled_from([4.0, 4.0000001]), min_size=1, max_size=9))
def test_verdicts_on_ce_follow_the_majority(values: list[float]) -> None:
    """With more of one value, the others are found; with as many of each, all are."""
    found = {one.node for one in suspicions([record(str(i), ce=v) for i, v in enumerate(values)])}
    counts = {value: values.count(value) for value in values}
    top = max(counts.values())
    winners = [value for value, count in counts.items() if count == top]
    expected = {str(i) for i, v in enumerate(values) if len(winners) > 1 or v != winners[0]}
    assert found == expected


def test_nothing_is_found_in_nothing() -> None:
    """Without records no node is suspect, and a row of no known node is not."""
    assert suspicions([]) == [] and why_suspect({"node": None}, []) is None
    one = Suspicion(
        node="a",
        host="h",
        accelerator="A40",
        kind="ce",
        text="t",
        since_seconds=-math.inf,
        until_seconds=math.inf,
        found_seconds=0,
    )
    assert why_suspect({"node": None}, [one]) is None and why_suspect({"node": "a"}, [one]) == "t"
