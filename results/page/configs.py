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
    groups = _groups_of(info, rows)
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


def _groups_of(info: ParetoInfo, rows: Sequence[Row]) -> list[int | None]:
    """The group of each row. Trials of several runs may share an id: what they share beside it makes the group."""
    exact: dict[tuple[str, str | None, str | None], int] = {}
    near: dict[tuple[str, str | None], int] = {}
    for index, group in enumerate(info.groups):
        exact |= {(group.config_id, group.data_sha256, one.accelerator): index for one in group.replicates}
        near.setdefault((group.config_id, group.data_sha256), index)  # trials without a score on another accelerator
        near.setdefault((group.config_id, None), index)  # trials that met no data
    return [
        exact.get((config, data, row["accelerator"]), near.get((config, data)))
        for row in rows
        for config, data in [(row["config_id"], row["data_sha256"])]
    ]


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
