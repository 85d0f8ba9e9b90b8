"""The config tree of one trial: frozen, keyword-only, checked on construction, free of torch.

A `TrialConfig` says everything that decides a trial's bits; where it runs and where its files lie is said elsewhere.
Two families of model live in one tree: naming a family fills every model setting that is not given.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MATRICES_OF_MLP: dict[str, tuple[str, ...]] = {
    "geglu": ("gate", "up", "down"),
    "gelu": ("fc", "proj"),
    "relu2": ("fc", "proj"),
}
MATRICES_OF_ATTENTION: tuple[str, ...] = ("q", "k", "v", "o")

# Bits that a weight of an artifact may take: codes of 2 to 8, or fp16.
WIDTHS: tuple[str, ...] = ("2", "3", "4", "5", "6", "7", "8", "16")

# What naming a family means. `study` is the model of parameter-golf PR #1301, `competition` the one of its baseline.
FAMILIES: dict[str, dict[str, Any]] = {
    "study": {
        "mlp": "geglu",
        "rope_dims": 16,
        "norm_gain": True,
        "qk_norm": False,
        "logit_softcap": None,
        "unet_skips": False,
        "input_mix": False,
        "branch_scale": False,
        "zero_init_projections": False,
        "embedding_std": 0.02,
        "linear_std": 0.02,
    },
    "competition": {
        "mlp": "relu2",
        "rope_dims": None,
        "norm_gain": False,
        "qk_norm": True,
        "logit_softcap": 30.0,
        "unet_skips": True,
        "input_mix": True,
        "branch_scale": True,
        "zero_init_projections": True,
        "embedding_std": 0.005,
        "linear_std": None,
    },
}

# What naming an optimiser means: the study's AdamW, and the competition baseline's Muon with Adam for the rest.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw": {"learning_rate": 3e-4, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.999},
    "muon": {"learning_rate": 0.04, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.95},
}

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

# The study's split and rates: a third of the steps each, the last at a third of the rate (1e-4 after 3e-4).
PROGRESSIVE_DISTILL: dict[str, Any] = {"freeze_at": 2 / 3, "learning_rate_ratio": 1 / 3}

# What a recipe freezes where its config names no matrices.
MATRICES_OF_RECIPE: dict[str, tuple[str, ...]] = {"full_adapter": ("*",), "low_rank": ("fc", "proj")}


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values are never changed after construction."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def _fill(values: Any, presets: dict[str, dict[str, Any]], key: str, default: str) -> Any:
    """Give each setting that is not in `values` the preset that `values[key]` names; explicit settings win."""
    if not isinstance(values, dict):
        return values
    return {**presets.get(str(values.get(key, default)), {}), **values}


def _at_most_head_dim(values: dict[str, Any]) -> Any:
    """The family's rotated dimensions, or a whole head where heads are smaller than that."""
    dim, num_heads = values.get("dim", 192), values.get("num_heads", 6)
    if not (isinstance(dim, int) and isinstance(num_heads, int) and num_heads > 0):
        return values["rope_dims"]
    return max(2, min(values["rope_dims"], dim // num_heads))


class ModelConfig(Section):
    """Shape and kind of the GPT. `family` fills whatever is not given."""

    family: Literal["study", "competition"] = "study"
    vocab_size: int = Field(default=1024, ge=16, le=65_536, description="tokens in the vocabulary; must be the data's")
    num_layers: int = Field(default=6, ge=1, le=256, description="transformer blocks")
    dim: int = Field(default=192, ge=8, le=16_384, description="width of the residual stream")
    num_heads: int = Field(default=6, ge=1, description="query heads; must divide dim")
    num_kv_heads: int | None = Field(default=None, ge=1, description="key/value heads; null = num_heads")
    mlp: Literal["geglu", "gelu", "relu2"] = Field(
        description="gate, up, down with GELU; fc, proj with GELU; or fc, proj with squared ReLU"
    )
    mlp_ratio: float = Field(default=2.0, gt=0, le=16, description="hidden width of the MLP over dim")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="on the MLP's hidden units, while training")
    rope_dims: int | None = Field(ge=2, description="dimensions of a head that are rotated; null = all")
    norm_gain: bool = Field(description="RMSNorm with a learned gain (eps 1e-6) or without")
    qk_norm: bool = Field(description="RMS-norm queries and keys, with a learned gain per head on the queries")
    logit_softcap: float | None = Field(gt=0, description="logits become c*tanh(logits/c); null = off")
    unet_skips: bool = Field(description="second half of the layers adds the first half's outputs, last first")
    input_mix: bool = Field(description="each block mixes the stream with the normed embedding")
    branch_scale: bool = Field(description="learned gain per channel on each block's attention and MLP output")
    zero_init_projections: bool = Field(description="o and down/proj start at zero")
    embedding_std: float = Field(gt=0, description="standard deviation of the embedding at start")
    linear_std: float | None = Field(gt=0, description="of the matrices; null = uniform with bound 1/sqrt(fan_in)")

    @model_validator(mode="before")
    @classmethod
    def _family_presets(cls, values: Any) -> Any:
        filled = _fill(values, FAMILIES, "family", "study")
        if isinstance(values, dict) and "rope_dims" not in values and filled.get("rope_dims") is not None:
            filled["rope_dims"] = _at_most_head_dim(filled)
        return filled

    @model_validator(mode="after")
    def _shapes_fit(self) -> ModelConfig:
        if self.dim % self.num_heads:
            raise ValueError(f"`dim` must be divisible by `num_heads`, but got {self.dim} and {self.num_heads}")
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"`num_heads` must be divisible by `num_kv_heads`, but got {self.num_heads} and {self.kv_heads}"
            )
        if self.head_dim % 2:
            raise ValueError(f"`dim / num_heads` must be even for rotary positions, but got {self.head_dim}")
        if self.rope_dims is not None and (self.rope_dims % 2 or self.rope_dims > self.head_dim):
            raise ValueError(
                f"`rope_dims` must be even and at most dim / num_heads = {self.head_dim}, but got {self.rope_dims}"
            )
        if self.mlp_dim < 1 or abs(self.mlp_dim - self.dim * self.mlp_ratio) > 1e-6:
            raise ValueError(f"`dim * mlp_ratio` must be a whole number, but got {self.dim} * {self.mlp_ratio}")
        return self

    @property
    def head_dim(self) -> int:
        return self.dim // self.num_heads

    @property
    def kv_heads(self) -> int:
        return self.num_kv_heads or self.num_heads

    @property
    def mlp_dim(self) -> int:
        return round(self.dim * self.mlp_ratio)

    @property
    def matrices(self) -> tuple[str, ...]:
        """Names of the weight matrices of one block, in order."""
        return MATRICES_OF_ATTENTION + MATRICES_OF_MLP[self.mlp]


class FreezeConfig(Section):
    """Which matrices are frozen: at seeded random values, or at trained ones (recipes `progressive…`)."""

    matrices: tuple[str, ...] = Field(
        default=("gate", "up"), description="names of matrices in a block, or patterns: q, gate, ?, *"
    )
    layers: str = Field(
        default="all",
        pattern=r"^(all|\d+(-\d+)?(,\d+(-\d+)?)*)$",
        description="all, or layers and ranges counted from 0, ends included: 0-4 or 0,2,4-5",
    )
    scheme: Literal["normal", "uniform", "rademacher", "orthogonal"] = Field(
        default="normal", description="distribution of the frozen values; variance 1/fan_in in each"
    )
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="seed of the maps; null = the trial's seed")

    def layer_set(self, num_layers: int) -> frozenset[int]:
        """The frozen layers. Raises ValueError if a layer is outside the model."""
        if self.layers == "all":
            return frozenset(range(num_layers))
        chosen: set[int] = set()
        for part in self.layers.split(","):
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if high < low:
                raise ValueError(f"`freeze.layers` must name ranges low to high, but got {part}")
            if high >= num_layers:
                raise ValueError(f"`freeze.layers` must be below num_layers = {num_layers}, but got {part}")
            chosen.update(range(low, high + 1))
        return frozenset(chosen)


class AdapterConfig(Section):
    """The trained correction beside each frozen matrix W (recipe `full_adapter`)."""

    kind: Literal["vera", "lora"] = Field(
        default="vera", description="vera: B diag(b * a) A / rank with seeded A and B; lora: B A, both trained"
    )
    rank: int = Field(default=16, ge=1, le=16_384, description="rank of the correction")
    channel_gain: bool = Field(default=False, description="a trained gain per output channel of W as well")


class ProgressiveConfig(Section):
    """When training freezes what it has trained so far (recipes `progressive` and `progressive_distill`)."""

    freeze_at: float = Field(default=1 / 3, gt=0, lt=1, description="share of the steps before the freeze")
    distill_at: float = Field(
        default=1 / 3, gt=0, lt=1, description="progressive_distill only: share of the steps before self-distillation"
    )
    restart: bool = Field(
        default=True, description="a new optimiser and schedule after the freeze, as the study's code; or carry on"
    )
    learning_rate_ratio: float = Field(default=1.0, gt=0, description="peak after the freeze over the peak before")


class LowRankConfig(Section):
    """The trained branch beside a frozen two-matrix MLP (recipe `low_rank`)."""

    rank: int = Field(default=64, ge=1, le=16_384, description="width of the branch")
    activation: Literal["gelu", "none"] = Field(
        default="gelu", description="between its two matrices: gelu as in the study's code, none as in its text"
    )


class DistillConfig(Section):
    """Learning from a teacher's logits (Hinton et al., 2015, arXiv 1503.02531)."""

    temperature: float = Field(default=2.0, gt=0, le=100, description="of both softmaxes")
    alpha: float = Field(default=0.5, ge=0, le=1, description="weight of the teacher's term; 1 - alpha is that of ce")
    teacher_layers: int = Field(default=6, ge=1, le=256, description="distill only: shape of the teacher")
    teacher_dim: int = Field(default=192, ge=8, le=16_384, description="distill only")
    teacher_heads: int = Field(default=6, ge=1, description="distill only")
    teacher_steps: int | None = Field(default=None, ge=1, description="distill only; null = train.steps")


class EnsembleConfig(Section):
    """Models whose logits are averaged, all in one artifact; each is trained for `train.steps`."""

    members: tuple[Literal["learned", "frozen"], ...] = Field(
        default=("learned", "frozen"), min_length=2, max_length=8, description="a frozen one is a `selective` model"
    )


class OptimizerConfig(Section):
    """AdamW for everything, or Muon for the block matrices and Adam for the rest."""

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(gt=0, description="peak; of the block matrices when the optimiser is muon")
    weight_decay: float = Field(ge=0, description="decoupled; under muon on the block matrices only")
    beta1: float = Field(ge=0, lt=1)
    beta2: float = Field(ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    embedding_learning_rate: float = Field(default=0.05, gt=0, description="muon only: Adam on the tied embedding")
    vector_learning_rate: float = Field(default=0.04, gt=0, description="muon only: Adam on gains and other vectors")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="muon only")
    momentum_start: float = Field(default=0.85, ge=0, lt=1, description="muon only: momentum at step 0")
    momentum_warmup_steps: int = Field(default=500, ge=0, description="muon only: linear from start to momentum")

    @model_validator(mode="before")
    @classmethod
    def _optimizer_presets(cls, values: Any) -> Any:
        return _fill(values, OPTIMIZERS, "name", "adamw")


class ScheduleConfig(Section):
    """Learning rate over steps, never over seconds: a slow card must not change the schedule."""

    name: Literal["cosine", "warmdown", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0, description="linear from 0 to the peak")
    warmdown_steps: int = Field(default=1200, ge=1, description="warmdown only: linear to the end over the last steps")
    final_ratio: float = Field(default=0.0, ge=0, le=1, description="learning rate at the end over the peak")


class TrainConfig(Section):
    """How long, on how much, and how carefully."""

    steps: int = Field(default=3000, ge=1, description="optimiser steps")
    sequence_tokens: int = Field(default=512, ge=2, le=65_536, description="tokens of one training row")
    batch_sequences: int = Field(default=64, ge=1, description="rows of one optimiser step")
    micro_batches: int = Field(default=1, ge=1, description="parts a step is computed in; must divide batch_sequences")
    clip_norm: float = Field(default=1.0, ge=0, description="largest gradient norm; 0 = no clipping")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="of the matrix products (autocast)")
    compile: bool | None = Field(default=None, description="torch.compile the block; null = on CUDA only")
    eval_every_steps: int = Field(default=0, ge=0, description="score while training; 0 = at the end only")
    checkpoint_every_seconds: float = Field(default=20.0, ge=0, description="0 = after every step")

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainConfig:
        if self.batch_sequences % self.micro_batches:
            raise ValueError(
                "`batch_sequences` must be divisible by `micro_batches`, "
                f"but got {self.batch_sequences} and {self.micro_batches}"
            )
        return self

    @property
    def batch_tokens(self) -> int:
        return self.batch_sequences * self.sequence_tokens


class EvalConfig(Section):
    """Which validation tokens are scored, in rows of `train.sequence_tokens`."""

    tokens: int | None = Field(default=None, ge=2, description="first tokens of the validation set; null = all")
    batch_sequences: int = Field(default=32, ge=1, description="rows scored at once")
    stride: int | None = Field(
        default=None, ge=1, description="also score with a window that slides by so many tokens; null = do not"
    )


class ArtifactConfig(Section):
    """How learned weights become bytes.

    A scale covers a row, or a group of its columns; where nothing clips, its largest code is the largest magnitude.
    """

    matrix_bits: int = Field(default=8, ge=2, le=8, description="width of the block matrices")
    embedding_bits: Literal[2, 3, 4, 5, 6, 7, 8, 16] = Field(
        default=8, description="width of the tied embedding; 16 = fp16"
    )
    bits_by_pattern: tuple[str, ...] | None = Field(
        default=None,
        max_length=64,
        description="other widths by name of the stored weight: blocks.*.down=4, or {blocks.*.down: 4}",
    )
    group_size: int | None = Field(
        default=None, ge=8, le=16_384, description="columns a scale, a row's last group may be shorter; null = all"
    )
    clip_std: float | None = Field(
        default=None, gt=0, le=1000, description="the largest code is so many standard deviations (about 0) of the row"
    )
    clip_percentile: float | None = Field(
        default=None, gt=0, le=100, description="the largest code is this percentile of the row's magnitudes"
    )
    codec: Literal["auto", "zlib", "zstd", "brotli", "lzma"] = Field(
        default="auto", description="compressor; auto keeps the smallest"
    )

    @field_validator("bits_by_pattern", mode="before")
    @classmethod
    def _patterns_as_text(cls, value: Any) -> Any:
        """A mapping as sorted `pattern=bits`: one cell of a table, and the same id in whatever order it was written."""
        if isinstance(value, Mapping):
            value = [f"{pattern}={bits}" for pattern, bits in value.items()]
        return sorted(value) or None if isinstance(value, list | tuple) and _all_text(value) else value

    @model_validator(mode="after")
    def _settings_fit(self) -> ArtifactConfig:
        if self.clip_std is not None and self.clip_percentile is not None:
            raise ValueError(
                "`clip_std` and `clip_percentile` exclude each other: remove one, "
                f"but got {self.clip_std:g} and {self.clip_percentile:g}"
            )
        for entry in self.bits_by_pattern or ():
            pattern, _, bits = entry.rpartition("=")
            if not pattern or bits not in WIDTHS:
                raise ValueError(
                    f"`bits_by_pattern` must give patterns widths of {', '.join(WIDTHS)} bits, "
                    f"as in blocks.*.down=4, but got {entry}"
                )
        if len(self.pattern_bits) < len(self.bits_by_pattern or ()):
            raise ValueError(
                f"`bits_by_pattern` must name a pattern once, but got {', '.join(self.bits_by_pattern or ())}"
            )
        return self

    @property
    def pattern_bits(self) -> dict[str, int]:
        """`bits_by_pattern` as a mapping."""
        entries = (entry.rpartition("=") for entry in self.bits_by_pattern or ())
        return {pattern: int(bits) for pattern, _, bits in entries}


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


class TrialConfig(Section):
    """One trial, whole. Same config, same device class, same data: the same bits of `ce`.

    Raises:
        pydantic.ValidationError: with every broken rule at once, each naming its key and value.
    """

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
        if not isinstance(values, dict):
            return values
        recipe = str(values.get("recipe", "baseline"))
        filled = dict(values)
        for section in SECTIONS_OF_RECIPE.get(recipe, ()):
            if filled.get(section) is None:
                filled[section] = {}
        if recipe == "progressive_distill" and isinstance(filled["progressive"], dict):
            filled["progressive"] = {**PROGRESSIVE_DISTILL, **filled["progressive"]}
        freeze = filled.get("freeze")
        if recipe in MATRICES_OF_RECIPE and isinstance(freeze, dict):
            filled["freeze"] = {"matrices": MATRICES_OF_RECIPE[recipe], **freeze}
        return filled

    @model_validator(mode="after")
    def _sections_fit(self) -> TrialConfig:
        for section in RECIPE_SECTIONS:
            if section not in SECTIONS_OF_RECIPE[self.recipe] and getattr(self, section) is not None:
                raise ValueError(
                    f"`{section}` has no effect with recipe {self.recipe}: remove it, or change the recipe"
                )
        if self.freeze is not None:
            frozen = self.frozen_matrices
            if not frozen and self.recipe not in MAY_FREEZE_NOTHING:
                raise ValueError(f"`freeze.matrices` must name a matrix with recipe {self.recipe}, but it is empty")
            self.freeze.layer_set(self.model.num_layers)
            if self.freeze.scheme == "orthogonal":
                self._orthogonal_maps_fit(frozen)
        if self.low_rank is not None and self.model.mlp == "geglu":
            raise ValueError("`model.mlp` must be gelu or relu2 with recipe low_rank, but got geglu")
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
        if self.artifact.bits_by_pattern:
            from trainer.stored import stored_weights

            stored_weights(self)
        return self

    @property
    def frozen_matrices(self) -> tuple[str, ...]:
        """The matrices of a block that `freeze.matrices` names, in the model's order.

        Raises:
            ValueError: if one of its patterns matches none of them.
        """
        patterns = self.freeze.matrices if self.freeze else ()
        for pattern in patterns:
            if not fnmatch.filter(self.model.matrices, pattern):
                raise ValueError(
                    f"`freeze.matrices` must be among {', '.join(self.model.matrices)} "
                    f"for an MLP of kind {self.model.mlp}, but got {pattern}"
                )
        return tuple(m for m in self.model.matrices if any(fnmatch.fnmatchcase(m, p) for p in patterns))

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

    @property
    def teacher_model(self) -> ModelConfig:
        """The teacher of recipe `distill`: the student's kind of model in a shape of its own."""
        assert self.distill is not None
        dim, num_heads = self.distill.teacher_dim, self.distill.teacher_heads
        rope_dims = self.model.rope_dims and min(self.model.rope_dims, dim // num_heads)
        shape = {"num_layers": self.distill.teacher_layers, "dim": dim, "num_heads": num_heads, "rope_dims": rope_dims}
        return ModelConfig.model_validate({**self.model.model_dump(), **shape})

    def _orthogonal_maps_fit(self, matrices: tuple[str, ...]) -> None:
        """The rule of `seeds.hadamard_block`, here so that a sweep is refused before it starts."""
        from trainer.shapes import weight_shapes

        shapes = weight_shapes(self.model)
        for matrix in matrices:
            if max(shapes[f"blocks.0.{matrix}"]) % 16:
                raise ValueError(
                    "`freeze.scheme` orthogonal needs matrices whose longer side is divisible by 16, "
                    f"but got {matrix} of {' x '.join(map(str, shapes[f'blocks.0.{matrix}']))}"
                )

    @property
    def config_id(self) -> str:
        """Twelve hex digits that all replicates (trials alike but for `seed`) share."""
        return _digest(self.model_dump(mode="json", exclude={"seed"}, exclude_none=True))

    @property
    def trial_id(self) -> str:
        """Readable and unique: recipe, shape, seed, and a digest of the whole config."""
        shape = f"{self.model.num_layers}L{self.model.dim}d"
        return f"{self.recipe}-{shape}-s{self.seed}-{_digest(self.model_dump(mode='json', exclude_none=True))}"


def _digest(values: dict[str, Any]) -> str:
    """Twelve hex digits of plain values; settings that are None are left out, so that a new section moves no old id."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def without_unused_sections(values: dict[str, Any]) -> dict[str, Any]:
    """A raw config without the sections its recipe does not read, for sweeps whose base serves several recipes."""
    used = SECTIONS_OF_RECIPE.get(str(values.get("recipe", "baseline")), RECIPE_SECTIONS)
    return {key: value for key, value in values.items() if key not in RECIPE_SECTIONS or key in used}
