"""One running trial, as last reported."""

from __future__ import annotations

import dataclasses
import math

TRAINING_SHARE = 0.9


@dataclasses.dataclass(kw_only=True)
class Running:
    """One running trial, as last reported."""

    trial_id: str
    accelerator: str
    step: int = 0
    total_steps: int = 0
    stage: str = "starting"
    ce: float = math.nan
    tokens_per_s: float = 0.0

    @property
    def share(self) -> float:
        """How much of the trial is done; packing and scoring are the last tenth."""
        return TRAINING_SHARE * self.step / self.total_steps if self.total_steps else 0.0
