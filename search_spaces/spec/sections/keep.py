"""The section `keep` of a sweep: what the run folder keeps of its trials."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trainer.config.section import Section

Kept = Literal["all", "front", "none"]
MAX_CHECKPOINTS = 1_000_000


class KeepConfig(Section):
    """What a run folder keeps of its trials. Rows, curves and configs always stay. See `docs/sweeps.md`."""

    artifacts: Kept = Field(
        default="all",
        description="of every trial; of those that may be on the front, or are compared with it; or of none",
        json_schema_extra={"expected": "all, front or none"},
    )
    checkpoints: int = Field(
        default=10,
        ge=0,
        le=MAX_CHECKPOINTS,
        description="of trials that early stopping ended: of those that came nearest to the front",
    )

    def text(self) -> str:
        """As a sweep file says it."""
        return f"keep: {{artifacts: {self.artifacts}, checkpoints: {self.checkpoints}}}"
