"""`frostline table`: a run in the layout of the study's tables, with the published figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `table` to the command line."""
    epilog = "Example: `frostline table runs/section2_fineweb`"
    app.command("table", no_args_is_help=True, epilog=epilog)(table)


def table(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run folder, or s3://BUCKET/FOLDER")],
    figures: Annotated[
        Path | None, typer.Option("--published", help="file of published figures; by default those of PR #1301")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object with every config")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="print the table for a Markdown page")] = False,
) -> None:
    """Print a run as the study printed its own: against the control, bytes, frozen share, and the published figure.

    Letters mark what keeps a published figure from being compared.
    """
    from orchestrator.cli.run_folders import readable_folder
    from results.analysis.control_comparison import load_study_table
    from results.analysis.published_figures import FIGURES
    from results.errors import ResultsError
    from results.report import study_table

    try:
        info = load_study_table(readable_folder(run), figures or FIGURES)
    except (ResultsError, PermissionError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(info.as_dict(), indent=1, allow_nan=False))
        return
    if as_markdown:
        typer.echo("\n".join(study_table.markdown(info)))
        return
    scale = f" (scale {info.scale.name})" if info.scale.name else ""
    lines = [study_table.HEADERS, *map(study_table.cells, info.rows)]
    typer.echo("\n".join([f"{info.sweep}{scale}", *_aligned(lines), "", *study_table.remarks(info)]))


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns two spaces apart: the first and last from the left, numbers from the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
