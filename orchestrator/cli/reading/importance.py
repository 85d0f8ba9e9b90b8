"""`frostline importance`: which settings of a run mattered."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.results import Limit, Objectives, Runs, goals_of, one_line_errors, plain_table

if TYPE_CHECKING:
    from results.analysis.importance import Importance

HEADERS = ("setting", "effect", "95 % interval", "configs")
UNITS = {
    "nats": "nats: a typical change of ce when the setting changes and bytes and all else stay",
    "share": "share of what tells the configs near the front from the others",
}


def register(app: typer.Typer) -> None:
    """Add `importance` to the command line."""
    epilog = "Examples:\n\n- `frostline importance runs/night`\n\n- `frostline importance 'runs/*' --json`"
    app.command("importance", no_args_is_help=True, epilog=epilog)(importance)


def importance(
    runs: Runs,
    objective: Objectives = None,
    limit: Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON array with an object for each row")] = False,
) -> None:
    """Show which settings mattered: for ce at equal bytes, and for reaching the front, each with a 95 % interval.

    An interval that begins at 0 may be chance. With too few configs, or where the settings explain nothing, it says so.
    """
    import results
    from results.analysis.importance import importances
    from results.analysis.pareto_info import pareto_info

    with one_line_errors():
        tables = results.load(runs)
        goals = goals_of(tables.folders, objective, limit)
        found = importances(tables, pareto_info(tables, goals.objectives, goals.constraints))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(row) for row in found], indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(importance_lines(found)))


def importance_lines(found: Sequence[Importance]) -> list[str]:
    """A table for each target, or why there is none, and the notes once below."""
    lines: list[str] = []
    for target in dict.fromkeys(row.target for row in found):
        rows = [row for row in found if row.target == target]
        lines.append(f"{target} ({UNITS[rows[0].unit]})")
        if rows[0].reason is not None:
            lines.append(f"  {rows[0].reason}")
        else:
            lines += [f"  {line}" for line in plain_table([HEADERS, *map(_cells, rows)], left={0})]
        lines.append("")
    notes = dict.fromkeys(note for row in found for note in row.notes)
    return [*lines[:-1], *([""] if notes else []), *(f"note: {note}" for note in notes)]


def _cells(row: Importance) -> tuple[str, ...]:
    digits = 4 if row.unit == "nats" else 2
    interval = f"{row.low:.{digits}f} to {row.high:.{digits}f}"
    return (row.setting or "", f"{row.effect:.{digits}f}", interval, str(row.num_configs))
