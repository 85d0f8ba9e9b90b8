"""`frostline run`: run a sweep, or what is missing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", show_default=False, help="values that are set in the file: base.train.steps=2000"
    ),
]

DataFrom = Annotated[
    str | None,
    typer.Option("--data-from", help="where workers get data: hub, or s3://BUCKET/data; by default from the driver"),
]

RunCanary = Annotated[
    bool | None,
    typer.Option("--canary/--no-canary", help="try short trials on every node first; by default before a night"),
]


def register(app: typer.Typer) -> None:
    """Add `run` to the command line."""
    examples = (
        "run search_spaces/quickstart.yaml",
        "run night.yaml --out runs/night --address auto",
        "run night.yaml --out s3://bucket/runs/night",
        "run night.yaml base.train.steps=2000 'space.model.dim.choice=[256,384]'",
    )
    epilog = "Examples:\n\n" + "\n\n".join(f"- `frostline {example}`" for example in examples)
    app.command("run", epilog=epilog)(run)


def run(
    spec: Annotated[Path, typer.Argument(help="the sweep's YAML file", show_default=False)],
    overrides: Overrides = None,
    out: Annotated[
        str | None, typer.Option(help="run folder, or s3://BUCKET/FOLDER; by default runs/NAME, by the sweep's name")
    ] = None,
    data_root: Annotated[Path, typer.Option("--data-root", help="folder of the prepared datasets")] = Path("data"),
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to use: auto, HOST:PORT or ray://…; by default one of its own")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="run trials again that failed or ran out of memory")
    ] = False,
    continue_stopped: Annotated[
        bool, typer.Option("--continue-stopped", help="go on with trials that were stopped early")
    ] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="do not pause what fails 5 times alike")] = False,
    any_versions: Annotated[
        bool, typer.Option("--any-versions", help="use workers with another frostline, torch or Python")
    ] = False,
    data_from: DataFrom = None,
    canary: RunCanary = None,
    scale: Annotated[str | None, typer.Option(help="one of the file's scales, instead of what it says")] = None,
) -> None:
    """Run a sweep, or what is missing of it: the same command goes on after any interruption.

    Before a night (a budget of time with half an hour left, or a cluster) the canary tries the largest, the smallest
    and one config of each recipe for 20 steps on every kind of device and every node: is it safe to leave?

    Exit code 0: no trial failed; 1: some did (failed, diverged, out of memory), or a recipe in the canary;
    2: the spec or the command is wrong;
    3: a disk, the data or the cluster is at fault, and the same command goes on once it is mended; 130: interrupted.
    """
    from rich.console import Console

    from orchestrator.run_context import RunOptions
    from orchestrator.run_sweep import run_sweep

    options = RunOptions(
        overrides=tuple(overrides or ()),
        scale=scale,
        out=out,
        data_root=data_root,
        address=address,
        retry_failed=retry_failed,
        continue_stopped=continue_stopped,
        keep_going=keep_going,
        any_versions=any_versions,
        data_from=data_from,
        canary=canary,
    )
    raise typer.Exit(run_sweep(spec, options, Console()))
