"""Rows of earlier runs as observations of today's space: `search.learn_from`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.search.history import Observation, Told, observed
from search_spaces.configs.agreeing import found_again
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.config_keys import find_key, keys_of
from search_spaces.spec.nested import merged, nested
from search_spaces.spec.sections.resources import TrialKeys
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.config.recipe_options import RECIPE_SECTIONS, SECTIONS_OF_RECIPE
from trainer.config.trial import TrialConfig

MAX_REASONS_SHOWN = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learned:
    """What could be used of the rows of earlier runs, and how many could not, by reason."""

    observations: tuple[Observation, ...]
    num_rows: int
    num_used: int
    reasons: Mapping[str, int]

    def text(self) -> str:
        """One line: how many rows, of how many configs, and why not the rest."""
        line = f"learned from {self.num_used} of {self.num_rows} earlier trials, {len(self.observations)} configs"
        if not self.reasons:
            return line
        most = Counter(self.reasons).most_common(MAX_REASONS_SHOWN)
        rest = len(self.reasons) - len(most)
        reasons = [f"{count} where {reason}" for reason, count in most] + ([f"{rest} more reasons"] if rest else [])
        return f"{line}; not from {'; '.join(reasons)}"


def learned_from(spec: SweepSpec, rows: Iterable[Mapping[str, Any]], data_sha256: Mapping[str, str]) -> Learned:
    """Use what today's space holds, on the same data; replicates of one config together.

    Args:
        rows: of the table of trials.
        data_sha256: fingerprint of each dataset of this sweep by its name.
    """
    groups: dict[str, tuple[Candidate, list[Told]]] = {}
    reasons: Counter[str] = Counter()
    for row in rows:
        candidate = _candidate(spec, row, data_sha256)
        if isinstance(candidate, str):
            reasons[candidate] += 1
        else:
            groups.setdefault(candidate.name, (candidate, []))[1].append(Told.of_row(row))
    found = [observed(candidate, told, spec.constraints) for candidate, told in groups.values()]
    observations = tuple(
        dataclasses.replace(one, ended_at=index - len(found)) for index, one in enumerate(found) if one is not None
    )
    num_used = sum(len(told) for _, told in groups.values())
    num_rows = num_used + sum(reasons.values())
    return Learned(observations=observations, num_rows=num_rows, num_used=num_used, reasons=reasons)


def _candidate(spec: SweepSpec, row: Mapping[str, Any], data_sha256: Mapping[str, str]) -> Candidate | str:
    if row.get("stage") == "confirm":
        return "it confirms a config"
    if row["status"] in ("failed", "infeasible", "stopped_early", "deadline"):
        return f"status is {row['status']}"
    if row["data_sha256"] is not None and row["data_sha256"] not in data_sha256.values():
        return "the data are others"
    config = config_of_row(row)
    return "the settings cannot be read back" if config is None else found_again(spec, config)


def in_order(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """By the time they ended, so that the order does not depend on how files were read."""
    return sorted(rows, key=lambda row: (str(row["finished_at"]), row["trial_id"]))


def config_of_row(row: Mapping[str, Any]) -> TrialConfig | None:
    """The config that a row's settings describe; None where they are not those of its `config_id`."""
    unused = set(RECIPE_SECTIONS) - set(SECTIONS_OF_RECIPE.get(row["recipe"], ()))
    values: dict[str, Any] = {key: row[key] for key in ("recipe", "data", "seed")}
    for key in keys_of(TrialKeys):
        column = "cfg_" + key.replace(".", "_")
        if column in row and key.partition(".")[0] not in unused:
            values = merged(values, nested(key, _plain(key, row[column])))
    try:
        config = TrialConfig.model_validate(values)
    except ValidationError:
        return None
    return config if config.config_id == row["config_id"] else None


def _plain(name: str, value: Any) -> Any:
    """A value of the table as the config has it: lists are joined by commas there."""
    key = find_key(name)
    return value.split(",") if isinstance(value, str) and key is not None and key.takes_list else value
