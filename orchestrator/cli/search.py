"""`frostline search`: how a run's configs were chosen; `frostline export-optuna`: a run for optuna-dashboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(metavar="RUN", help="a run folder, or s3://BUCKET/FOLDER", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add `search` and `export-optuna` to the command line."""
    epilog = "Examples:\n\n- `frostline search runs/night`\n\n- `frostline search runs/night --replay`"
    app.command("search", no_args_is_help=True, epilog=epilog)(search)
    epilog = "Example: `frostline export-optuna runs/night && optuna-dashboard runs/night/optuna.log`"
    app.command("export-optuna", no_args_is_help=True, epilog=epilog)(export_optuna)


def search(
    run: Run,
    replay: Annotated[
        bool, typer.Option("--replay", help="compute every suggestion again from the record, and say what differs")
    ] = False,
) -> None:
    """Show every config that an adaptive search chose: by what, what it predicted, and what came of it.

    Exit code 1 if a replay differs.
    """
    from orchestrator.cli.run_folders import readable_folder
    from orchestrator.search_record.show import replayed, suggestion_lines

    folder = readable_folder(run)
    if not replay:
        typer.echo("\n".join(suggestion_lines(folder)))
        return
    from rich.console import Console
    from rich.progress import Progress

    number = num_different = 0
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("suggesting again", total=None)
        for number, (suggestion, instead) in enumerate(replayed(folder), start=1):
            bar.update(task, completed=number)
            if instead:
                num_different += 1
                typer.echo(f"suggestion {suggestion}: a replay gives {instead}")
    typer.echo(f"{number - num_different} of {number} suggestions are the same in a replay")
    if num_different:
        raise typer.Exit(1)


def export_optuna(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(help="the journal; by default RUN/optuna.log, or RUN-optuna.log here")
    ] = None,
) -> None:
    """Write a run's trials as a journal that optuna-dashboard opens: values, limits, settings, one study.

    Replicates are one trial with the mean over their seeds. The run itself never reads it.
    """
    from orchestrator.cli.run_folders import readable_folder
    from orchestrator.search_record.optuna_export import export
    from results.object_store import is_uri

    default = Path(f"{Path(run).name}-optuna.log") if is_uri(run) else Path(run) / "optuna.log"
    path, num_trials = export(readable_folder(run), out or default)
    typer.echo(f"{num_trials} trials in {path}; next: optuna-dashboard {path}")
