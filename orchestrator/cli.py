"""The command line. Heavy libraries are loaded inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator import cli_data, cli_plan, cli_results, cli_table
from orchestrator.errors import FrostlineError

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


app.add_typer(cli_data.app, name="data")
cli_plan.register(app)
cli_results.register(app)
cli_table.register(app)

DataRoot = Annotated[Path, typer.Option("--data-root", help="folder of the prepared datasets")]


@app.command(
    epilog="Examples:\n\n- `frostline run search_spaces/quickstart.yaml`\n\n"
    "- `frostline run night.yaml --out runs/night --address auto`"
)
def run(
    spec: Annotated[Path, typer.Argument(help="the sweep's YAML file", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="run folder; by default runs/NAME, by the name of the sweep")] = None,
    data_root: DataRoot = Path("data"),
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to use: auto, HOST:PORT or ray://…; by default one of its own")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="run failed trials again")] = False,
    scale: Annotated[str | None, typer.Option(help="one of the file's scales, instead of what it says")] = None,
) -> None:
    """Run a sweep, or what is missing of it: the same command goes on after any interruption.

    Exit code 0: all trials completed or cannot fit the byte budget; 1: some ended otherwise; 2: the spec or the
    command is wrong; 130: interrupted.
    """
    from rich.console import Console

    from orchestrator.launch import run_sweep

    code = run_sweep(
        spec,
        scale=scale,
        out=out,
        data_root=data_root,
        address=address,
        retry_failed=retry_failed,
        console=Console(),
    )
    raise typer.Exit(code)


@app.command(epilog="Example: `frostline train trial.yaml --out runs/one`")
def train(
    trial: Annotated[Path, typer.Argument(help="YAML of one trial: the keys of a sweep's `base`, and a seed")],
    out: Annotated[Path | None, typer.Option(help="trial folder; by default runs/train/TRIAL, by its id")] = None,
    data_root: DataRoot = Path("data"),
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Train, pack, reload and score one trial, without Ray. Run it again to go on after an interruption."""
    from orchestrator.cli_trial import train_one

    raise typer.Exit(train_one(trial, out=out, data_root=data_root, as_json=as_json))


@app.command(name="eval", epilog="Example: `frostline eval runs/x/trials/y/artifact.frost --data stdlib`")
def evaluate(
    artifact: Annotated[Path, typer.Argument(help="an artifact.frost", show_default=False)],
    data: Annotated[str | None, typer.Option(help="dataset; by default the one it was trained on")] = None,
    data_root: DataRoot = Path("data"),
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default as its own trial was scored")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the score as JSON")] = False,
) -> None:
    """Reload an artifact in this fresh process and score it as its trial did: the same ce to the last digit."""
    from orchestrator.cli_trial import evaluate_artifact

    raise typer.Exit(evaluate_artifact(artifact, data=data, data_root=data_root, device=device, as_json=as_json))


@app.command(epilog="Example: `frostline replay runs/widths selective-4L128d-s1`")
def replay(
    run: Annotated[Path, typer.Argument(help="a run folder", show_default=False)],
    trial: Annotated[str, typer.Argument(help="a trial's id, or a unique beginning of it", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="new folder to keep the replay in; by default it is not kept")
    ] = None,
    data_root: DataRoot = Path("data"),
) -> None:
    """Train a trial again from its row of the table alone, and say whether the bits agree."""
    from orchestrator.cli_trial import replay_trial

    raise typer.Exit(replay_trial(run, trial, out=out, data_root=data_root))


def main() -> None:
    """The console script: every error that a user can mend is one message and an exit code, never a traceback."""
    try:
        app()
    except FrostlineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
