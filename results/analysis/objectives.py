"""Objectives and constraints: parsing them, and reading those of a run."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import yaml

from results.errors import ResultsError

Direction = Literal["min", "max"]

LIMIT_BYTES = 16_000_000
DEFAULT_OBJECTIVES: dict[str, Direction] = {"ce": "min", "artifact_bytes": "min"}

_CONSTRAINT = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=|<|>)\s*([-+]?[\d_]*\.?\d[\d_]*(?:[eE][-+]?\d+)?)\s*")
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda value, limit: value <= limit,
    "<": lambda value, limit: value < limit,
    ">=": lambda value, limit: value >= limit,
    ">": lambda value, limit: value > limit,
}


@dataclasses.dataclass(frozen=True)
class Constraint:
    """A bound on a column, such as `total_bytes <= 16_000_000`."""

    column: str
    relation: str
    limit: float

    def holds(self, values: Iterable[float]) -> bool:
        """Whether every value keeps the bound (a NaN never does)."""
        return all(_HOLDS[self.relation](value, self.limit) for value in values)

    def __str__(self) -> str:
        number = f"{int(self.limit):,}" if float(self.limit).is_integer() else f"{self.limit:g}"
        return f"{self.column} {self.relation} {number}"


# The competition counts the code of a submission as well (parameter-golf README.md).
BUDGET = Constraint("total_bytes", "<=", LIMIT_BYTES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goals:
    """Objectives by column (`min` or `max`) and constraints that all replicates of a config must keep."""

    objectives: Mapping[str, Direction] = dataclasses.field(default_factory=lambda: dict(DEFAULT_OBJECTIVES))
    constraints: tuple[Constraint, ...] = (BUDGET,)


def metric_of(objectives: Iterable[str]) -> str:
    """The column that tells how good a model is: `bpb` where that is an objective and `ce` is not, else `ce`."""
    goals = set(objectives)
    return "bpb" if "bpb" in goals and "ce" not in goals else "ce"


class SizeLimit(NamedTuple):
    """The largest artifact that is allowed, and the words of the limit that says so."""

    artifact_bytes: float
    name: str


def size_limit(constraints: Iterable[Constraint], code_bytes: int, column: str = "artifact_bytes") -> SizeLimit | None:
    """The tightest limit on bytes as it stands on an axis of `column`; None of other columns than these two.

    A limit on the total leaves the artifact what the code does not take.
    """
    beside: dict[str, tuple[int, str]] = {
        "artifact_bytes": {"artifact_bytes": (0, ""), "total_bytes": (code_bytes, " less the code")},
        "total_bytes": {"total_bytes": (0, "")},
    }.get(column, {})
    uppers = [one for one in constraints if one.relation in ("<=", "<") and one.column in beside]
    found = [
        SizeLimit(one.limit - beside[one.column][0], f"limit {_size(one.limit)}{beside[one.column][1]}")
        for one in uppers
    ]
    return min(found, default=None)


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:.4g} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.4g} kB"


def parse_constraint(text: str) -> Constraint:
    """`total_bytes <= 16_000_000` → its parts.

    Raises:
        ResultsError: if the text has another form.
    """
    match = _CONSTRAINT.fullmatch(text)
    if not match:
        raise ResultsError(f"a constraint must read like `total_bytes <= 16_000_000`, but got {text!r}")
    column, relation, limit = match.groups()
    return Constraint(column, relation, float(limit.replace("_", "")))


def parse_objective(text: str) -> tuple[str, Direction]:
    """`ce` or `tokens_per_s=max` → column and direction (`min` if not said).

    Raises:
        ResultsError: if the direction is neither min nor max.
    """
    column, _, direction = text.partition("=")
    if (direction or "min") not in ("min", "max"):
        raise ResultsError(f"an objective must read like `ce=min` or `tokens_per_s=max`, but got {text!r}")
    return column.strip(), cast(Direction, direction or "min")


def read_goals(folders: Iterable[Path]) -> Goals:
    """Objectives and constraints in `sweep.yaml` of the run folders; the defaults where none says any.

    Raises:
        ResultsError: if a file is damaged, or folders disagree.
    """
    found: dict[Path, Goals] = {}
    for folder in folders:
        path = folder / "sweep.yaml"
        if path.is_file():
            found[path] = _goals_of(path)
    (first, goals), *others = list(found.items()) or [(Path(), Goals())]
    for path, its_goals in others:
        if its_goals != goals:
            raise ResultsError(f"{first} and {path} have other objectives or constraints: give --objective and --limit")
    return goals


def read_sweep(path: Path) -> dict[str, Any]:
    """The resolved spec of a run as a mapping.

    Raises:
        ResultsError: if the file is no YAML mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ResultsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ResultsError(f"{path} must hold a mapping, but got {type(values).__name__}")
    return values


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing where no known word is near."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def _goals_of(path: Path) -> Goals:
    values = read_sweep(path)
    objectives, constraints = values.get("objectives") or DEFAULT_OBJECTIVES, values.get("constraints")
    if isinstance(constraints, str):
        constraints = [constraints]
    try:
        pairs = [parse_objective(f"{column}={direction}") for column, direction in dict(objectives).items()]
        parsed = (BUDGET,) if constraints is None else tuple(parse_constraint(str(text)) for text in constraints)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from None
    except (TypeError, ValueError):
        raise ResultsError(f"{path}: `objectives` must map columns to min or max, `constraints` list texts") from None
    return Goals(objectives=dict(pairs), constraints=parsed)
