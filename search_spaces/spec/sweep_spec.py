"""SweepSpec: what a sweep file says, as frozen values."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from search_spaces.spec.nested import get, leaves, way_to
from search_spaces.spec.problems import Keys
from search_spaces.spec.sections.budget import BudgetConfig, OnFinishConfig
from search_spaces.spec.sections.early_stopping import EarlyStoppingConfig, StoppingMethod
from search_spaces.spec.sections.keep import KeepConfig
from search_spaces.spec.sections.replicates import (
    CONFIRM_CONFIGS,
    CONFIRM_SHARE,
    FIRST_FRESH_SEED,
    ConfirmConfig,
    ReplicatesConfig,
    When,
)
from search_spaces.spec.sections.resources import AdmissionConfig, ResourcesConfig
from search_spaces.spec.sections.search import ADAPTIVE, Method, SearchConfig
from search_spaces.spec.sections.sentinel import SentinelConfig
from search_spaces.spec.yaml_document import Document

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
# Two units of one thing each, of which a sweep is after one.
SCORES = ("ce", "bpb")
SIZES = ("artifact_bytes", "total_bytes")
DEFAULT_OBJECTIVES: dict[str, Direction] = {"ce": "min", "artifact_bytes": "min"}
DEFAULT_CONSTRAINTS: tuple[str, ...] = ("total_bytes <= 16_000_000",)  # artifact and the code that scores it

_OPERATORS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


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

    @property
    def num_values(self) -> float:
        """Number of values it may take; inf for a range."""
        return self.num_options if self.is_listed else math.inf

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
    admission: AdmissionConfig
    resources: ResourcesConfig
    base: dict[str, Any]
    space: tuple[Parameter, ...]
    cases: tuple[Case, ...]
    method: Method = "grid"  # of `search`, with auto resolved
    early_stopping: EarlyStoppingConfig = dataclasses.field(default_factory=EarlyStoppingConfig)
    keep: KeepConfig = dataclasses.field(default_factory=KeepConfig)
    prices: dict[str, float] = dataclasses.field(default_factory=dict)
    on_finish: OnFinishConfig | None = None
    sentinel: SentinelConfig | None = None
    seeds_given: tuple[int, ...] | None = None
    replicates: ReplicatesConfig = dataclasses.field(default_factory=ReplicatesConfig)
    confirm: ConfirmConfig = dataclasses.field(default_factory=ConfirmConfig)
    scaled: Scaled | None = None
    document: Document = dataclasses.field(default=Document(Path("sweep")), compare=False, repr=False)

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Of the space and of all cases."""
        return (*self.space, *(parameter for case in self.cases for parameter in case.space))

    @property
    def is_adaptive(self) -> bool:
        """Whether configs are chosen from what has finished, so that there is no plan."""
        return self.method in ADAPTIVE

    @property
    def stopping(self) -> StoppingMethod:
        """The method of `early_stopping`, with auto resolved."""
        if self.early_stopping.method != "auto":
            return self.early_stopping.method
        return "best_case" if self.is_adaptive and early_stopping_knows(self.objectives) else "none"

    @property
    def replicating(self) -> When:
        """When a config gets more than its first seed, with auto resolved."""
        if self.replicates.when != "auto":
            return self.replicates.when
        return "near_front" if self.is_adaptive and early_stopping_knows(self.objectives) else "always"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the replicates of a config."""
        if self.seeds_given is not None:
            return self.seeds_given
        return (1, 2, 3) if self.replicating == "near_front" else (1,)

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """Of confirmation: no trial of the search has one of them."""
        fresh = (seed for seed in itertools.count(FIRST_FRESH_SEED) if seed not in self.seeds)
        return tuple(itertools.islice(fresh, self.confirm.seeds))

    @property
    def num_confirmed(self) -> int:
        """Configs of the front that are confirmed at the end, each with a rival."""
        if self.confirm.configs is not None:
            return self.confirm.configs
        if not self.is_adaptive or not early_stopping_knows(self.objectives) or not self._sets("eval.tokens"):
            return 0
        assert self.budget.trials is not None
        return min(CONFIRM_CONFIGS, int(CONFIRM_SHARE * self.budget.trials) // (2 * self.confirm.seeds))

    @property
    def num_to_confirm(self) -> int:
        """Trials of the budget that are kept for confirmation."""
        return 2 * self.num_confirmed * self.confirm.seeds

    @property
    def num_to_search(self) -> int | None:
        """Trials of the budget that are the search's; None without a budget."""
        return None if self.budget.trials is None else max(0, self.budget.trials - self.num_to_confirm)

    def _sets(self, key: str) -> bool:
        """Whether the file gives a setting another value than null, in its base or its space."""
        varied = any(key in parameter.leaves for parameter in self.parameters)
        return varied or get(self.base, key) is not None

    @property
    def draws(self) -> bool:
        """Whether ranges are drawn from, and only `grid` parameters crossed."""
        return self.method != "grid"

    def keys_of(self, key: str) -> Keys:
        """The keys at which the file sets a dotted key, its own or a trial's: in the space, else in the base."""
        values = self.document.values
        found = (way_to(values, place + key) for place in ("", "space.", "base."))
        return next((keys for keys in found if keys is not None), tuple(key.split(".")))

    def resolved(self) -> dict[str, Any]:
        """The spec with its defaults filled in, as plain values that read back as an equal spec."""
        return {
            "name": self.name,
            **({} if self.notes is None else {"notes": self.notes}),
            **({} if self.scaled is None else {"scaled": dataclasses.asdict(self.scaled)}),
            "objectives": dict(self.objectives),
            "constraints": [str(constraint) for constraint in self.constraints],
            "search": self.search.resolved(self.method),
            "early_stopping": self.early_stopping.resolved(self.stopping),
            "keep": self.keep.model_dump(),
            "budget": self.budget.model_dump(),
            **({"prices": self.prices} if self.prices else {}),
            **({} if self.on_finish is None else {"on_finish": self.on_finish.model_dump(mode="json")}),
            **({} if self.sentinel is None else {"sentinel": self.sentinel.model_dump()}),
            "seeds": list(self.seeds),
            "replicates": self._replicates(),
            "confirm": {"configs": self.num_confirmed, "seeds": self.confirm.seeds},
            "admission": self.admission.model_dump(),
            "resources": self.resources.model_dump(mode="json"),
            "base": self.base,
            "space": _plain_space(self.space),
            "cases": [
                {"when": {key: list(values) for key, values in case.when.items()}, "space": _plain_space(case.space)}
                for case in self.cases
            ],
        }

    def _replicates(self) -> dict[str, Any]:
        unread = {"seeds"} if self.replicating == "near_front" else {"seeds", "share"}
        return {**self.replicates.model_dump(exclude=unread), "when": self.replicating}


def ehvi_knows(objectives: Collection[str]) -> bool:
    """Whether method `ehvi` can be used: for cross-entropy alone, or with the bytes of the artifact."""
    scores, rest = set(objectives) & set(SCORES), set(objectives) - set(SCORES)
    return len(scores) == 1 and len(rest) <= 1 and rest <= set(SIZES)


def score_column(objectives: Collection[str]) -> str:
    """The score that is predicted of a trial: bpb where it is an objective, else ce."""
    return "bpb" if "bpb" in objectives else "ce"


def early_stopping_knows(objectives: Mapping[str, Direction]) -> bool:
    """Whether trials can be judged on the way: by cross-entropy alone, or with the bytes of the artifact."""
    return ehvi_knows(objectives) and set(objectives.values()) == {"min"}


def stepped(low: float, high: float, step: float) -> Iterator[int | float]:
    """low, low + step, … up to high, computed in decimals: three steps of 0.1 are 0.3, not 0.30000000000000004."""
    whole = all(isinstance(number, int) for number in (low, high, step))
    for index in range(num_steps(low, high, step)):
        value = Decimal(str(low)) + index * Decimal(str(step))
        yield int(value) if whole else float(value)


def num_steps(low: float, high: float, step: float) -> int:
    """How many values `stepped` gives."""
    return int((Decimal(str(high)) - Decimal(str(low))) / Decimal(str(step))) + 1


def _plain_space(parameters: Sequence[Parameter]) -> dict[str, Any]:
    return {parameter.key: {parameter.kind: list(parameter.values)} for parameter in parameters}
