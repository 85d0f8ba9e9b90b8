"""The fields of a trial's config, and the rules between its sections. Free of torch.

Recipes read these settings. `TrialConfig` in `trial.py` adds the checks that need to know what a recipe makes of them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from trainer.config.artifact import ArtifactConfig
from trainer.config.model import ModelConfig
from trainer.config.recipe_options import (
    MAY_FREEZE_NOTHING,
    RECIPE_SECTIONS,
    SECTIONS_OF_RECIPE,
    AdapterConfig,
    DistillConfig,
    EnsembleConfig,
    FreezeConfig,
    LowRankConfig,
    ProgressiveConfig,
    with_recipe_sections,
)
from trainer.config.section import Section
from trainer.config.shape import TrialShape
from trainer.config.training import EvalConfig, OptimizerConfig, ScheduleConfig, TrainConfig


class TrialSettings(Section, TrialShape):
    """The fields of a trial, section by section."""

    recipe: Literal[
        "baseline",
        "selective",
        "scaled_freeze",
        "full_adapter",
        "progressive",
        "low_rank",
        "distill",
        "progressive_distill",
        "ensemble",
    ] = Field(default="baseline", description="the variant that is trained")
    data: str = Field(
        default="stdlib", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="name of a prepared dataset"
    )
    seed: int = Field(default=1, ge=0, lt=2**63, description="of initial weights, batches and dropout")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: CUDA where the trial has a GPU")
    num_threads: int = Field(default=1, ge=1, le=1024, description="CPU threads; part of the bits on a CPU")
    model: ModelConfig = Field(default_factory=lambda: ModelConfig.model_validate({}))
    freeze: FreezeConfig | None = Field(default=None, description="every recipe but baseline")
    adapter: AdapterConfig | None = Field(default=None, description="recipe full_adapter")
    progressive: ProgressiveConfig | None = Field(default=None, description="recipes progressive, progressive_distill")
    low_rank: LowRankConfig | None = Field(default=None, description="recipe low_rank")
    distill: DistillConfig | None = Field(default=None, description="recipes distill, progressive_distill")
    ensemble: EnsembleConfig | None = Field(default=None, description="recipe ensemble")
    optimizer: OptimizerConfig = Field(default_factory=lambda: OptimizerConfig.model_validate({}))
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    eval: EvalConfig = Field(default_factory=EvalConfig)
    artifact: ArtifactConfig = Field(default_factory=ArtifactConfig)

    @model_validator(mode="before")
    @classmethod
    def _recipe_sections(cls, values: Any) -> Any:
        """Give a recipe every section that it reads, and its own default of what is frozen."""
        return with_recipe_sections(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _sections_fit(self) -> TrialSettings:
        for section in RECIPE_SECTIONS:
            if section not in SECTIONS_OF_RECIPE[self.recipe] and getattr(self, section) is not None:
                raise ValueError(
                    f"`{section}` has no effect with recipe {self.recipe}: remove it, or change the recipe"
                )
        if self.low_rank is not None and self.model.mlp == "geglu":
            raise ValueError("`model.mlp` must be gelu or relu2 with recipe low_rank, but got geglu")
        if self.freeze is not None:
            frozen = self.frozen_matrices
            if not frozen and self.recipe not in MAY_FREEZE_NOTHING:
                raise ValueError(f"`freeze.matrices` must name a matrix with recipe {self.recipe}, but it is empty")
            self.freeze.layer_set(self.model.num_layers)
        if self.eval.stride is not None and self.eval.stride > self.train.sequence_tokens:
            raise ValueError(
                "`eval.stride` must be at most `train.sequence_tokens`, "
                f"but got {self.eval.stride} and {self.train.sequence_tokens}"
            )
        if self.recipe == "distill":
            self._teacher_fits()
        split = self.progressive
        if split is not None and self.train.steps < 3:
            raise ValueError(f"`train.steps` must be at least 3 with recipe {self.recipe}, but got {self.train.steps}")
        if self.recipe == "progressive_distill" and split is not None and split.distill_at >= split.freeze_at:
            raise ValueError(
                "`progressive.distill_at` must be below `progressive.freeze_at`, "
                f"but got {split.distill_at:g} and {split.freeze_at:g}"
            )
        return self

    def _teacher_fits(self) -> None:
        assert self.distill is not None
        dim, num_heads = self.distill.teacher_dim, self.distill.teacher_heads
        if dim % num_heads or dim // num_heads % 2:
            raise ValueError(
                "`distill.teacher_dim` must be an even multiple of `distill.teacher_heads`, "
                f"but got {dim} and {num_heads}"
            )
        if num_heads % (self.model.num_kv_heads or 1):
            raise ValueError(
                "`distill.teacher_heads` must be divisible by `model.num_kv_heads`, "
                f"but got {num_heads} and {self.model.num_kv_heads}"
            )
        if abs(dim * self.model.mlp_ratio - round(dim * self.model.mlp_ratio)) > 1e-6:
            raise ValueError(
                "`distill.teacher_dim * model.mlp_ratio` must be a whole number, "
                f"but got {dim} * {self.model.mlp_ratio}"
            )
