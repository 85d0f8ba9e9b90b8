"""SweepSpec: what a sweep file says, as frozen values."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from search_spaces.spec.nested import leaves
from search_spaces.spec.problems import Keys
from search_spaces.spec.yaml_document import Document
from trainer.config.section import Section
from trainer.config.trial import TrialConfig

Kind = Literal["choice", "grid", "range", "log_range", "steps"]
Direction = Literal["min", "max"]

# The result columns that a sweep may be after, or set limits on.
OBJECTIVES: tuple[str, ...] = (
    "ce",
    "bpb",
    "artifact_bytes",
    "total_bytes",
    "tokens_per_s",
    "peak_memory_bytes",
    "total_seconds",
)
DEFAULT_OBJECTIVES: dict[str, Direction] = {"ce": "min", "artifact_bytes": "min"}
DEFAULT_CONSTRAINTS: tuple[str, ...] = ("total_bytes <= 16_000_000",)  # artifact and the code that scores it

# Ray knows more kinds than these; they are here so that `h100` is not a kind of its own that no node ever has.
KNOWN_ACCELERATORS: tuple[str, ...] = (
    *("any", "CPU", "H100", "A40", "H200", "B200", "A100", "A100-40G", "A100-80G", "A10G", "A6000"),
    *("L4", "L40S", "T4", "V100", "P100"),
)
MAX_TRIALS = 1_000_000

_OPERATORS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


class SearchConfig(Section):
    """How configs are chosen from the space."""

    method: Literal["grid", "random"] = "grid"
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the draws; method random only")


class BudgetConfig(Section):
    """Where the sweep ends, if not with its space."""

    trials: int | None = Field(default=None, ge=1, le=MAX_TRIALS, description="most trials, replicates counted")


class AdmissionConfig(Section):
    """Which planned trials are not worth a device: those whose artifact cannot keep the sweep's limits in bytes."""

    max_expected_ratio: float | None = Field(
        default=2.0, ge=1, description="expected bytes over the limit; null = only what certainly breaks it is refused"
    )


class ResourcesConfig(Section):
    """What one trial is given, in Ray's terms."""

    accelerator: str = Field(
        default="any", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="a kind as Ray names it, CPU, or any"
    )
    cpus: float | None = Field(default=None, gt=0, le=1024, description="null = the trial's num_threads")
    gpus: float | None = Field(default=None, ge=0, le=1024, description="a part of one, or whole ones; null = by kind")
    move: Literal["accelerator", "any"] = Field(
        default="accelerator", description="where a checkpoint goes on: on the same accelerator, or on any"
    )

    @field_validator("accelerator")
    @classmethod
    def _spelt_as_ray_does(cls, name: str) -> str:
        for known in KNOWN_ACCELERATORS:
            if name != known and name.casefold() == known.casefold():
                raise ValueError(f"must be spelt {known}")
        return name

    @field_validator("gpus")
    @classmethod
    def _part_or_whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("must be at most 1 or a whole number: Ray shares one GPU, or gives whole ones")
        return gpus


class TrialKeys(TrialConfig):
    """The tree of keys that a space may name: a trial's, and its resources."""

    resources: ResourcesConfig = Field(default_factory=ResourcesConfig)


@dataclasses.dataclass(frozen=True)
class Constraint:
    """A limit on a result column: `total_bytes <= 16_000_000`."""

    column: str
    op: Literal["<=", ">="]
    bound: float

    def holds(self, value: float | None) -> bool:
        """Whether a result keeps the limit; one that is missing or NaN does not."""
        return value is not None and _OPERATORS[self.op](value, self.bound)

    def __str__(self) -> str:
        return f"{self.column} {self.op} {self.bound:_}"


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One thing that varies: the dotted key of a trial (or of `resources`) and the values it may take.

    `values` are as written: the list of a choice or grid, `(low, high)` of a range, `(low, high, step)` of steps.
    """

    key: str
    kind: Kind
    values: tuple[Any, ...]
    where: Keys = dataclasses.field(default=(), compare=False)

    @functools.cached_property
    def options(self) -> Sequence[Any]:
        """Every value, in order. Only for kinds that can be listed."""
        assert self.is_listed
        return tuple(stepped(*self.values)) if self.kind == "steps" else self.values

    @property
    def is_listed(self) -> bool:
        return self.kind in ("choice", "grid", "steps")

    @property
    def num_options(self) -> int:
        """Number of values that a grid has to visit."""
        return num_steps(*self.values) if self.kind == "steps" else len(self.values)

    @functools.cached_property
    def leaves(self) -> frozenset[str]:
        """The dotted keys that this parameter may set."""
        subkeys = {sub for value in self.values if isinstance(value, dict) for sub in leaves(value)}
        return frozenset(f"{self.key}.{sub}" for sub in subkeys) | ({self.key} if self._sets_itself else set())

    @property
    def _sets_itself(self) -> bool:
        return not any(isinstance(value, dict) for value in self.values)

    def covers(self, value: Any) -> bool:
        """Whether `value` is among those it may take."""
        if self.is_listed:
            return value in self.options
        return isinstance(value, int | float) and self.values[0] <= value <= self.values[1]


@dataclasses.dataclass(frozen=True)
class Case:
    """Parameters that exist only where the config has certain values: dotted key → the values it may have."""

    when: dict[str, tuple[Any, ...]]
    space: tuple[Parameter, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaled:
    """The scale that a spec was read at: its name, and what numbers of the file were divided by, by dotted key."""

    name: str
    divide: dict[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSpec:
    """A sweep file, read and checked. `document` knows the lines; it is no part of the spec's identity."""

    name: str
    notes: str | None
    objectives: dict[str, Direction]
    constraints: tuple[Constraint, ...]
    search: SearchConfig
    budget: BudgetConfig
    seeds: tuple[int, ...]
    admission: AdmissionConfig
    resources: ResourcesConfig
    base: dict[str, Any]
    space: tuple[Parameter, ...]
    cases: tuple[Case, ...]
    scaled: Scaled | None = None
    document: Document = dataclasses.field(default=Document(Path("sweep")), compare=False, repr=False)

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Of the space and of all cases."""
        return (*self.space, *(parameter for case in self.cases for parameter in case.space))

    def keys_of(self, key: str) -> Keys:
        """The keys at which the file sets a dotted key, its own or a trial's: in the space, else in the base."""
        values = self.document.values
        found = (_way_to(values, place + key) for place in ("", "space.", "base."))
        return next((keys for keys in found if keys is not None), tuple(key.split(".")))

    def resolved(self) -> dict[str, Any]:
        """The spec with its defaults filled in, as plain values that read back as an equal spec."""
        return {
            "name": self.name,
            **({} if self.notes is None else {"notes": self.notes}),
            **({} if self.scaled is None else {"scaled": dataclasses.asdict(self.scaled)}),
            "objectives": dict(self.objectives),
            "constraints": [str(constraint) for constraint in self.constraints],
            "search": self.search.model_dump(exclude=set() if self.search.method == "random" else {"seed"}),
            "budget": self.budget.model_dump(),
            "seeds": list(self.seeds),
            "admission": self.admission.model_dump(),
            "resources": self.resources.model_dump(),
            "base": self.base,
            "space": _plain_space(self.space),
            "cases": [
                {"when": {key: list(values) for key, values in case.when.items()}, "space": _plain_space(case.space)}
                for case in self.cases
            ],
        }


def stepped(low: float, high: float, step: float) -> Iterator[int | float]:
    """low, low + step, … up to high, computed in decimals: three steps of 0.1 are 0.3, not 0.30000000000000004."""
    whole = all(isinstance(number, int) for number in (low, high, step))
    for index in range(num_steps(low, high, step)):
        value = Decimal(str(low)) + index * Decimal(str(step))
        yield int(value) if whole else float(value)


def num_steps(low: float, high: float, step: float) -> int:
    """How many values `stepped` gives."""
    return int((Decimal(str(high)) - Decimal(str(low))) / Decimal(str(step))) + 1


def _way_to(values: Any, key: str) -> Keys | None:
    """The way to a dotted key in nested mappings whose keys may be dotted themselves; None if it is not there."""
    if not isinstance(values, dict):
        return None
    if key in values:
        return (key,)
    for first in values:
        rest = _way_to(values[first], key[len(first) + 1 :]) if key.startswith(f"{first}.") else None
        if rest is not None:
            return (first, *rest)
    return None


def _plain_space(parameters: Sequence[Parameter]) -> dict[str, Any]:
    return {parameter.key: {parameter.kind: list(parameter.values)} for parameter in parameters}
