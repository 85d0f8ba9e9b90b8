"""The base class of every section of a config."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values are never changed after construction."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def with_presets(values: Any, presets: dict[str, dict[str, Any]], key: str, default: str) -> Any:
    """Give each setting that is not in `values` the preset that `values[key]` names; explicit settings win."""
    if not isinstance(values, dict):
        return values
    return {**presets.get(str(values.get(key, default)), {}), **values}
