"""`frostline doctor`: checks this machine, or every node of a cluster, and says what is wrong and what to do."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.cluster.node_table import Checked

Data = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="NAME", help="a dataset; repeatable; by default all that are there"),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="RAY_AUTH_TOKEN_PATH", help="the token of the cluster", show_default="as Ray finds it"
    ),
]


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command line."""
    examples = (
        "doctor",
        "doctor --address 10.0.0.1:6379 --token-file token",
        "doctor --out s3://bucket/runs/night",
        "doctor --address 10.0.0.1 --token-file token --data stdlib --out runs/night --json",
    )
    epilog = "Examples:\n\n" + "\n\n".join(f"- `frostline {example}`" for example in examples)
    app.command("doctor", epilog=epilog)(doctor)


def doctor(
    address: Annotated[
        str | None, typer.Option(metavar="HOST[:PORT]", help="the head of a cluster; by default this machine alone")
    ] = None,
    token_file: TokenFile = None,
    data_root: Annotated[Path, typer.Option("--data-root", help="folder of the prepared datasets")] = Path("data"),
    data: Data = None,
    out: Annotated[str, typer.Option(help="the run folder, the folder of runs, or s3://BUCKET/FOLDER")] = "runs",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with all facts and findings.")] = False,
) -> None:
    """Check this machine, or every node of a cluster and this machine as its driver's. `frostline run` does the same.

    Exit code 0: healthy, perhaps with warnings; 1: there are faults; 2: the command is wrong, or no cluster answers.
    """
    from trainer.data.dataset import dataset_names

    names = list(dict.fromkeys(data)) if data else dataset_names(data_root)
    folder, store_fault = _folder_of(out)
    if address is None:
        from orchestrator.cluster.this_machine import check_this_machine

        checked = [check_this_machine(folder, data_root, names)]
    else:
        checked = _check_cluster(address, token_file, folder, data_root, names)
    is_healthy = store_fault is None and not any(one.faults for one in checked)
    if as_json:
        facts = {"healthy": is_healthy, "store_fault": store_fault, "nodes": [one.as_dict() for one in checked]}
        typer.echo(json.dumps(facts, indent=1))
    else:
        _print(checked, [store_fault] if store_fault else [])
    raise typer.Exit(0 if is_healthy else 1)


def _folder_of(out: str) -> tuple[Path, str | None]:
    """The folder that a driver would work in, and what is wrong with the object store that it would send to."""
    from orchestrator.errors import FrostlineError
    from results.object_store import is_uri

    if not is_uri(out):
        return Path(out), None
    from orchestrator.store.remote.remote_run import check_store, local_copy

    try:
        check_store(out)
    except FrostlineError as error:
        return local_copy(out), str(error)
    return local_copy(out), None


def _check_cluster(
    address: str, token_file: Path | None, out: Path, data_root: Path, names: Sequence[str]
) -> list[Checked]:
    from orchestrator.cli.cluster import set_environment
    from orchestrator.cluster.address import head_address, require_answer
    from orchestrator.cluster.diagnosis import Demands
    from orchestrator.ray_backend.environment import prepare_ray_environment
    from trainer.versions import own_versions

    host, port = head_address(address)
    if token_file is not None:
        set_environment(token_file)
    prepare_ray_environment(is_embedded=False)
    require_answer(host, port)
    # here and not above: Ray reads its settings when it is imported
    from orchestrator.ray_backend.nodes.doctor import check_cluster
    from orchestrator.ray_backend.session import ray_session

    with ray_session(f"{host}:{port}"):
        return check_cluster(out, data_root, names, Demands(versions=own_versions()))


def _print(checked: Sequence[Checked], other_faults: Sequence[str]) -> None:
    """The table, then a line for each finding: faults in red, warnings in yellow, where this is a terminal."""
    from orchestrator.cluster.node_table import HEADERS, cells, conclusion, cost_of, narrow_tables, plain_table
    from trainer.versions import own_versions

    rows = [HEADERS, *(cells(one, own_versions()) for one in checked)]
    is_terminal = sys.stdout.isatty()
    tables = narrow_tables(rows, shutil.get_terminal_size().columns) if is_terminal else [plain_table(rows)]
    for header, *lines in tables:
        typer.secho(header, bold=True)
        typer.echo("\n".join(lines) + ("\n" if len(tables) > 1 else ""))
    for line in (*(line for one in checked for line in one.faults), *other_faults):
        typer.secho(f"fault: {line}", fg=typer.colors.RED)
    for line in (line for one in checked for line in one.warnings):
        typer.secho(f"warning: {line}", fg=typer.colors.YELLOW)
    for line in cost_of(checked):
        typer.echo(line)
    typer.echo(conclusion(checked, len(other_faults)))
