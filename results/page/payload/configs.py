"""Configs and trials as columns for the page's script."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from results.analysis.claims import Claim
from results.analysis.replicate_groups import Group, Row
from results.page.configs import PageConfig
from results.page.frame import size_of
from results.page.page_info import PageInfo, link_to
from results.page.payload.columns import exact, rounded, sparse, words
from results.page.states import why_no_rank
from results.report.conclusions import claim_text
from results.report.formatting import confirmed_text

FILES = ("config.yaml", "result.json", "state.json", "curve.parquet", "artifact.frost", "log.txt", "hang.txt")
_ERROR_CHARACTERS = 400


def configs_data(page: PageInfo) -> dict[str, Any]:
    """One entry per config in every list; those with a score come first, best first."""
    every = page.configs.all
    place = {_key(page, one.group, one.config_id): i for i, one in enumerate(every) if one.group is not None}

    def of_groups(value: Callable[[Group], Any]) -> list[Any]:
        return [None if one.group is None else value(one.group) for one in every]

    estimates = [None if one.group is None else one.group.estimates.get(page.metric) for one in every]
    against = [one.group.control if one.group else None for one in every]
    percent = [one.ce_pct if one else None for one in against]
    return {
        "label": [one.label for one in every],
        "id": [one.config_id for one in every],
        "state": [one.state for one in every],
        "y": [rounded(one.mean) if one else None for one in estimates],
        "half_width": sparse(rounded(one.half_width, 3) if one else None for one in estimates),
        "seeds": [one.num if one else 0 for one in estimates],
        "x": [rounded(size_of(page, index), 9) for index in range(len(every))],
        "chance": sparse(of_groups(lambda group: rounded(group.front_probability, 3))),
        "no_rank": sparse(of_groups(why_no_rank)),
        "unsure": sparse(of_groups(lambda group: True if group.feasible is None else None)),
        "control": sparse(_control(page, one, place) for one in every),
        "percent": sparse(rounded(one.mean, 4) if one else None for one in percent),
        "percent_half_width": sparse(rounded(one.half_width, 3) if one else None for one in percent),
        "pairs": sparse(one.num if one else None for one in percent),
        "claim": sparse(_claims(page, one) for one in every),
    }


def _key(page: PageInfo, group: Group, config_id: str) -> tuple[str, str | None, str | None]:
    """What tells a config on the page of this group from all others, of its own id or of another."""
    return config_id, group.data_sha256, group.kind if page.info.kinds else None


def _control(page: PageInfo, one: PageConfig, place: Mapping[tuple[str, str | None, str | None], int]) -> int | None:
    """The config that is the control: on the same data, and on the same accelerator where that splits configs."""
    if one.group is None or one.group.control is None:
        return None
    return place.get(_key(page, one.group, one.group.control.config_id))


def _claims(page: PageInfo, config: PageConfig) -> list[str] | None:
    """What confirmation says of the config."""
    if config.group is None or config.group.confirmed is None:
        return None
    labels = {group.config_id: group.label for group in page.info.groups}
    mine: Iterable[Claim] = (one for one in page.info.claims if one.config_id == config.config_id)
    return [f"confirmed: {confirmed_text(config.group)}", *(claim_text(one, labels, page.info) for one in mine)]


def trials_data(page: PageInfo) -> dict[str, Any]:
    """One entry per trial in every list, in the order of the tables."""
    rows, configs = page.rows, page.configs
    return {
        "id": [str(row["trial_id"]) for row in rows],
        "run": page.run_of_row if len(page.folders) > 1 else None,
        "config": configs.of_row,
        "state": configs.state_of_row,
        "status": words(row["status"] for row in rows),
        "seed": [exact(row["seed"]) for row in rows],
        "y": [rounded(row[page.metric]) for row in rows],
        "x": [_row_size(page, row) for row in rows],
        "minutes": [_minutes(row) for row in rows],
        "usd": [rounded(row["usd"], 4) for row in rows] if any(row["usd"] is not None for row in rows) else None,
        "speed": [rounded(row["tokens_per_s"], 4) for row in rows],
        "accelerator": words(row["accelerator"] for row in rows),
        "host": words(row["host"] for row in rows),
        "stage": sparse(row["stage"] if row["stage"] == "confirm" else None for row in rows),
        "error": words(_error(row) for row in rows),
        "stop": sparse(map(_stop, rows)),
        "files": _files(page),
    }


def _row_size(page: PageInfo, row: Row) -> float | int | None:
    value = row.get(page.size)
    return None if value is None else rounded(float(value), 9)


def _minutes(row: Row) -> float | int | None:
    return None if row["total_seconds"] is None else rounded(row["total_seconds"] / 60, 4)


def _error(row: Row) -> str | None:
    """Why a trial has no score that counts, on one line."""
    text = " ".join(str(row["suspect"] or row["error"] or "").split())
    if not text:
        return None
    return text if len(text) <= _ERROR_CHARACTERS else "…" + text[-_ERROR_CHARACTERS:]


def _stop(row: Row) -> list[Any] | None:
    """What early stopping found: look, planned steps, expected score, best case, the rival, whether it ran on."""
    if row["stop_step"] is None:
        return None
    numbers = (row["stop_step"], row["steps_planned"], row["stop_predicted"], row["stop_best_case"])
    return [*map(rounded, numbers), row["stop_dominated_by"], bool(row["stop_audited"])]


def _files(page: PageInfo) -> dict[str, Any]:
    """`roots`: a link to `trials/` of each run; `have`: for each trial which of `names` exist, as bits."""
    known: list[Mapping[str, int]] = [_files_of(folder / "trials") for folder in page.folders]
    runs = page.run_of_row
    return {
        "names": FILES,
        "roots": [link_to(page, folder / "trials") for folder in page.folders],
        "have": sparse(known[run].get(str(row["trial_id"])) for run, row in zip(runs, page.rows, strict=True)),
    }


def _files_of(trials: Path) -> dict[str, int]:
    """The files of each trial's folder, as bits in the order of FILES; nothing where they lie elsewhere."""
    if not trials.is_dir():
        return {}
    found = {}
    for entry in sorted(os.scandir(trials), key=lambda one: one.name):
        if entry.is_dir():
            names = set(os.listdir(entry.path))
            found[entry.name] = sum(1 << bit for bit, name in enumerate(FILES) if name in names)
    return found
