"""How each weight is stored in the artifact (bits, scales), and its bytes before compression.

One rule lays out codes: those of a width lie one a byte, or packed; fp16 weights and scales take two bytes.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable
from math import prod

from trainer.config.shape import ArtifactShape, TrialShape
from trainer.recipes.variants import plan
from trainer.recipes.weight_shapes import Shape, is_matrix

FP16 = 16

# The widths whose codes are packed; codes of other widths lie one a byte.
Layout = frozenset[int]
PACKABLE: Layout = frozenset(range(2, 8))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """How one weight is stored: as codes of 2 to 8 bits, a scale for each row or group of columns; or as fp16."""

    shape: Shape
    bits: int
    group_size: int | None = None
    clip_std: float | None = None
    clip_percentile: float | None = None

    @property
    def num_params(self) -> int:
        return prod(self.shape)

    @property
    def scales_shape(self) -> tuple[int, int]:
        """(rows, scales a row) of a matrix that is stored as codes."""
        assert self.bits != FP16
        rows, columns = self.shape
        return rows, -(-columns // self.group_size) if self.group_size else 1

    def code_bytes(self, layout: Layout) -> int:
        """Bytes of the codes before compression; none for fp16."""
        if self.bits == FP16:
            return 0
        return packed_bytes(self.num_params, self.bits) if self.bits in layout else self.num_params


def packed_bytes(num_codes: int, bits: int) -> int:
    """Bytes of so many codes, packed."""
    return (bits * num_codes + 7) // 8


def stored_weights(config: TrialShape) -> dict[str, Stored]:
    """Every weight that an artifact of this config holds, in stored order.

    Matrices and embeddings become codes; gains, norms and other vectors are a hundredth of them and stay fp16.

    Raises:
        ValueError: if a pattern of `artifact.bits_by_pattern` names no matrix or embedding, or two disagree on one.
    """
    weights = {name: weight.shape for name, weight in plan(config).weights.items() if weight.kind != "seeded"}
    widths = {name: _bits(config.artifact, name) for name in weights}
    widths |= _widths_by_pattern(config.artifact, [name for name in weights if _is_quantized(name)])
    return {name: _stored(config.artifact, shape, widths[name]) for name, shape in weights.items()}


def raw_bytes(config: TrialShape, layout: Layout = PACKABLE) -> dict[str, int]:
    """Bytes of a payload before compression, by part, from shapes alone."""
    return parts_bytes(stored_weights(config).values(), layout)


def parts_bytes(stored: Iterable[Stored], layout: Layout) -> dict[str, int]:
    """Bytes of these weights before compression, by part."""
    every = list(stored)
    return {
        "codes": sum(weight.code_bytes(layout) for weight in every),
        "scales": sum(2 * prod(weight.scales_shape) for weight in every if weight.bits != FP16),
        "halves": sum(2 * weight.num_params for weight in every if weight.bits == FP16),
    }


def packable_widths(stored: Iterable[Stored]) -> Layout:
    """The layout that packs all that can be."""
    return PACKABLE & {weight.bits for weight in stored}


def _stored(artifact: ArtifactShape, shape: Shape, bits: int) -> Stored:
    if bits == FP16:
        return Stored(shape=shape, bits=bits)
    # A group as wide as the row is the row: both are then one and the same setting.
    group_size = artifact.group_size if artifact.group_size and artifact.group_size < shape[1] else None
    return Stored(
        shape=shape,
        bits=bits,
        group_size=group_size,
        clip_std=artifact.clip_std,
        clip_percentile=artifact.clip_percentile,
    )


def _is_quantized(name: str) -> bool:
    return _is_embedding(name) or is_matrix(name)


def _is_embedding(name: str) -> bool:
    return name.endswith("embedding")


def _bits(artifact: ArtifactShape, name: str) -> int:
    if _is_embedding(name):
        return artifact.embedding_bits
    return artifact.matrix_bits if is_matrix(name) else FP16


def _widths_by_pattern(artifact: ArtifactShape, names: list[str]) -> dict[str, int]:
    widths: dict[str, int] = {}
    for pattern, bits in artifact.pattern_bits.items():
        # Case matters on every system, which fnmatch.filter does not promise.
        matches = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not matches:
            raise ValueError(
                "`artifact.bits_by_pattern` must name a matrix or embedding that is stored, such as "
                f"{', '.join(names[:3])}, but {pattern} matches none"
            )
        for name in matches:
            if widths.setdefault(name, bits) != bits:
                raise ValueError(
                    "`artifact.bits_by_pattern` must give a weight one width, "
                    f"but {name} gets {widths[name]} and {bits}"
                )
    return widths
