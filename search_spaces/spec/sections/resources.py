"""The sections `resources` and `admission` of a sweep: what a trial is given, and which trials get nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from search_spaces.spec.sections.accelerators import ANY, EXPECTED, Accelerators, kinds_of_text, text_of_kinds
from trainer.config.section import Section
from trainer.config.trial import TrialConfig


class AdmissionConfig(Section):
    """Which planned trials are not worth a device: those whose artifact cannot keep the sweep's limits in bytes."""

    max_expected_ratio: float | None = Field(
        default=2.0, ge=1, description="expected bytes over the limit; null = only what certainly breaks it is refused"
    )


class ResourcesConfig(Section):
    """What one trial is given, in Ray's terms."""

    accelerator: Accelerators = Field(default=ANY, description=EXPECTED, json_schema_extra={"expected": EXPECTED})
    cpus: float | None = Field(default=None, gt=0, le=1024, description="null = the trial's num_threads")
    gpus: float | None = Field(default=None, ge=0, le=1024, description="a part of one, or whole ones; null = by kind")
    move: Literal["accelerator", "any"] = Field(
        default="accelerator", description="where a checkpoint goes on: on the same accelerator, or on any"
    )

    @field_validator("gpus")
    @classmethod
    def _part_or_whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("must be at most 1 or a whole number: Ray shares one GPU, or gives whole ones")
        return gpus

    @property
    def kinds_text(self) -> str:
        """The kinds as rows have them: `A40,H100`."""
        return text_of_kinds(self.accelerator)

    @property
    def kinds(self) -> frozenset[str] | None:
        """None for any."""
        return kinds_of_text(self.kinds_text)


class TrialKeys(TrialConfig):
    """The tree of keys that a space may name: a trial's, and its resources."""

    resources: ResourcesConfig = Field(default_factory=ResourcesConfig)
