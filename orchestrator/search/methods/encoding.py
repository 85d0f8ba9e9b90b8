"""Configs as numbers for a regression model: what was chosen of each parameter, and what their shapes say."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from orchestrator.scheduling.cost_model import training_cost
from orchestrator.search.method import is_learned
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sweep_spec import Parameter, SweepSpec
from trainer.config.trial import TrialConfig
from trainer.recipes.recipe import WeightKind
from trainer.recipes.variants import plan

Array = npt.NDArray[np.float64]

KINDS: tuple[WeightKind, ...] = ("learned", "seeded", "stored_frozen")
# Sections that change no shape and no cost, at their defaults, so that configs of one shape are looked at once.
NO_PART_OF_SHAPE = {
    name: TrialConfig.model_fields[name].get_default(call_default_factory=True)
    for name in ("seed", "optimizer", "schedule", "eval", "artifact")
}
UNUSED = 0.5  # a number that a config does not have is put in the middle of its range


class Encoding:
    """Rows of features in [0, 1] or so, of equal length for every config of a space.

    A parameter of numbers gives one column, its logarithm where it spans a decade; any other one column per value, with
    1 at the one chosen. A parameter of several cases has one set of columns. The last columns are logarithms of the
    weights of each kind, of the work of the training and of the depth and width: what cross-entropy depends on most.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._keys: dict[str, list[Parameter]] = {}
        for parameter in spec.parameters:
            if is_learned(parameter) and parameter.num_values > 1:
                self._keys.setdefault(parameter.key, []).append(parameter)
        self._columns = {key: _column_of(parameters) for key, parameters in self._keys.items()}
        self._rows: dict[str, Array] = {}

    def rows(self, candidates: Iterable[Candidate]) -> Array:
        """float64[n, columns]"""
        return np.array([self._row(candidate) for candidate in candidates])

    def _row(self, candidate: Candidate) -> Array:
        if candidate.name not in self._rows:
            chosen = {parameter.key: value for parameter, _, value in candidate.chosen}
            config = candidate.config.model_copy(update=NO_PART_OF_SHAPE)
            parts = [column(chosen[key]) if key in chosen else column.unused for key, column in self._columns.items()]
            self._rows[candidate.name] = np.array([*(number for part in parts for number in part), *_shape_of(config)])
        return self._rows[candidate.name]


class _Numbers:
    """One column, scaled to [0, 1] between the ends."""

    def __init__(self, low: float, high: float) -> None:
        self.is_log = low > 0 and high / low >= 4
        self.low, self.high = (math.log(low), math.log(high)) if self.is_log else (low, high)
        self.unused: Sequence[float] = (UNUSED,)

    def __call__(self, value: object) -> Sequence[float]:
        assert isinstance(value, int | float)
        number = math.log(value) if self.is_log else float(value)
        return ((number - self.low) / max(self.high - self.low, 1e-12),)


class _Values:
    """A column for each value, 1 at the one chosen."""

    def __init__(self, values: Iterable[object]) -> None:
        self.names = list(dict.fromkeys(_text(value) for value in values))
        self.unused: Sequence[float] = (0.0,) * len(self.names)

    def __call__(self, value: object) -> Sequence[float]:
        name = _text(value)
        return [1.0 if name == one else 0.0 for one in self.names]


def _column_of(parameters: Sequence[Parameter]) -> _Numbers | _Values:
    values = [value for one in parameters for value in (one.options if one.is_listed else one.values)]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) and len(set(values)) > 2:
        return _Numbers(min(values), max(values))
    if not parameters[0].is_listed:
        return _Numbers(min(values), max(values))
    return _Values(values)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@functools.lru_cache(maxsize=16_384)
def _shape_of(config: TrialConfig) -> Sequence[float]:
    """Logarithms of what a config's shapes say; see `Encoding`. Divided so that most are between 0 and 1."""
    recipe = plan(config)
    numbers = [float(recipe.num_params(kind)) for kind in KINDS]
    numbers += [training_cost(config).work / 1e6, float(config.model.num_layers), float(config.model.dim)]
    return [math.log1p(number) / 10 for number in numbers]
