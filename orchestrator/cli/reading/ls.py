"""`frostline ls`: the trials of runs as a table, filtered and sorted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.results import Runs, one_line_errors

if TYPE_CHECKING:
    from results.tables.listing import Listing

MAX_CELL_CHARACTERS = 60


def register(app: typer.Typer) -> None:
    """Add `ls` to the command line."""
    examples = (
        "ls runs/night --sort ce",
        "ls runs/night --where \"recipe == 'selective' and total_bytes <= 16e6 and status == completed\"",
        "ls 'runs/*' --where 'model.dim in (64, 96)' --columns trial_id,ce,model.dim --sort -ce --json",
    )
    epilog = "Examples:\n\n" + "\n\n".join(f"- `frostline {example}`" for example in examples)
    app.command("ls", no_args_is_help=True, epilog=epilog)(ls)


def ls(
    runs: Runs,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help="== != < <= > >= in, and, or, not over columns and keys of settings"),
    ] = None,
    sort: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="smallest first, or -COLUMN; may be repeated")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="most trials to list")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="list every trial")] = False,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="default: status, ce, bytes, speed, dollars, and the settings that vary"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON array with an object for each trial")] = False,
) -> None:
    """List the trials that have ended: one row each, with the settings that vary among them.

    Settings are named as in sweep files (model.dim) or as in the table (cfg_model_dim). A missing value keeps no
    condition but `is None`, and is last in any order.
    """
    from results.tables.listing import listing

    with one_line_errors():
        names = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
        found = listing(runs, where=where, sort=sort or (), limit=None if everything else limit, columns=names)
    if as_json:
        typer.echo(json.dumps(found.rows, indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(_lines(found)))


def _lines(found: Listing) -> list[str]:
    from orchestrator.cli.results import plain_table
    from results.tables.listing import is_text

    cells = [[_text(row[name], name) for name in found.columns] for row in found.rows]
    left = {index for index, name in enumerate(found.columns) if is_text(name)}
    rest = "" if len(found.rows) == found.num_matching else "; --all lists them, --limit more of them"
    summary = f"{len(found.rows):,} of {found.num_matching:,} trials that match, of {found.num_trials:,}{rest}"
    return [*plain_table([found.headers, *cells], left), summary]


def _text(value: object, column: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if column.startswith(("ce", "bpb")) else f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if column.endswith(("_bytes", "tokens")) else str(value)
    text = str(value).splitlines()[0] if str(value) else ""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= MAX_CELL_CHARACTERS else f"{text[: MAX_CELL_CHARACTERS - 1]}…"
