"""The configs of a page: those with a score as `ParetoInfo` has them, and those that gave none."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import CONFIG_COLUMNS, Group, Row
from results.page.states import INFEASIBLE, STOPPED, WASTED, state_of_group, state_of_trial


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageConfig:
    """One config. `group` is None where no trial of it gave a score; `settings`: recipe, data and the cfg_* columns."""

    label: str
    config_id: str
    state: int
    group: Group | None
    settings: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageConfigs:
    """Configs with a score first, best first; and for each trial its config and its own state."""

    all: tuple[PageConfig, ...]
    of_row: tuple[int, ...]
    state_of_row: tuple[int, ...]


def page_configs(info: ParetoInfo, rows: Sequence[Row]) -> PageConfigs:
    """Every row finds the group that it was counted in, else one of its config's, else a config without a score."""
    by_trial = {one.trial_id: index for index, group in enumerate(info.groups) for one in group.replicates}
    by_config: dict[tuple[str, str | None], int] = {}
    for place_of_group, group in enumerate(info.groups):
        by_config.setdefault((group.config_id, group.data_sha256), place_of_group)
        by_config.setdefault((group.config_id, None), place_of_group)  # trials that met no data
    groups = [by_trial.get(row["trial_id"], by_config.get((row["config_id"], row["data_sha256"]))) for row in rows]
    without: dict[str, list[Row]] = {}
    for row, index in zip(rows, groups, strict=True):
        if index is None:
            without.setdefault(str(row["config_id"]), []).append(row)
    place = {name: len(info.groups) + number for number, name in enumerate(without)}
    return PageConfigs(
        all=(*map(_of_group, info.groups), *map(_of_rows, without.values())),
        of_row=tuple(
            place[str(row["config_id"])] if index is None else index for row, index in zip(rows, groups, strict=True)
        ),
        state_of_row=tuple(
            state_of_trial(row, None if index is None else info.groups[index])
            for row, index in zip(rows, groups, strict=True)
        ),
    )


def _of_group(group: Group) -> PageConfig:
    settings = {"recipe": group.recipe, "data": group.data, **group.settings}
    return PageConfig(
        label=group.label, config_id=group.config_id, state=state_of_group(group), group=group, settings=settings
    )


def _of_rows(rows: Sequence[Row]) -> PageConfig:
    """A config without a score is called by its trial's id, less the seed."""
    first, states = rows[0], [state_of_trial(row, None) for row in rows]
    return PageConfig(
        label=re.sub(r"-s\d+(?=-|$)", "", str(first["trial_id"])),
        config_id=str(first["config_id"]),
        state=next((one for one in (STOPPED, INFEASIBLE) if one in states), WASTED),
        group=None,
        settings={column: first[column] for column in ("recipe", "data", *CONFIG_COLUMNS)},
    )
