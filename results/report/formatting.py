"""Numbers as short texts, the same in the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from results.analysis.objectives import metric_of
from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group
from results.analysis.statistics import Estimate

HEADERS = ("", "config", "CE ± 95 %", "seeds", "P(fr)", "bytes", "bpb", "vs untuned", "tokens/s")

SURE = 0.95  # probability from which a config counts as being on the front
MAX_DOUBTFUL = 5  # that are named


def group_cells(group: Group) -> tuple[str, ...]:
    """One row under HEADERS. A star marks the front, a cross a config that breaks a constraint."""
    return (
        "*" if group.on_front else "" if group.feasible else "x" if group.feasible is False else "?",
        group.label,
        with_interval(group.estimates.get("ce"), 4),
        seeds(group),
        "–" if group.front_probability is None else f"{group.front_probability:.2f}",
        "–" if group.artifact_bytes is None else f"{group.artifact_bytes:,}",
        f"{group.estimates['bpb'].mean:.4f}" if "bpb" in group.estimates else "–",
        against_control(group),
        speeds(group),
    )


def with_interval(found: Estimate | None, digits: int, sign: str = "") -> str:
    """`3.1416 ± 0.0021`; the mean alone for one seed."""
    if found is None:
        return "–"
    text = f"{found.mean:{sign}.{digits}f}"
    return text if found.half_width is None else f"{text} ± {found.half_width:.{digits}f}"


def difference(found: Estimate | None, num_seeds: int) -> str:
    """`-1.25 ± 0.30` percent, with the number of pairs where some seeds have no control; `–` without any."""
    pairs = "" if found is None or found.num >= num_seeds else f" ({found.num} of {num_seeds} seeds)"
    return with_interval(found, 2, "+") + pairs


def seeds(group: Group) -> str:
    """`3`, or `2 (1 lost)` where trials of the config gave no score."""
    return f"{group.ce.num} ({group.num_not_completed} lost)" if group.num_not_completed else str(group.ce.num)


def against_control(group: Group) -> str:
    """Difference of CE from the control in percent, negative is better; `control` for controls, `–` where none is."""
    if group.control is not None and group.control.ce_pct is not None:
        return f"{difference(group.control.ce_pct, group.ce.num)} %"
    return "control" if group.recipe == "baseline" else "–"


def speeds(group: Group) -> str:
    """Tokens per second by accelerator: `51,200 H100, 20,100 A40`."""
    return ", ".join(f"{speed:,.0f} {kind}" for kind, speed in group.tokens_per_s.items()) or "–"


def constraints_text(info: ParetoInfo) -> str:
    return " and ".join(map(str, info.constraints)) or "no constraint"


def objectives_text(info: ParetoInfo) -> str:
    return ", ".join(f"{column} {direction}" for column, direction in info.objectives.items())


def headline(info: ParetoInfo) -> str:
    """The one sentence to remember."""
    if info.not_counted.keys() == {"infeasible"} and not info.groups:
        return "No trial was trained: by their shapes all are infeasible under the limits of the sweep."
    if not info.groups:
        return "No trial has completed yet."
    if not info.feasible:
        return f"None of {_configs(len(info.groups))} keeps {constraints_text(info)}."
    best: dict[tuple[object, ...], Group] = {}
    for group in info.feasible:
        best.setdefault(group.scored_on, group)  # losses on other tokens do not compare
    several = len(best) > max(1, len(info.kinds))
    metric = metric_of(info.objectives)
    text = "; ".join(_best(group, metric) + (f" on {group.data}" if several else "") for group in best.values())
    name = "CE" if metric == "ce" else metric
    return f"Best {name} under {constraints_text(info)}: {text}{_confirmation(info, list(best.values()))}."


def _confirmation(info: ParetoInfo, best: Sequence[Group]) -> str:
    """What was confirmed of the best one: a figure that chance had no part in choosing."""
    confirmed = [group for group in info.groups if group.confirmed is not None]
    if not confirmed:
        return " – searched, not confirmed"
    first = confirmed[0]
    name = "" if first in best else f" of {first.label}"
    return f"; confirmed{name}: {confirmed_text(first)}"


def confirmed_text(group: Group) -> str:
    """`3.2200 ± 0.0100 on text that no choice has seen (5 fresh seeds)`."""
    assert group.confirmed is not None
    test = group.confirmed.test
    seeds = "1 fresh seed" if test.num == 1 else f"{test.num} fresh seeds"
    return f"{with_interval(test, 4)} on text that no choice has seen ({seeds})"


def _best(group: Group, metric: str) -> str:
    found, name, unit = group.ce, "CE", "nats/token"
    if metric == "bpb" and "bpb" in group.estimates:
        found, name, unit = group.estimates["bpb"], "bpb", "bits/byte"
    loss = f"{name} {with_interval(found, 4)} {unit} ({found.num} seed{'s' if found.num > 1 else ''})"
    size = "" if group.artifact_bytes is None else f" in {group.artifact_bytes:,} bytes"
    return f"{group.label}, {loss}{size}"


def doubt_text(info: ParetoInfo) -> str:
    """Which configs may or may not be on the front; empty where no config has two seeds."""
    known = [(one.label, one.front_probability) for one in info.groups if one.front_probability is not None]
    if not known:
        return ""
    num_sure = sum(probability >= SURE for _, probability in known)
    doubtful = [f"{label} ({probability:.2f})" for label, probability in known if 1 - SURE <= probability < SURE]
    more = f" and {len(doubtful) - MAX_DOUBTFUL} more" if len(doubtful) > MAX_DOUBTFUL else ""
    return f"front: {_configs(num_sure)} beyond doubt; in doubt {', '.join(doubtful[:MAX_DOUBTFUL]) or 'none'}{more}"


def not_counted_text(info: ParetoInfo) -> str:
    """`3 of 20 trials are not counted: 2 failed, 1 diverged`."""
    lost = sum(info.not_counted.values())
    if not lost:
        return f"all {info.num_trials} trials are counted" if info.num_trials != 1 else "the one trial is counted"
    reasons = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in info.not_counted.items())
    return f"{lost} of {info.num_trials} trials {'is' if lost == 1 else 'are'} not counted: {reasons}"


def by_front(info: ParetoInfo, groups: Sequence[Group]) -> list[tuple[str, list[Group]]]:
    """Groups to list, split where each accelerator has a front of its own, each part with its heading.

    One part with an empty heading where the objectives do not depend on the device.
    """
    if not info.kinds:
        return [("", list(groups))]
    parts = ((kind, [group for group in groups if group.kind == kind]) for kind in info.kinds)
    return [(f"on {kind or 'an unknown device'}", part) for kind, part in parts if part]


def table_groups(info: ParetoInfo, most: int = 20, everything: bool = False) -> Sequence[Group]:
    """Groups to list, best first: all, or the feasible ones, cut to the front and the layers nearest to it."""
    if everything:
        return info.groups
    room = max(most, len(info.front))
    nearest = sorted(info.feasible, key=lambda group: math.inf if group.rank is None else group.rank)[:room]
    chosen = set(map(id, nearest))
    return [group for group in info.feasible if id(group) in chosen]


def _configs(number: int) -> str:
    return "1 config" if number == 1 else f"{number} configs"
