"""The `search` section of a sweep: the method that chooses configs, and its settings."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from search_spaces.spec.problems import did_you_mean
from trainer.config.section import Section

Method = Literal["auto", "grid", "random", "tpe", "ehvi"]
METHODS: tuple[Method, ...] = get_args(Method)
# Methods that learn from what has finished, and so have no plan.
ADAPTIVE: tuple[Method, ...] = ("tpe", "ehvi")
_ADAPTIVE_SETTINGS = ("random_share", "control_share", "per_second", "first", "learn_from")
# The settings that a method does not read.
UNREAD: dict[Method, tuple[str, ...]] = {
    "auto": (),
    "grid": ("seed", *_ADAPTIVE_SETTINGS),
    "random": _ADAPTIVE_SETTINGS,
    "tpe": ("per_second",),
    "ehvi": (),
}

MAX_FIRST = 1_000

# Samplers of Optuna that users may look for, and what keeps each from serving here.
_NOT_FOR_SWEEPS = {
    **dict.fromkeys(
        ("nsga2", "nsgaii", "nsga3", "nsgaiii", "genetic", "evolution"),
        "learns only from trials that were trained to the end, and draws the parameters of cases at random",
    ),
    **dict.fromkeys(
        ("gp", "bayesian", "bo", "botorch", "ax"), "draws the parameters of cases at random, and takes seconds a trial"
    ),
    **dict.fromkeys(("cmaes", "cma", "cma_es"), "knows neither several objectives nor constraints"),
    **dict.fromkeys(("qmc", "sobol", "halton"), "begins again at its first point after every restart"),
    "optuna": "is a library of samplers",
}


class SearchConfig(Section):
    """How configs are chosen from the space. See `docs/search.md` for the methods."""

    method: Method = Field(
        default="auto",
        description="auto: the grid if it fits the budget, else the method that learned fastest in tests",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the draws; not read by method grid")
    random_share: float = Field(default=0.1, ge=0, le=1, description="of the configs, drawn at random; tpe and ehvi")
    control_share: float = Field(
        default=0.25, ge=0, le=1, description="of the configs, at least of recipe baseline; tpe and ehvi"
    )
    per_second: bool = Field(default=False, description="ehvi only: the gain per predicted second of training")
    first: tuple[dict[str, Any], ...] = Field(
        default=(), max_length=MAX_FIRST, description="configs to run first: keys of the space and their values"
    )
    learn_from: tuple[str, ...] = Field(
        default=(), max_length=100, description="run folders to learn from; tpe and ehvi"
    )

    @field_validator("method", mode="before")
    @classmethod
    def _known(cls, name: Any) -> Any:
        if name in METHODS:
            return name
        why = _NOT_FOR_SWEEPS.get(str(name).casefold().replace("-", "_").removesuffix("sampler"))
        if why is not None:
            raise ValueError(f"{name} {why}: use tpe or ehvi")
        near = did_you_mean(name, METHODS)
        raise ValueError(f"must be one of {', '.join(METHODS)}" + (f"; {near}" if near else ""))

    def resolved(self, method: Method) -> dict[str, Any]:
        """As plain values, with `method` for auto, and only the settings that it reads."""
        return {**self.model_dump(mode="json", exclude=set(UNREAD[method])), "method": method}
