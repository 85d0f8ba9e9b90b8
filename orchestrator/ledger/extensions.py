"""What `frostline extend` adds to the budget of a run: `extensions.jsonl`, which the driver reads as it works."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from search_spaces.spec.sections.budget import BudgetConfig
from trainer.files import write_atomically
from trainer.result import utc_now


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extension:
    """More hours, more dollars, or both."""

    at: str
    hours: float = 0.0
    usd: float = 0.0


@dataclasses.dataclass(frozen=True)
class Extensions:
    """The file. Every extension stays in it."""

    path: Path

    def add(self, budget: BudgetConfig, *, hours: float = 0.0, usd: float = 0.0) -> BudgetConfig:
        """Add to the budget of the sweep file; the budget from now on.

        Raises:
            UsageError: if the sweep has no such limit, or nothing is added.
        """
        for name, value, limit in (("hours", hours, budget.hours), ("usd", usd, budget.usd)):
            if value < 0 or (value and limit is None):
                raise UsageError(
                    f"--{name} {value:g}: " + ("must be above 0" if value < 0 else f"the sweep has no budget.{name}")
                )
        if not hours and not usd:
            raise UsageError("nothing to add: give --hours or --usd")
        lines = [*self.read(), Extension(at=utc_now(), hours=hours, usd=usd)]
        text = "".join(json.dumps(dataclasses.asdict(one)) + "\n" for one in lines)
        write_atomically(self.path, text.encode())
        return self.extended(budget)

    def read(self) -> list[Extension]:
        """All of them, oldest first. Raises UsageError if the file is damaged."""
        if not self.path.exists():
            return []
        try:
            return [Extension(**json.loads(line)) for line in self.path.read_text().splitlines() if line]
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.path} is damaged ({error}): restore it, or remove it") from error

    def extended(self, budget: BudgetConfig) -> BudgetConfig:
        """A budget with all that was added."""
        found = self.read()
        more: dict[str, Any] = {}
        if budget.hours is not None:
            more["hours"] = budget.hours + sum(one.hours for one in found)
        if budget.usd is not None:
            more["usd"] = budget.usd + sum(one.usd for one in found)
        return budget.model_copy(update=more)
