"""`frostline stop`: end a running sweep, or one of its trials, from another terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `stop` to the command line."""
    examples = ("stop runs/night", "stop runs/night selective_6L192d_s1_0a1b2c", "stop runs/night selective_6L")
    epilog = "Examples:\n\n" + "\n\n".join(f"- `frostline {example}`" for example in examples)
    app.command("stop", no_args_is_help=True, epilog=epilog)(stop)


def stop(
    run: Annotated[Path, typer.Argument(help="the run folder", show_default=False)],
    trial: Annotated[
        str | None, typer.Argument(help="a trial's id, or a beginning that only it has; none: the whole sweep")
    ] = None,
    reason: Annotated[str, typer.Option(help="kept in the trial's row", show_default=False)] = "",
) -> None:
    """Ask the driver of a run to end the sweep, or one trial, at its checkpoint.

    A sweep that was ended goes on with its next `frostline run`. A trial that was ended is `stopped_early`, and goes on
    only with `frostline run … --continue-stopped`.
    """
    from orchestrator.stop_sweep import stop_sweep

    typer.echo(stop_sweep(run, trial, reason))
