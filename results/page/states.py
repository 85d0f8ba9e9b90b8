"""What became of trials and configs, in five groups with one colour and one shape each, in every view."""

from __future__ import annotations

from typing import NamedTuple

from results.analysis.replicate_groups import Group, Row, is_suspect
from results.analysis.standing import has_score


class StateStyle(NamedTuple):
    """How a group is called and drawn; its colour is the CSS variable `--<name>`."""

    name: str
    label: str
    shape: str  # circle, dot, cross, triangle or square: see svg.dot
    title: str


STATES: tuple[StateStyle, ...] = (
    StateStyle("front", "on the front", "circle", "completed, and no other config is better in every objective"),
    StateStyle(
        "dominated", "dominated", "dot", "completed, not on the front: another config is better, or it has no rank"
    ),
    StateStyle("infeasible", "over a limit", "cross", "breaks a constraint of the sweep, trained or not"),
    StateStyle("stopped", "stopped early", "triangle", "ended by early stopping: no final score"),
    StateStyle("wasted", "wasted", "square", "failed, diverged, out of memory, out of time, or on a suspect node"),
)
FRONT, DOMINATED, INFEASIBLE, STOPPED, WASTED = range(5)


def state_of_group(group: Group) -> int:
    """The group of a config with a score, as an index of STATES."""
    if group.on_front:
        return FRONT
    return INFEASIBLE if group.feasible is False else DOMINATED


def why_no_rank(group: Group) -> str | None:
    """Why a config with a score is compared with no other, though it breaks no limit; None where it is compared."""
    if group.rank is not None or group.feasible is False:
        return None
    if group.num_stopped:
        return "no rank: a replicate was stopped early, and a mean of the others would be too good"
    missing = "a value of an objective" if group.feasible else "a value that a constraint needs"
    return f"no rank: {missing} is missing"


def state_of_trial(row: Row, group: Group | None) -> int:
    """The group of one trial, as an index of STATES; `group`: its config's, if that has a score."""
    status = row["status"]
    if status == "infeasible":
        return INFEASIBLE
    if status == "stopped_early":
        return STOPPED
    if not has_score(row) or is_suspect(row) or group is None:
        return WASTED
    return state_of_group(group)
