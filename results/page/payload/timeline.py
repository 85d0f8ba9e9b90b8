"""Who held which device when: attempts in lanes, for the page's script."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from results.analysis.night.spending import check_of
from results.page.page_info import PageInfo
from results.page.payload.columns import rounded
from results.page.states import STATES, STOPPED, WASTED

# States of attempts beside those of trials: one that has not ended; one of a canary or a sentinel.
RUNNING, CHECK = len(STATES), len(STATES) + 1


def timeline_data(page: PageInfo) -> dict[str, Any] | None:
    """Lanes and bars, times in seconds after `start` (seconds since 1970); None without a table of attempts.

    A node has as many lanes as trials were on it at once: the tables know the share that a trial held, not its slot.
    """
    times = [value for part in page.parts for value in _all_times(part.attempts, part.nodes)]
    if not any(len(part.attempts) for part in page.parts) or not times:
        return None
    start, end = min(times), max([*times, *_last_words(page)])
    nodes: list[dict[str, Any]] = []
    bars: dict[str, list[Any]] = {"lane": [], "row": [], "from": [], "to": [], "state": [], "lost": []}
    num_lanes = first = 0
    for part in page.parts:
        order = {str(name): first + index for index, name in enumerate(part.trials["trial_id"])}
        known = {str(row["node"]): row for row in _records(part.nodes)}
        for node, attempts in _by_node(part.attempts, known):
            spans = [(_seconds(one["started_at"]) or start, _seconds(one["finished_at"]) or end) for one in attempts]
            lanes = lanes_of(spans)
            for one, (since, until), lane in zip(attempts, spans, lanes, strict=True):
                row = order.get(str(one["trial_id"]), -1)
                bars["lane"].append(num_lanes + lane)
                bars["row"].append(row)
                bars["from"].append(rounded(since - start, 7))
                bars["to"].append(rounded(until - start, 7))
                bars["state"].append(_state(one, page.configs.state_of_row[row] if row >= 0 else WASTED))
                bars["lost"].append(int(one["outcome"] == "lost"))
            height = max(lanes, default=0) + 1
            nodes.append({"lane": num_lanes, "lanes": height, **_node(node, known.get(node), attempts, start, end)})
            num_lanes += height
        first += len(part.trials)
    return {"start": start, "seconds": rounded(end - start, 9), "nodes": nodes, "lanes": num_lanes, "bars": bars}


def lanes_of(spans: Sequence[tuple[float, float]]) -> list[int]:
    """The lowest free lane for each span, in the order of their starts: no two in one lane overlap."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes, num_lanes = [0] * len(spans), 0
    for index in sorted(range(len(spans)), key=lambda one: (*spans[one], one)):
        since, until = spans[index]
        while busy and busy[0][0] <= since:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            free.append(num_lanes)
            num_lanes += 1
        lanes[index] = heapq.heappop(free)
        heapq.heappush(busy, (max(until, since), lanes[index]))
    return lanes


def _by_node(attempts: pd.DataFrame, nodes: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each node's attempts, nodes by host; also nodes that held no trial: they cost money too."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in nodes}
    for one in _records(attempts):
        found.setdefault(str(one["node"]), []).append(one)

    def name(item: tuple[str, list[dict[str, Any]]]) -> tuple[str, str]:
        node, held = item
        return str(nodes[node]["host"] if node in nodes else held[0]["host"]), node

    yield from sorted(found.items(), key=name)


def _node(
    name: str, known: dict[str, Any] | None, attempts: Sequence[dict[str, Any]], start: float, end: float
) -> dict[str, Any]:
    one = known or attempts[0]
    joined, left = (_seconds(one.get(key)) for key in ("joined_at", "left_at"))
    facts = {key: _number(one.get(key)) for key in ("up_seconds", "busy_seconds", "lost_seconds", "idle_seconds")}
    return {
        "name": name[:8],
        "host": str(one["host"]),
        "accelerator": str(one["accelerator"]),
        "from": rounded((joined if joined is not None else start) - start, 7),
        "to": rounded((left if left is not None else end) - start, 7),
        **(facts if known else {}),
        "usd_idle": _number(one.get("usd_idle")),
    }


def _state(attempt: dict[str, Any], of_trial: int) -> int:
    """What the attempt left: the trial's own state where it completed."""
    if check_of(str(attempt["trial_id"])):
        return CHECK
    if _seconds(attempt["finished_at"]) is None:
        return RUNNING
    return {"completed": of_trial, "stopped_early": STOPPED}.get(str(attempt["outcome"]), WASTED)


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in table.columns]
    return (dict(zip(names, values, strict=True)) for values in table.itertuples(index=False, name=None))


def _all_times(*tables: pd.DataFrame) -> Iterator[float]:
    for table in tables:
        for name in ("started_at", "finished_at", "joined_at", "left_at"):
            if name in table:
                yield from (value for one in table[name] if (value := _seconds(one)) is not None)


def _last_words(page: PageInfo) -> Iterator[float]:
    """When drivers that run wrote last: a trial that runs has held its device until then."""
    for state in page.states:
        if state is not None and state.state == "running":
            yield datetime.fromisoformat(state.updated_at).timestamp()


def _seconds(moment: Any) -> float | None:
    return None if moment is None or pd.isna(moment) else float(pd.Timestamp(moment).timestamp())


def _number(value: Any) -> float | int | None:
    return None if value is None or pd.isna(value) else rounded(float(value), 5)
