"""A plan after which nothing is confirmed, as the dispatcher asks it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import PlannedSearch


class Plan(PlannedSearch):
    to_confirm: Sequence[PlannedTrial] = ()
    is_confirming = False

    def begin_confirmation(self) -> bool:
        return False

    def go_on_searching(self) -> None:
        """It was not cut."""
