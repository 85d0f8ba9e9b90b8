"""`frostline extend`: more hours or dollars for a run, while its driver works or before the next call."""

from __future__ import annotations

from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(metavar="RUN", help="the run folder, or s3://BUCKET/FOLDER", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add `extend` to the command line."""
    epilog = "Examples:\n\n- `frostline extend runs/night --hours 4`\n\n- `frostline extend runs/night --usd 20`"
    app.command("extend", no_args_is_help=True, epilog=epilog)(extend)


def extend(
    run: Run,
    hours: Annotated[float, typer.Option(min=0, help="that drivers may work longer", show_default=False)] = 0.0,
    usd: Annotated[float, typer.Option(min=0, help="that may be spent beyond", show_default=False)] = 0.0,
) -> None:
    """Raise the budget of a run. A driver at work takes it up within a second; else the next `frostline run` does.

    Trials that ended at the deadline go on first, from their checkpoints. What was added stays in `extensions.jsonl`.
    """
    from orchestrator.cli.run_folders import driven_folder
    from orchestrator.errors import UsageError
    from orchestrator.ledger.extensions import Extensions
    from orchestrator.store.run_folder import RunFolder
    from search_spaces.spec.load import load_sweep

    folder = RunFolder(driven_folder(run).resolve())
    if not folder.sweep_file.exists():
        raise UsageError(f"{run} is no run folder: it holds no sweep.yaml")
    budget = Extensions(folder.extensions_file).add(load_sweep(folder.sweep_file).budget, hours=hours, usd=usd)
    limits = {"hours": budget.hours, "USD": budget.usd}
    typer.echo(f"{run}: " + " and ".join(f"{value:g} {unit}" for unit, value in limits.items() if value) + " in all")
