"""The sections `resources` and `admission` of a sweep: what a trial is given, and which trials get nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from trainer.config.section import Section
from trainer.config.trial import TrialConfig

# Ray knows more kinds than these; they are here so that `h100` is not a kind of its own that no node ever has.
KNOWN_ACCELERATORS: tuple[str, ...] = (
    *("any", "CPU", "H100", "A40", "H200", "B200", "A100", "A100-40G", "A100-80G", "A10G", "A6000"),
    *("L4", "L40S", "T4", "V100", "P100"),
)


def spelt_as_ray_does(name: str) -> str:
    """The kind of an accelerator. Raises ValueError for a known one in other letters."""
    for known in KNOWN_ACCELERATORS:
        if name != known and name.casefold() == known.casefold():
            raise ValueError(f"must be spelt {known}")
    return name


class AdmissionConfig(Section):
    """Which planned trials are not worth a device: those whose artifact cannot keep the sweep's limits in bytes."""

    max_expected_ratio: float | None = Field(
        default=2.0, ge=1, description="expected bytes over the limit; null = only what certainly breaks it is refused"
    )


class ResourcesConfig(Section):
    """What one trial is given, in Ray's terms."""

    accelerator: str = Field(
        default="any", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="a kind as Ray names it, CPU, or any"
    )
    cpus: float | None = Field(default=None, gt=0, le=1024, description="null = the trial's num_threads")
    gpus: float | None = Field(default=None, ge=0, le=1024, description="a part of one, or whole ones; null = by kind")
    move: Literal["accelerator", "any"] = Field(
        default="accelerator", description="where a checkpoint goes on: on the same accelerator, or on any"
    )

    @field_validator("accelerator")
    @classmethod
    def _spelt_as_ray_does(cls, name: str) -> str:
        return spelt_as_ray_does(name)

    @field_validator("gpus")
    @classmethod
    def _part_or_whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("must be at most 1 or a whole number: Ray shares one GPU, or gives whole ones")
        return gpus


class TrialKeys(TrialConfig):
    """The tree of keys that a space may name: a trial's, and its resources."""

    resources: ResourcesConfig = Field(default_factory=ResourcesConfig)
