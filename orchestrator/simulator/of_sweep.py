"""The forecast of a sweep on given machines: what `frostline plan --fleet` shows and `frostline run` begins with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.ledger.events import Machine
from orchestrator.scheduling.cost_model import training_cost
from orchestrator.scheduling.durations import Durations
from orchestrator.search.warm_start import config_of_row
from orchestrator.simulator.chances import Chances
from orchestrator.simulator.forecast import NUM_NIGHTS, Forecast, forecast, setting_of, trials_of
from orchestrator.simulator.simulated_search import Trials
from search_spaces.spec.sweep_spec import SweepSpec

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is computed: nights, at most so many seconds of them, and what is called after each."""

    num_nights: int = NUM_NIGHTS
    most_seconds: float = math.inf
    advance: Callable[[int], None] = lambda number: None


def forecast_of(
    spec: SweepSpec,
    machines: Sequence[Machine],
    durations: Durations,
    *,
    chances: Chances | None = None,
    trials: Trials | None = None,
    effort: Effort | None = None,
) -> Forecast:
    """The forecast.

    Args:
        durations: what is known of how long trials take.
        chances: of early stopping, losses and slow machines; by default those that the sweep states.
        trials: what is left to be trained; by default the whole sweep.

    Raises:
        UsageError: if nothing would run, or nothing is known of how long trials take on some machine.
    """
    effort = effort or Effort()
    unknown = sorted({one.accelerator for one in machines if not durations.knows(one.accelerator)})
    if unknown:
        raise UsageError(
            f"nothing is known of how long trials take on {', '.join(unknown)}: give --like RUN, a run that has used it"
        )
    setting, cannot_run = setting_of(
        spec, trials or trials_of(spec), machines, durations, chances or Chances().with_stopping(spec)
    )
    found = forecast(setting, num_nights=effort.num_nights, most_seconds=effort.most_seconds, advance=effort.advance)
    basis = tuple(durations.basis(kind) for kind in sorted({one.accelerator for one in machines}))
    return dataclasses.replace(found, cannot_run=tuple(cannot_run), basis=basis)


def durations_of(rows: Iterable[Row], known: Durations) -> int:
    """Learn from rows of the table of trials, of this sweep or another; how many taught something."""
    num_used = 0
    for row in rows:
        config = config_of_row(row)
        if config is not None and row["status"] in ("completed", "stopped_early", "deadline"):
            known.ended(row, training_cost(config))
            num_used += 1
    return num_used
