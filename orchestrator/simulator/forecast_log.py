"""What was forecast when a driver began, and what came of it: `forecasts.jsonl`, which the report reads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.ledger.events import Machine
from orchestrator.run_context import RunContext
from orchestrator.scheduling.cost_model import Costs
from orchestrator.search.planner import PlannedTrial
from orchestrator.simulator.chances import Chances
from orchestrator.simulator.forecast import Effort, Forecast, drawn_of, forecast
from orchestrator.simulator.setting import Setting, what_ended
from orchestrator.simulator.simulated_search import Trials
from orchestrator.store.json_lines import append_line
from search_spaces.spec.sections.budget import BudgetConfig
from trainer.result import utc_now

# A call must not wait long for its forecast; fewer nights are simulated then.
MOST_SECONDS = 1.0


def begin_forecast(run: RunContext, waiting: Sequence[PlannedTrial], machines: Sequence[Machine]) -> Forecast | None:
    """Forecast this call of `frostline run` and keep that; None where nothing is known of a machine.

    Args:
        waiting: trials that are known and have not ended.
    """
    kinds = {machine.accelerator for machine in machines if machine.cpus}
    if not all(map(run.timed.durations.knows, kinds)):
        return None
    found = forecast(_setting(run, waiting, machines), Effort(most_seconds=MOST_SECONDS))
    before = {"counts": dict(run.status.counts), "seconds": run.books.driver_seconds, "usd": run.books.spent_usd}
    _append(run, {"kind": "forecast", "before": before, "forecast": found.as_dict()})
    return found


def end_forecast(run: RunContext) -> None:
    """Keep what came of the last forecast; where that cannot be done, a note says so, and nothing else is lost."""
    try:
        lines = _read(run)
        if lines and lines[-1].get("kind") == "forecast":
            _append(run, {"kind": "truth", "truth": _truth(run, lines[-1])})
    except (OSError, KeyError, AttributeError) as error:
        run.display.note(f"forecasts.jsonl does not hold what came: {error!r}")


def _truth(run: RunContext, made: Mapping[str, Any]) -> dict[str, Any]:
    """What this call has brought. Args: `made`: the line of its forecast."""
    before: Mapping[str, Any] = made["before"]
    counts = {name: count - before["counts"].get(name, 0) for name, count in run.status.counts.items()}
    return {
        "counts": {name: count for name, count in counts.items() if count},
        "seconds": run.books.driver_seconds - before["seconds"],
        "usd": run.books.spent_usd - before["usd"],
        "end": what_ended(run.timed, run.status),
    }


def _setting(run: RunContext, waiting: Sequence[PlannedTrial], machines: Sequence[Machine]) -> Setting:
    spec, search = run.spec, run.search
    chooses = search.end is None and spec.is_adaptive
    drawn, refused_share = drawn_of(spec) if chooses else ((), 0.0)
    num_to_confirm = 0 if search.end is not None else spec.num_to_confirm
    costs = Costs()
    chosen = [costs.of(trial).work for trial in search.trials if trial.config.seed == spec.seeds[0]]
    chances = Chances().of_sweep(spec, run.recorder.rows)
    return Setting(
        spec=spec,
        trials=Trials(
            given=tuple(waiting),
            drawn=drawn,
            num_more=max(0, search.num_to_come - num_to_confirm) if chooses else 0,
            num_to_confirm=min(num_to_confirm, search.num_to_come),
            refused_share=refused_share,
        ),
        machines=tuple(machine for machine in machines if machine.cpus),
        durations=run.timed.durations,
        chances=chances.chosen_like(chosen, [costs.of(one).work for one in drawn]) if chooses else chances,
        costs=costs,
        budget=_left(run),
        begin=datetime.now().astimezone(),
        done=run.timed.done,
    )


def _left(run: RunContext) -> BudgetConfig:
    """The budget without what earlier calls have used."""
    budget, least = run.timed.budget, 1e-6
    hours = None if budget.hours is None else max(least, budget.hours - run.books.driver_seconds / 3_600)
    usd = None if budget.usd is None else max(least, budget.usd - run.books.spent_usd)
    return budget.model_copy(update={"hours": hours, "usd": usd})


def _append(run: RunContext, line: Mapping[str, Any]) -> None:
    append_line(run.folder.forecasts_file, {"at": utc_now(), **line})


def _read(run: RunContext) -> list[dict[str, Any]]:
    """What can be read of it."""
    path, found = run.folder.forecasts_file, []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found
