"""Settings that only some recipes read: freeze, adapter, progressive, low_rank, distill, ensemble."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from trainer.config.section import Section
from trainer.config.shape import (
    AdapterShape,
    DistillShape,
    EnsembleShape,
    FreezeShape,
    LowRankShape,
    ProgressiveShape,
)

# Sections that only some recipes read. Given to another recipe they would be silently ignored, so they are refused.
SECTIONS_OF_RECIPE: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "selective": ("freeze",),
    "scaled_freeze": ("freeze",),
    "full_adapter": ("freeze", "adapter"),
    "progressive": ("freeze", "progressive"),
    "low_rank": ("freeze", "low_rank"),
    "distill": ("freeze", "distill"),
    "progressive_distill": ("freeze", "progressive", "distill"),
    "ensemble": ("freeze", "ensemble"),
}
RECIPE_SECTIONS: tuple[str, ...] = ("freeze", "adapter", "progressive", "low_rank", "distill", "ensemble")

# Recipes that are also worth running with all weights learned: as controls of their frozen selves.
MAY_FREEZE_NOTHING: tuple[str, ...] = ("distill", "ensemble")

# The study's split and rates: a third of the steps each, the last at a third of the rate (1e-4 after 3e-4). One that
# carries on keeps its rate.
PROGRESSIVE_DISTILL: dict[str, Any] = {"freeze_at": 2 / 3}
RATIO_AFTER_RESTART = 1 / 3

# What a recipe freezes where its config names no matrices.
MATRICES_OF_RECIPE: dict[str, tuple[str, ...]] = {"full_adapter": ("*",), "low_rank": ("fc", "proj")}


class FreezeConfig(Section, FreezeShape):
    """Which matrices are frozen: at seeded random values, or at trained ones (recipes `progressive…`)."""

    matrices: tuple[str, ...] = Field(
        default=("gate", "up"), description="names of matrices in a block, or patterns: q, gate, ?, *"
    )
    layers: str = Field(
        default="all",
        max_length=1000,
        pattern=r"^(all|\d+(-\d+)?(,\d+(-\d+)?)*)$",
        description="all, or layers and ranges counted from 0, ends included: 0-4 or 0,2,4-5",
    )
    scheme: Literal["normal", "uniform", "rademacher", "orthogonal"] = Field(
        default="normal", description="distribution of the frozen values; variance 1/fan_in in each"
    )
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="seed of the maps; null = the trial's seed")


class AdapterConfig(Section, AdapterShape):
    """The trained correction beside each frozen matrix W (recipe `full_adapter`)."""

    kind: Literal["vera", "lora"] = Field(
        default="vera", description="vera: B diag(b * a) A / rank with seeded A and B; lora: B A, both trained"
    )
    rank: int = Field(default=16, ge=1, le=16_384, description="rank of the correction")
    channel_gain: bool = Field(default=False, description="a trained gain per output channel of W as well")


class ProgressiveConfig(Section, ProgressiveShape):
    """When training freezes what it has trained so far (recipes `progressive` and `progressive_distill`)."""

    freeze_at: float = Field(default=1 / 3, gt=0, lt=1, description="share of the steps before the freeze")
    distill_at: float = Field(
        default=1 / 3, gt=0, lt=1, description="progressive_distill only: share of the steps before self-distillation"
    )
    restart: bool = Field(
        default=True,
        description="a new optimizer and schedule after the freeze, as the study's code; or carry on across it",
    )
    learning_rate_ratio: float = Field(
        default=1.0,
        ge=1e-6,
        le=1000,
        description="peak after the freeze over the peak before; 1/3 where progressive_distill restarts",
    )


class LowRankConfig(Section, LowRankShape):
    """The trained branch beside a frozen two-matrix MLP (recipe `low_rank`)."""

    rank: int = Field(default=64, ge=1, le=16_384, description="width of the branch")
    activation: Literal["gelu", "none"] = Field(
        default="gelu", description="between its two matrices: gelu as in the study's code, none as in its text"
    )


class DistillConfig(Section, DistillShape):
    """Learning from a teacher's logits (Hinton et al., 2015, arXiv 1503.02531)."""

    temperature: float = Field(default=2.0, ge=0.01, le=100, description="of both softmaxes")
    alpha: float = Field(default=0.5, ge=0, le=1, description="weight of the teacher's term; 1 - alpha is that of ce")
    teacher_layers: int = Field(default=6, ge=1, le=256, description="distill only: shape of the teacher")
    teacher_dim: int = Field(default=192, ge=8, le=16_384, description="distill only")
    teacher_heads: int = Field(default=6, ge=1, le=1024, description="distill only")
    teacher_steps: int | None = Field(default=None, ge=1, le=10_000_000, description="distill only; null = train.steps")


class EnsembleConfig(Section, EnsembleShape):
    """Models whose logits are averaged, all in one artifact; each is trained for `train.steps`."""

    members: tuple[Literal["learned", "frozen"], ...] = Field(
        default=("learned", "frozen"), min_length=2, max_length=8, description="a frozen one is a `selective` model"
    )


def with_recipe_sections(values: dict[str, Any]) -> dict[str, Any]:
    """A raw config with every section that its recipe reads, and the recipe's own default of what is frozen."""
    recipe = str(values.get("recipe", "baseline"))
    filled = dict(values)
    for section in SECTIONS_OF_RECIPE.get(recipe, ()):
        if filled.get(section) is None:
            filled[section] = {}
    if recipe == "progressive_distill" and isinstance(filled["progressive"], dict):
        given = filled["progressive"]
        ratio = {} if given.get("restart") is False else {"learning_rate_ratio": RATIO_AFTER_RESTART}
        filled["progressive"] = {**PROGRESSIVE_DISTILL, **ratio, **given}
    freeze = filled.get("freeze")
    if recipe in MATRICES_OF_RECIPE and isinstance(freeze, dict):
        filled["freeze"] = {"matrices": MATRICES_OF_RECIPE[recipe], **freeze}
    return filled


def without_unused_sections(values: dict[str, Any]) -> dict[str, Any]:
    """A raw config without the sections its recipe does not read, for sweeps whose base serves several recipes."""
    used = SECTIONS_OF_RECIPE.get(str(values.get("recipe", "baseline")), RECIPE_SECTIONS)
    return {key: value for key, value in values.items() if key not in RECIPE_SECTIONS or key in used}
