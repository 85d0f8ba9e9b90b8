"""The section `early_stopping` of a sweep: which trials are stopped."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from trainer.config.section import Section

StoppingMethod = Literal["auto", "best_case", "asha", "none"]
# The settings that a method does not read.
UNREAD: dict[StoppingMethod, tuple[str, ...]] = {
    "auto": (),
    "best_case": (),
    "asha": ("risk",),
    "none": ("risk", "audit_share"),
}


class EarlyStoppingConfig(Section):
    """Which trials are stopped on the way. See `docs/early_stopping.md`."""

    method: StoppingMethod = Field(
        default="auto",
        description="auto: best_case with an adaptive search for cross-entropy (and bytes), else none",
    )
    risk: float = Field(
        default=0.05,
        gt=0,
        le=0.5,
        description="best_case: share of trials that may end better than the best case they are stopped for",
    )
    audit_share: float = Field(
        default=0.1, ge=0, le=1, description="of the trials that would be stopped, run on to check the rule"
    )

    def resolved(self, method: StoppingMethod) -> dict[str, Any]:
        """As plain values, with `method` for auto, and only the settings that it reads."""
        return {**self.model_dump(exclude=set(UNREAD[method])), "method": method}
