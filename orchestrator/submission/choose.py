"""Which trial of a run is handed in. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from orchestrator.errors import UsageError
from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group, Row

MAX_NAMES, MAX_NEAR = 5, 2


def chosen_row(rows: Sequence[Row], asked: str) -> Row:
    """The row of a completed trial, by its id or a unique beginning of it.

    Raises:
        UsageError: if there is none, there are several, or it has not completed.
    """
    found = [row for row in rows if row["trial_id"] == asked] or [
        row for row in rows if str(row["trial_id"]).startswith(asked)
    ]
    names = [str(row["trial_id"]) for row in found]
    if not names:
        raise UsageError(f"there is no trial {asked}{_nearest(asked, [str(row['trial_id']) for row in rows])}")
    if len(names) > 1:
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        raise UsageError(f"{len(names)} trials begin with {asked}: {', '.join(names[:MAX_NAMES])}{more}")
    if found[0]["status"] != "completed":
        why = f" ({found[0]['error']})" if found[0].get("error") else ""
        raise UsageError(f"{names[0]} is {found[0]['status']}{why}: only a completed trial has an artifact to hand in")
    return found[0]


def best_trial(info: ParetoInfo) -> str:
    """Of the config of least CE on the front, the trial of the lowest seed.

    Not its best seed: the least of several is better than the config is.

    Raises:
        UsageError: if no config keeps the limits, or the run scores on several texts, whose losses do not compare.
    """
    front = [group for group in info.front if group.feasible]
    if not front:
        raise UsageError("no completed config keeps the limits of the sweep: name the TRIAL to hand in")
    if len({group.data_sha256 for group in front}) > 1:
        texts = ", ".join(sorted({str(group.data) for group in front}))
        raise UsageError(f"the run has a front for each of several texts ({texts}): name the TRIAL to hand in")
    return min(front, key=lambda group: group.ce.mean).replicates[0].trial_id


def group_of(info: ParetoInfo, row: Row) -> Group | None:
    """The config that a trial is a replicate of; None where no trial of it counts."""
    same = [group for group in info.groups if group.config_id == row["config_id"]]
    return next((group for group in same if group.data_sha256 == row["data_sha256"]), None)


def _nearest(asked: str, names: Sequence[str]) -> str:
    """The trials whose id, or its beginning, is most like what was asked for."""
    whole = {**{name[: len(asked)]: name for name in reversed(names)}, **{name: name for name in names}}
    near = difflib.get_close_matches(asked, list(whole), n=MAX_NEAR, cutoff=0.5)
    found = list(dict.fromkeys(whole[name] for name in near))
    return f"; did you mean {' or '.join(found)}?" if found else f"; there are {', '.join(names[:MAX_NAMES])}, …"
