"""`frostline replay`: the config that a row of the table describes, and the comparison with its new result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from pydantic import BaseModel, ValidationError

import results
from orchestrator.errors import UsageError
from trainer.config.recipe_options import RECIPE_SECTIONS, SECTIONS_OF_RECIPE
from trainer.config.trial import TrialConfig
from trainer.result import TrialResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A trial and its replay: the same bits, or how far apart."""

    same_artifact: bool
    same_device: bool
    same_data: bool
    moved: bool
    ce_difference: float
    artifact_bytes_difference: int

    def text(self) -> str:
        """The comparison in one line."""
        if self.same_artifact and self.ce_difference == 0:
            return "the bits agree: same artifact, same ce"
        why = [] if self.same_data else ["the data differ"]
        why += [] if self.same_device else ["the device differs"]
        why += ["the trial moved between devices, for which no bits are promised"] if self.moved else []
        because = f" ({', '.join(why)})" if why else " on the same data and device: this should not be"
        return (
            f"the bits differ{because}: ce {self.ce_difference:+.6f} nats, "
            f"artifact {self.artifact_bytes_difference:+,} bytes"
        )


def find_row(run: Path, trial_id: str) -> dict[str, Any]:
    """One completed trial's row of a run's table, by its id or a unique beginning of it.

    Raises:
        UsageError: if there is none, or several.
    """
    try:
        trials = results.load(run).trials
    except results.ResultsError as error:
        raise UsageError(str(error)) from error
    found = trials[trials.trial_id.astype(str).str.startswith(trial_id)]
    if len(found) != 1:
        known = ", ".join(trials.trial_id.astype(str).head(5))
        raise UsageError(f"{run} has {len(found)} trials whose id begins with {trial_id}; there are: {known}, …")
    row = {name: value for name, value in found.iloc[0].items() if not pd.isna(value)}
    if row["status"] != "completed":
        raise UsageError(
            f"{row['trial_id']} is {row['status']}: only a completed trial can be compared with its replay"
        )
    return {str(name): value for name, value in row.items()}


def config_of_row(row: Mapping[str, Any]) -> TrialConfig:
    """The config that a row of the table describes; its trial id is the row's, or the row is not whole.

    Raises:
        UsageError: if the row was written by a version with other settings.
    """
    values = _section(TrialConfig, row, "cfg_") | {name: row[name] for name in ("recipe", "data", "seed")}
    unused = set(RECIPE_SECTIONS) - set(SECTIONS_OF_RECIPE[str(row["recipe"])])
    values = {key: value for key, value in values.items() if key not in unused}
    config = TrialConfig.model_validate(values)
    if not str(row["trial_id"]).startswith(config.trial_id):
        # A setting that the row lacks but its family fills was null on purpose; rows of older versions lack others too.
        with suppress(ValidationError):
            config = TrialConfig.model_validate(_with_nulls(values, config.model_dump(mode="json"), row, "cfg_"))
    if not str(row["trial_id"]).startswith(config.trial_id):
        raise UsageError(
            f"{row['trial_id']} was written by a version with other settings: its row gives {config.trial_id}"
        )
    return config


def compare(row: Mapping[str, Any], replayed: TrialResult) -> Comparison:
    """What a replay gave against what the row says."""
    return Comparison(
        same_artifact=row["artifact_sha256"] == replayed.artifact_sha256,
        same_device=row["device_name"] == replayed.device_name,
        same_data=row["data_sha256"] == replayed.data_sha256,
        moved=";" in str(row.get("devices") or ""),
        ce_difference=math.nan if replayed.ce is None else replayed.ce - float(row["ce"]),
        artifact_bytes_difference=(replayed.artifact_bytes or 0) - int(row["artifact_bytes"]),
    )


def not_kept(artifact: Path) -> str | None:
    """That a completed trial of a run has no artifact any more, and how to get it again; None in any other case."""
    folder = artifact.resolve().parent
    if artifact.exists() or folder.parent.name != "trials":
        return None
    try:
        is_completed = TrialResult.load(folder / "result.json").status == "completed"
    except (OSError, ValueError):
        return None
    run = folder.parent.parent
    again = f"frostline replay {run} {folder.name} --out FOLDER trains it again"
    return (
        f"the artifact of {folder.name} was not kept, see keep in {run / 'sweep.yaml'}: {again}"
        if is_completed
        else None
    )


def _section(model: type[BaseModel], row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The settings of one section from its columns; a section without any column is left out."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        sections = [t for t in (field.annotation, *get_args(field.annotation)) if _is_section(t)]
        if sections:
            inner = _section(sections[0], row, f"{prefix}{name}_")
            values.update({name: inner} if inner else {})
        elif prefix + name in row:
            values[name] = _plain(row[prefix + name], is_list="tuple" in str(field.annotation))
    return values


def _with_nulls(
    values: Mapping[str, Any], filled: Mapping[str, Any], row: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """The values, and null (or an empty list) for every setting that is filled otherwise but has none in the row."""
    whole = dict(values)
    for name, value in filled.items():
        if isinstance(value, dict):
            whole[name] = _with_nulls(values.get(name, {}), value, row, f"{prefix}{name}_")
        elif value is not None and name not in whole and prefix + name not in row:
            whole[name] = [] if isinstance(value, list) else None
    return whole


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _plain(value: Any, *, is_list: bool) -> Any:
    if is_list:
        return [part for part in str(value).split(",") if part]
    return value.item() if hasattr(value, "item") else value
