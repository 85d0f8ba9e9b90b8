"""`frostline stop`, `retry`, `extend`, `explain`: end trials, go on with them, raise the budget, clear a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(metavar="RUN", help="the run folder, or s3://BUCKET/FOLDER", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add `stop`, `retry`, `extend` and `explain` to the command line."""
    examples = ("stop runs/night", "stop runs/night selective_6L192d_s1_0a1b2c", "stop runs/night selective_6L")
    app.command("stop", no_args_is_help=True, epilog=_epilog(examples))(stop)
    again = ("retry runs/night selective_6L192d_s1_0a1b2c", "retry runs/night selective_6L baseline_8L")
    app.command("retry", no_args_is_help=True, epilog=_epilog(again))(retry)
    more = ("extend runs/night --hours 4", "extend runs/night --usd 20")
    app.command("extend", no_args_is_help=True, epilog=_epilog(more))(extend)
    why = (
        'explain runs/night 0a1b2c3d "the card is capped at 250 W"',
        'explain runs/night gpu-7 "another process ran there until 02:00"',
    )
    app.command("explain", no_args_is_help=True, epilog=_epilog(why))(explain)


def _epilog(examples: Sequence[str]) -> str:
    return "Examples:\n\n" + "\n\n".join(f"- `frostline {example}`" for example in examples)


def stop(
    run: Run,
    trial: Annotated[
        str | None, typer.Argument(help="a trial's id, or a beginning that only it has; none: the whole sweep")
    ] = None,
    reason: Annotated[str, typer.Option(help="kept in the trial's row", show_default=False)] = "",
) -> None:
    """Ask the driver of a run to end the sweep, or one trial, at its checkpoint.

    A sweep that was ended goes on with its next `frostline run`. A trial that was ended is `stopped_early`, and goes on
    only with `frostline retry`, or `frostline run … --continue-stopped`.
    """
    from orchestrator.cli.run_folders import driven_folder
    from orchestrator.stop_sweep import stop_sweep

    typer.echo(stop_sweep(driven_folder(run), trial, reason))


def retry(
    run: Run,
    trials: Annotated[
        list[str], typer.Argument(metavar="TRIAL…", help="ids of trials, or beginnings that only they have")
    ],
) -> None:
    """Let trials that were stopped early, or failed, go on to their end: they are not stopped again.

    If a sweep runs in the folder they go on there, else with the next `frostline run`. One that was stopped goes on
    from its checkpoint if that was kept (`keep: {checkpoints: 10}` of the sweep); else it starts over.
    """
    from orchestrator.cli.run_folders import driven_folder
    from orchestrator.stop_sweep import retry_trials

    typer.echo("\n".join(retry_trials(driven_folder(run), trials)))


def extend(
    run: Run,
    hours: Annotated[float, typer.Option(min=0, help="that drivers may work longer", show_default=False)] = 0.0,
    usd: Annotated[float, typer.Option(min=0, help="that may be spent beyond", show_default=False)] = 0.0,
) -> None:
    """Raise the budget of a run. A driver at work takes it up within a second; else the next `frostline run` does.

    Trials that ended at the deadline go on with the next `frostline run`, first, from their checkpoints. What was added
    stays in `extensions.jsonl`.
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


def explain(
    run: Run,
    node: Annotated[str, typer.Argument(help="the beginning of its id, or its host name", show_default=False)],
    text: Annotated[str, typer.Argument(help="why it is as it is: kept with the run", show_default=False)],
) -> None:
    """Say why a suspect node is as it is. Rows that were left out of comparisons for it count again.

    Sentinels (see docs/night.md) find nodes that are slow, or whose results differ. An explanation covers all that was
    found of the node so far, and stays in `explanations.jsonl` and in the table `sentinels`.
    """
    from orchestrator.cli.run_folders import driven_folder
    from orchestrator.sentinel.explain import explain as keep

    typer.echo("\n".join(keep(driven_folder(run), node, text)))
