"""Settings of the model: its shape, and the two families that fill what is not given."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from trainer.config.section import Section, with_presets
from trainer.config.shape import ModelShape

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


def _at_most_head_dim(values: dict[str, Any]) -> Any:
    """The family's rotated dimensions, or a whole head where heads are smaller than that."""
    dim, num_heads = values.get("dim", 192), values.get("num_heads", 6)
    if not (isinstance(dim, int) and isinstance(num_heads, int) and num_heads > 0):
        return values["rope_dims"]
    return max(2, min(values["rope_dims"], dim // num_heads))


class ModelConfig(Section, ModelShape):
    """Shape and kind of the GPT. `family` fills whatever is not given."""

    family: Literal["study", "competition"] = "study"
    vocab_size: int = Field(default=1024, ge=16, le=65_536, description="tokens in the vocabulary; must be the data's")
    num_layers: int = Field(default=6, ge=1, le=256, description="transformer blocks")
    dim: int = Field(default=192, ge=8, le=16_384, description="width of the residual stream")
    num_heads: int = Field(default=6, ge=1, le=1024, description="query heads; must divide dim")
    num_kv_heads: int | None = Field(default=None, ge=1, le=1024, description="key/value heads; null = num_heads")
    mlp: Literal["geglu", "gelu", "relu2"] = Field(
        description="gate, up, down with GELU; fc, proj with GELU; or fc, proj with squared ReLU"
    )
    mlp_ratio: float = Field(default=2.0, gt=0, le=16, description="hidden width of the MLP over dim")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="on the MLP's hidden units, while training")
    rope_dims: int | None = Field(ge=2, le=16_384, description="dimensions of a head that are rotated; null = all")
    norm_gain: bool = Field(description="RMSNorm with a learned gain (eps 1e-6) or without")
    qk_norm: bool = Field(description="RMS-norm queries and keys, with a learned gain per head on the queries")
    logit_softcap: float | None = Field(ge=0.01, le=10_000, description="logits become c*tanh(logits/c); null = off")
    unet_skips: bool = Field(
        description="outputs of the first half of the layers are added to the second half, last first"
    )
    input_mix: bool = Field(description="each block mixes the stream with the normed embedding")
    branch_scale: bool = Field(description="learned gain per channel on each block's attention and MLP output")
    zero_init_projections: bool = Field(description="o and down/proj start at zero")
    embedding_std: float = Field(ge=1e-6, le=100, description="standard deviation of the embedding at start")
    linear_std: float | None = Field(
        ge=1e-6, le=100, description="of the matrices; null = uniform with bound 1/sqrt(fan_in)"
    )

    @model_validator(mode="before")
    @classmethod
    def _family_presets(cls, values: Any) -> Any:
        filled = with_presets(values, FAMILIES, "family", "study")
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
