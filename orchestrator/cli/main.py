"""The command `frostline`: all its verbs, and how errors end a command. Loads no heavy library."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli import (
    cluster,
    data,
    doctor,
    plan,
    results,
    run,
    schema,
    search,
    status,
    stop,
    study_table,
    trial,
)
from orchestrator.cli.reading import importance, ls, suggest
from orchestrator.errors import DISK_FAULTS, FrostlineError, MachineError
from search_spaces.spec.problems import SpecError

app = typer.Typer(
    name="frostline",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Sweeps of small language models under an artifact byte budget, in numbers that can be believed.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"frostline {version('frostline')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for family in (
    data,
    plan,
    run,
    status,
    stop,
    cluster,
    doctor,
    results,
    ls,
    importance,
    suggest,
    search,
    study_table,
    trial,
    schema,
):
    family.register(app)


def main() -> None:
    """The console script: every error that a user can correct is one message and an exit code, never a traceback."""
    try:
        app()
    except (FrostlineError, SpecError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        is_fault = error.errno in DISK_FAULTS
        if isinstance(error, BrokenPipeError) or (error.filename is None and not is_fault):
            raise
        print(f"error: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(MachineError.exit_code if is_fault else 2)


if __name__ == "__main__":
    main()
