"""`frostline suggest`: what to try next, as a sweep file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from results.analysis.replicate_groups import Row

MAX_ROWS_WITHOUT_PROGRESS = 500


def register(app: typer.Typer) -> None:
    """Add `suggest` to the command line."""
    epilog = "Example: `frostline suggest runs/night > next.yaml && frostline plan next.yaml`"
    app.command("suggest", no_args_is_help=True, epilog=epilog)(suggest)


def suggest(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run folder, or s3://BUCKET/FOLDER", show_default=False)],
) -> None:
    """Print a sweep file of what to try next: the space of a run, shrunken to the surroundings of its front.

    Each key has a comment that says what it was and why it is what it is. Notes go to stderr.
    """
    from datetime import datetime

    from orchestrator.advice.suggest import advise
    from orchestrator.cli.run_folders import readable_folder

    found = advise(readable_folder(run), run, datetime.now().astimezone(), _tracked)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(found.text, nl=False)


def _tracked(rows: Sequence[Row]) -> Iterator[Row]:
    from rich.console import Console
    from rich.progress import Progress

    is_quiet = len(rows) <= MAX_ROWS_WITHOUT_PROGRESS or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=is_quiet) as bar:
        yield from bar.track(rows, description="reading configs")
