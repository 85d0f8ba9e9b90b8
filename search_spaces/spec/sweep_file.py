"""The shape of a sweep file as pydantic models: sections, keys, types, bounds. Adding a section starts here.

What a key means together with others is checked later, see `load.py`.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, InstanceOf, WithJsonSchema, create_model

from search_spaces.spec.config_keys import RuleError, part_of
from search_spaces.spec.problems import did_you_mean
from search_spaces.spec.sections.budget import BudgetConfig, Kind, OnFinishConfig, Price
from search_spaces.spec.sections.early_stopping import EarlyStoppingConfig
from search_spaces.spec.sections.keep import KeepConfig
from search_spaces.spec.sections.replicates import ConfirmConfig, ReplicatesConfig, Seeds
from search_spaces.spec.sections.resources import AdmissionConfig, ResourcesConfig
from search_spaces.spec.sections.search import SearchConfig
from search_spaces.spec.sections.sentinel import Sentinel
from search_spaces.spec.sweep_spec import (
    DEFAULT_CONSTRAINTS,
    DEFAULT_OBJECTIVES,
    OBJECTIVES,
    Constraint,
    Direction,
)
from search_spaces.spec.yaml_document import plain_scalar
from trainer.config.section import Section
from trainer.config.trial import TrialConfig

MAX_CASES = 100
MAX_CONSTRAINTS = 20
FULL = "published"  # the scale of a file's own numbers

_CONSTRAINT = re.compile(r"\s*([A-Za-z0-9_]+)\s*(<=|>=)\s*(\S+)\s*")
_LIMIT_HINT = f"for example {DEFAULT_CONSTRAINTS[0]}"
# Marks a section that may differ between two calls of one sweep.
MAY_CHANGE = "may change"


def _column(name: Any) -> Any:
    if name not in OBJECTIVES:
        hint = did_you_mean(name, OBJECTIVES) or f"known columns: {', '.join(OBJECTIVES)}"
        raise RuleError("is no result column that a sweep can be after", hint)
    return name


def _direction(word: Any) -> Any:
    if word not in get_args(Direction):
        hints = [f"did you mean {one}?" for one in get_args(Direction) if str(word).startswith(one)]
        raise RuleError("must be min or max", next(iter(hints), None))
    return word


def _constraint(text: Any) -> Any:
    """`total_bytes <= 16_000_000` as a value."""
    match = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    bound = plain_scalar(match[3]) if match else None
    if match is None or isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
        raise RuleError("must be `column <= number` or `column >= number`", _LIMIT_HINT)
    if not abs(bound) < 1e18:
        raise RuleError("must have a limit below 1e18")
    return Constraint(_column(match[1]), "<=" if match[2] == "<=" else ">=", bound)


Column = Annotated[str, BeforeValidator(_column), WithJsonSchema({"enum": list(OBJECTIVES)})]
Goal = Annotated[Direction, BeforeValidator(_direction), WithJsonSchema({"enum": list(get_args(Direction))})]
Limit = Annotated[
    InstanceOf[Constraint],
    BeforeValidator(_constraint),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*({'|'.join(OBJECTIVES)})\s*(<=|>=)\s*\S+\s*$"}),
]


def _no_seed(_: Any) -> Any:
    raise RuleError("belongs to `seeds` at the top of the file", "write seeds: [1, 2, 3] there, for replicates")


NoSeed = Annotated[Any, BeforeValidator(_no_seed), WithJsonSchema({"not": {}})]
Base = create_model("Base", __base__=part_of(TrialConfig), seed=(NoSeed, Field(default=None, validate_default=False)))


def _takes(words: str, **extra: Any) -> dict[str, Any]:
    return {"expected": words, **extra}


class CaseFile(Section):
    """A case as written."""

    when: dict[str, Any] = Field(
        default_factory=dict, description="keys, and the value or list of values they must have"
    )
    space: dict[str, Any] = Field(default_factory=dict, description="parameters that exist when it holds")


class ScaleFile(Section):
    """A scale as written."""

    set: Base = Field(  # type: ignore[valid-type]
        default_factory=dict, validate_default=False, description="settings that replace those of `base`"
    )
    divide: dict[str, Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        default_factory=dict, description="keys whose numbers are divided, wherever the file sets them"
    )


class ScaledFile(Section):
    """What a resolved sweep keeps of the scale it was read at."""

    name: str
    divide: dict[str, int]


class SweepFile(Section):
    """A sweep file, section by section."""

    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        max_length=100,
        description="letters, digits, `_`, `.` and `-`",
        json_schema_extra=_takes("text"),
    )
    notes: Annotated[str | None, MAY_CHANGE] = Field(
        default=None, max_length=20_000, description="free text, shown in the report"
    )
    scale: str = Field(default=FULL, description="one of `scales`, or published for the numbers as written")
    scales: dict[str, ScaleFile] = Field(
        default_factory=dict, max_length=20, json_schema_extra=_takes("a mapping of names to `set` and `divide`")
    )
    scaled: ScaledFile | None = Field(default=None, description="written by frostline into the sweep.yaml of a run")
    objectives: Annotated[dict[Column, Goal], MAY_CHANGE] = Field(
        default=dict(DEFAULT_OBJECTIVES),
        validate_default=False,
        min_length=1,
        description="result columns to minimize or maximize",
        json_schema_extra=_takes("a mapping of result columns to min or max"),
    )
    constraints: Annotated[tuple[Limit, ...], MAY_CHANGE] = Field(
        default=tuple(map(_constraint, DEFAULT_CONSTRAINTS)),
        max_length=MAX_CONSTRAINTS,
        validate_default=False,
        description="limits on result columns",
        json_schema_extra=_takes(f"a list of limits, such as [{DEFAULT_CONSTRAINTS[0]}]"),
    )
    search: SearchConfig = Field(default_factory=SearchConfig)
    early_stopping: Annotated[EarlyStoppingConfig, MAY_CHANGE] = Field(default_factory=EarlyStoppingConfig)
    keep: Annotated[KeepConfig, MAY_CHANGE] = Field(default_factory=KeepConfig)
    budget: Annotated[BudgetConfig, MAY_CHANGE] = Field(default_factory=BudgetConfig)
    prices: Annotated[dict[Kind, Price], MAY_CHANGE] = Field(
        default_factory=dict,
        description="US dollars an hour of one accelerator, or of a machine without, by kind: {H100: 2.99, CPU: 0}",
        json_schema_extra=_takes("a mapping of kinds to US dollars an hour"),
    )
    on_finish: Annotated[OnFinishConfig | None, MAY_CHANGE] = Field(
        default=None, json_schema_extra=_takes("`command`, and perhaps `ends`")
    )
    sentinel: Annotated[Sentinel | None, MAY_CHANGE] = Field(
        default=None,
        description="a control that every node trains again and again; off = none",
        json_schema_extra=_takes("`every_hours` and `steps`, or off"),
    )
    seeds: Annotated[Seeds | None, MAY_CHANGE] = Field(
        default=None,
        description="the replicates of a config: a list, or how many; null = 3 with replicates near_front, else 1",
        json_schema_extra=_takes("a list of whole numbers, or how many"),
    )
    replicates: Annotated[ReplicatesConfig, MAY_CHANGE] = Field(default_factory=ReplicatesConfig)
    confirm: Annotated[ConfirmConfig, MAY_CHANGE] = Field(default_factory=ConfirmConfig)
    admission: Annotated[AdmissionConfig, MAY_CHANGE] = Field(default_factory=AdmissionConfig)
    resources: Annotated[ResourcesConfig, MAY_CHANGE] = Field(default_factory=ResourcesConfig)
    base: Base = Field(  # type: ignore[valid-type]
        default_factory=dict, validate_default=False, description="settings that all trials share"
    )
    space: Annotated[dict[str, Any], MAY_CHANGE] = Field(
        default_factory=dict,
        description="what varies: a key and the values it may take",
        json_schema_extra=_takes("a mapping of keys to what they may be"),
    )
    cases: Annotated[tuple[CaseFile, ...], MAY_CHANGE] = Field(
        default=(),
        max_length=MAX_CASES,
        description="more parameters where the config has certain values",
        json_schema_extra=_takes("a list of `when` and `space`"),
    )


def keys_that_may_change() -> frozenset[str]:
    """The sections that may differ between two calls of one sweep: how much is run and where, never what a trial is."""
    return frozenset(name for name, field in SweepFile.model_fields.items() if MAY_CHANGE in field.metadata)
