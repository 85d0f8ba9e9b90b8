"""Settings of the artifact: bit widths, scales, compressor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trainer.config.section import Section
from trainer.config.shape import ArtifactShape

# Bits that a weight of an artifact may take: codes of 2 to 8, or fp16.
WIDTHS: tuple[str, ...] = ("2", "3", "4", "5", "6", "7", "8", "16")


class ArtifactConfig(Section, ArtifactShape):
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
        default=None,
        ge=0.01,
        le=1000,
        description="the largest code is so many standard deviations (about 0) of the row",
    )
    clip_percentile: float | None = Field(
        default=None, ge=1, le=100, description="the largest code is this percentile of the row's magnitudes"
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
        return tuple(sorted(value)) or None if isinstance(value, list | tuple) and _all_text(value) else value

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


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
