"""The forecast that `frostline plan` is asked for: on which machines, and by which rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.estimates.cpu_speed import measured_cpu
from orchestrator.ledger.events import Machine
from orchestrator.scheduling.cost_model import training_cost
from orchestrator.scheduling.durations import OTHER_SWEEP_SIGMA, Durations
from orchestrator.search.warm_start import config_of_row
from orchestrator.simulator.chances import Chances
from orchestrator.simulator.fleet import read_fleet
from orchestrator.simulator.forecast import NUM_NIGHTS, Effort, Forecast, forecast, setting_of
from search_spaces.spec.sweep_spec import SweepSpec

# Computing ends then, with fewer nights: a forecast is asked for at a terminal.
MOST_SECONDS = 6.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """What `frostline plan` is given.

    Args:
        fleet: as `read_fleet` reads it.
        address: of a cluster, whose machines count instead.
        like: a run whose rows say how long trials take, and how many are stopped early.
        losses_per_day: of one machine.
    """

    fleet: str | None = None
    address: str | None = None
    like: str | None = None
    num_nights: int = NUM_NIGHTS
    losses_per_day: float = 0.0


def planned_forecast(spec: SweepSpec, options: ForecastOptions, advance: Callable[[int], None]) -> Forecast:
    """The forecast of a whole sweep.

    Raises:
        UsageError: if the machines or the rows cannot be read, or nothing would run.
    """
    durations, rows = Durations(measured_cpu()), _rows(options.like)
    if rows:
        learn(rows, durations)
    chances = Chances(losses_per_day=options.losses_per_day).of_sweep(spec, rows)
    setting = setting_of(spec, _machines(options), durations, chances)
    return forecast(setting, Effort(num_nights=options.num_nights, most_seconds=MOST_SECONDS, advance=advance))


def learn(rows: Iterable[Mapping[str, Any]], durations: Durations) -> None:
    """Learn how long trials take from rows of the table of trials of another run."""
    durations.sweep_sigma = OTHER_SWEEP_SIGMA
    for row in rows:
        config = config_of_row(row)
        if config is not None:
            durations.ended(row, training_cost(config))


def _machines(options: ForecastOptions) -> list[Machine]:
    if options.fleet is not None and options.address is not None:
        raise UsageError("--fleet and --address both say which machines: give one of them")
    if options.address is None:
        return read_fleet(options.fleet or "local")
    # here and not above: it loads Ray
    from orchestrator.ray_backend.nodes.cluster_status import cluster_machines

    return cluster_machines(options.address)


def _rows(run: str | None) -> Sequence[Mapping[str, Any]]:
    if run is None:
        return ()
    import results
    from orchestrator.cli.run_folders import readable_folder
    from results.analysis.replicate_groups import to_rows

    try:
        return list(to_rows(results.load(readable_folder(run)).trials))
    except results.ResultsError as error:
        raise UsageError(f"--like {run}: {error}") from error
