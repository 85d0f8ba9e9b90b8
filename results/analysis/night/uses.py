"""What came of each trial, in a word: its own state, as the last line of `frostline run` and the page name it."""

from __future__ import annotations

from collections.abc import Sequence

from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group, Row, is_suspect
from results.analysis.standing import group_columns, has_score

FRONT, DOMINATED, OVER_LIMIT, NOT_RANKED = "front", "dominated", "over a limit", "not ranked"
SUSPECT, NO_SCORE = "on a suspect node", "without a score"


def uses_of(info: ParetoInfo | None, rows: Sequence[Row]) -> list[str]:
    """One of each row, in their order.

    Args:
        info: of all trials that the rows are compared with; None where no trial completed.
        rows: with `status`, `suspect`, `ce` and the columns that make a config.
    """
    columns = group_columns(info.objectives) if info is not None else ()
    groups = {_key(group)[: len(columns)]: group for group in info.groups} if info is not None else {}
    return [_use(row, groups.get(tuple(row.get(name) for name in columns))) for row in rows]


def _key(group: Group) -> tuple[str | None, ...]:
    return group.config_id, group.data_sha256, group.kind


def _use(row: Row, group: Group | None) -> str:
    status = row["status"] or "unknown"
    if status != "completed":
        return OVER_LIMIT if status == "infeasible" else str(status).replace("_", " ")
    if is_suspect(row):
        return SUSPECT
    if group is None or not has_score(row):
        return NO_SCORE
    if group.feasible is False:
        return OVER_LIMIT
    if group.rank is None:
        return NOT_RANKED
    return FRONT if group.on_front else DOMINATED
