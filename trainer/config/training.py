"""Settings of training and scoring: optimizer, learning-rate schedule, train, eval.

Every section is frozen, keyword-only and checked on construction.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from trainer.config.section import Section, with_presets
from trainer.config.shape import EvalShape, TrainShape

# What naming an optimizer means: the study's AdamW, and the competition baseline's Muon with Adam for the rest.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw": {"learning_rate": 3e-4, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.999},
    "muon": {"learning_rate": 0.04, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.95},
}


# Bounds beyond which a number is a mistake: the largest runs of the study have 10,000 steps of 512 rows.
MAX_STEPS = 10_000_000
MAX_ROWS = 65_536
MAX_STEP_TOKENS = 1 << 26  # 64 times the tokens of a step that the competition trains on
MAX_EVAL_TOKENS = 1_000_000_000


class OptimizerConfig(Section):
    """AdamW for everything, or Muon for the block matrices and Adam for the rest."""

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(ge=1e-9, le=10, description="peak; of the block matrices when the optimizer is muon")
    weight_decay: float = Field(ge=0, le=10, description="decoupled; under muon on the block matrices only")
    beta1: float = Field(ge=0, lt=1)
    beta2: float = Field(ge=0, lt=1)
    epsilon: float = Field(default=1e-8, ge=1e-15, le=1)
    embedding_learning_rate: float = Field(
        default=0.05, ge=1e-9, le=10, description="muon only: Adam on the tied embedding"
    )
    vector_learning_rate: float = Field(
        default=0.04, ge=1e-9, le=10, description="muon only: Adam on gains and other vectors"
    )
    momentum: float = Field(default=0.95, ge=0, lt=1, description="muon only")
    momentum_start: float = Field(default=0.85, ge=0, lt=1, description="muon only: momentum at step 0")
    momentum_warmup_steps: int = Field(
        default=500, ge=0, le=MAX_STEPS, description="muon only: linear from start to momentum"
    )

    @model_validator(mode="before")
    @classmethod
    def _optimizer_presets(cls, values: Any) -> Any:
        return with_presets(values, OPTIMIZERS, "name", "adamw")


class ScheduleConfig(Section):
    """Learning rate over steps, never over seconds: a slow card must not change the schedule."""

    name: Literal["cosine", "warmdown", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0, le=MAX_STEPS, description="linear from 0 to the peak")
    warmdown_steps: int = Field(
        default=1200, ge=1, le=MAX_STEPS, description="warmdown only: linear to the end over the last steps"
    )
    final_ratio: float = Field(default=0.0, ge=0, le=1, description="learning rate at the end over the peak")


class TrainConfig(Section, TrainShape):
    """Steps, batch size, clipping, precision, compilation, checkpoints."""

    steps: int = Field(default=3000, ge=1, le=MAX_STEPS, description="optimizer steps")
    sequence_tokens: int = Field(default=512, ge=2, le=65_536, description="tokens of one training row")
    batch_sequences: int = Field(default=64, ge=1, le=MAX_ROWS, description="rows of one optimizer step")
    micro_batches: int = Field(
        default=1, ge=1, le=MAX_ROWS, description="parts a step is computed in; must divide batch_sequences"
    )
    clip_norm: float = Field(default=1.0, ge=0, le=1e6, description="largest gradient norm; 0 = no clipping")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="of the matrix products (autocast)")
    compile: bool | None = Field(default=None, description="torch.compile the block; null = on CUDA only")
    eval_every_steps: int = Field(
        default=0, ge=0, le=MAX_STEPS, description="score while training; 0 = at the end only"
    )
    checkpoint_every_seconds: float = Field(default=20.0, ge=0, le=1e9, description="0 = after every step")

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainConfig:
        if self.batch_sequences % self.micro_batches:
            raise ValueError(
                "`batch_sequences` must be divisible by `micro_batches`, "
                f"but got {self.batch_sequences} and {self.micro_batches}"
            )
        if self.batch_tokens > MAX_STEP_TOKENS:
            raise ValueError(
                f"`batch_sequences * sequence_tokens` must be at most {MAX_STEP_TOKENS:,} tokens a step, "
                f"but got {self.batch_sequences} * {self.sequence_tokens}"
            )
        return self

    @property
    def batch_tokens(self) -> int:
        return self.batch_sequences * self.sequence_tokens


class EvalConfig(Section, EvalShape):
    """Which validation tokens are scored, in rows of `train.sequence_tokens`."""

    tokens: int | None = Field(
        default=None, ge=2, le=MAX_EVAL_TOKENS, description="first tokens of the validation set; null = all"
    )
    batch_sequences: int = Field(default=32, ge=1, le=MAX_ROWS, description="rows scored at once")
    stride: int | None = Field(
        default=None,
        ge=1,
        le=65_536,
        description="also score with a window that slides by so many tokens; null = do not",
    )
