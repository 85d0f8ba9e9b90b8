"""What a trained model is, as its artifact's header says it: settings that scoring reads, and what follows from them.

A header is read into plain attributes, without checks: the file's hash has shown that it is what was written, by a
`TrialConfig`, which checks everything. The sections of a `TrialConfig` are these classes too. Free of pydantic.
"""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any, Literal, Self

MATRICES_OF_MLP: dict[str, tuple[str, ...]] = {
    "geglu": ("gate", "up", "down"),
    "gelu": ("fc", "proj"),
    "relu2": ("fc", "proj"),
}
MATRICES_OF_ATTENTION: tuple[str, ...] = ("q", "k", "v", "o")


class Shape:
    """Settings as attributes; a class names its own for type checkers alone, as pydantic would make fields of them."""

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class ModelShape(Shape):
    """Shape and kind of the GPT."""

    if TYPE_CHECKING:
        vocab_size: int
        num_layers: int
        dim: int
        num_heads: int
        num_kv_heads: int | None
        mlp: str
        mlp_ratio: float
        dropout: float
        rope_dims: int | None
        norm_gain: bool
        qk_norm: bool
        logit_softcap: float | None
        unet_skips: bool
        input_mix: bool
        branch_scale: bool
        zero_init_projections: bool
        embedding_std: float
        linear_std: float | None

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

    def resized(self, **shape: int | None) -> Self:
        """The same kind of model in another shape."""
        return type(self)(**{**vars(self), **shape})


class FreezeShape(Shape):
    """Which matrices are frozen."""

    if TYPE_CHECKING:
        matrices: tuple[str, ...]
        layers: str
        scheme: Literal["normal", "uniform", "rademacher", "orthogonal"]
        seed: int | None

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


class ArtifactShape(Shape):
    """How weights become bytes."""

    if TYPE_CHECKING:
        matrix_bits: int
        embedding_bits: int
        bits_by_pattern: tuple[str, ...] | None
        group_size: int | None
        clip_std: float | None
        clip_percentile: float | None

    @property
    def pattern_bits(self) -> dict[str, int]:
        """`bits_by_pattern` as a mapping."""
        entries = (entry.rpartition("=") for entry in self.bits_by_pattern or ())
        return {pattern: int(bits) for pattern, _, bits in entries}


class AdapterShape(Shape):
    """The correction beside each frozen matrix."""

    if TYPE_CHECKING:
        kind: str
        rank: int
        channel_gain: bool


class ProgressiveShape(Shape):
    """When training freezes what it has trained so far."""

    if TYPE_CHECKING:
        freeze_at: float
        distill_at: float
        restart: bool
        learning_rate_ratio: float


class LowRankShape(Shape):
    """The branch beside a frozen MLP."""

    if TYPE_CHECKING:
        rank: int
        activation: Literal["gelu", "none"]


class DistillShape(Shape):
    """The teacher."""

    if TYPE_CHECKING:
        teacher_layers: int
        teacher_dim: int
        teacher_heads: int
        teacher_steps: int | None


class EnsembleShape(Shape):
    """Models whose logits are averaged."""

    if TYPE_CHECKING:
        members: tuple[str, ...]


class TrainShape(Shape):
    """Steps, rows, precision."""

    if TYPE_CHECKING:
        steps: int
        sequence_tokens: int
        precision: str


class EvalShape(Shape):
    """Which validation tokens are scored."""

    if TYPE_CHECKING:
        tokens: int | None
        batch_sequences: int
        stride: int | None


class TrialShape(Shape):
    """The settings of a trial that its recipe, its artifact and its score depend on."""

    if TYPE_CHECKING:
        recipe: str
        seed: int
        device: str
        num_threads: int
        model: ModelShape
        freeze: FreezeShape | None
        adapter: AdapterShape | None
        progressive: ProgressiveShape | None
        low_rank: LowRankShape | None
        distill: DistillShape | None
        ensemble: EnsembleShape | None
        train: TrainShape
        eval: EvalShape
        artifact: ArtifactShape

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The settings in an artifact's header."""
        values = json.loads(text)
        kinds = {"model": ModelShape, "freeze": FreezeShape, "artifact": ArtifactShape}  # that derive something
        sections = {name: kinds.get(name, Shape)(**value) for name, value in values.items() if isinstance(value, dict)}
        return cls(**{**values, **sections})

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

    @property
    def teacher_model(self) -> ModelShape:
        """The teacher of recipe `distill`: the student's kind of model in a shape of its own."""
        assert self.distill is not None
        settings, rope_dims = self.distill, self.model.rope_dims
        return self.model.resized(
            num_layers=settings.teacher_layers,
            dim=settings.teacher_dim,
            num_heads=settings.teacher_heads,
            rope_dims=rope_dims and min(rope_dims, settings.teacher_dim // settings.teacher_heads),
        )
