"""`frostline cluster`: a Ray cluster of one's own machines: token, fixed ports, labels for kind and price."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.cluster.ray_start import NodeOptions

TokenFile = Annotated[
    Path, typer.Option("--token-file", envvar="RAY_AUTH_TOKEN_PATH", help="the token of the cluster, made by `token`")
]
Cpus = Annotated[float | None, typer.Option("--cpus", min=0, help="CPUs that trials may use", show_default="all")]
Gpus = Annotated[float | None, typer.Option("--gpus", min=0, help="GPUs that trials may use", show_default="all")]
Kind = Annotated[
    str | None,
    typer.Option("--accelerator", help="its kind, as Ray names it: H100, A40, …", show_default="what Ray finds"),
]
Price = Annotated[
    float | None, typer.Option("--usd-per-hour", min=0, help="what the machine costs", show_default="unknown")
]
Address = Annotated[
    str | None,
    typer.Option("--own-address", help="of this machine, as the others reach it", show_default="by the route"),
]
FirstPort = Annotated[
    int, typer.Option("--first-port", min=1024, max=65_000, help="of this node's own ports; see docs/cluster.md")
]
Drain = Annotated[int, typer.Option("--drain-seconds", min=0, help="that running trials get when the node is ended")]
StopCommand = Annotated[
    str | None,
    typer.Option(
        "--stop-command",
        envvar="FROSTLINE_STOP_COMMAND",
        help="ends this machine when nobody needs it any more; run once, without a shell",
        show_default="it stays",
    ),
]
MaxHours = Annotated[
    float | None,
    typer.Option(
        "--max-hours",
        envvar="FROSTLINE_MAX_HOURS",
        min=0.001,
        max=10_000,
        help="the longest life of this machine; without --stop-command it then leaves the cluster",
        show_default="no limit",
    ),
]
LostMinutes = Annotated[
    float | None,
    typer.Option(
        "--lost-minutes",
        envvar="FROSTLINE_LOST_MINUTES",
        min=0.1,
        max=10_000,
        help="without head or driver, after which --stop-command is run",
        show_default="10",
    ),
]
Shm = Annotated[int, typer.Option("--object-store-bytes", min=75 * 2**20, help="shared memory that Ray takes")]

group = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Start a cluster on machines of one network: a head, and workers that join it.",
    epilog="Examples:\n\n- `frostline cluster token > token`\n\n- `frostline cluster head --token-file token`\n\n"
    "- `frostline cluster join 10.0.0.1 --token-file token --accelerator A40 --usd-per-hour 0.44`\n\n"
    "- `frostline cluster status 10.0.0.1 --token-file token`",
)


def register(app: typer.Typer) -> None:
    """Add `cluster` to the command line."""
    app.add_typer(group, name="cluster")


@group.command("token")
def token() -> None:
    """Print a new token. Who has it may run code on every node: keep it in a file that only you can read."""
    from orchestrator.cluster.token import new_token

    typer.echo(new_token())


@group.command("head", epilog="Example: `frostline cluster head --token-file token`")
def head(
    token_file: TokenFile = Path("token"),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="that workers and drivers connect to")] = 6379,
    cpus: Cpus = 0.0,
    gpus: Gpus = 0.0,
    accelerator: Kind = None,
    usd_per_hour: Price = None,
    own_address: Address = None,
    first_port: FirstPort = 6380,
    drain_seconds: Drain = 30,
    object_store_bytes: Shm = 128 * 2**20,
) -> None:
    """Start the head of a cluster, and stay until it is ended. By itself it runs no trials."""
    from orchestrator.cluster import address as addresses
    from orchestrator.cluster.ray_start import head_command

    address = own_address or addresses.own_address()
    options = _options(address, cpus, gpus, accelerator, usd_per_hour)
    options = dataclasses.replace(options, first_port=first_port, object_store_bytes=object_store_bytes)
    typer.echo(f"head at {address}:{port}; on other machines: frostline cluster join {address}:{port}")
    _become(head_command(options, port), token_file, drain_seconds)


@group.command(
    "join",
    no_args_is_help=True,
    epilog="Examples:\n\n- `frostline cluster join 10.0.0.1 --token-file token`\n\n- `frostline cluster join 10.0.0.1 "
    "--token-file token --usd-per-hour 0.44 --stop-command 'runpodctl remove pod $RUNPOD_POD_ID' --max-hours 10`",
)
def join(
    head: Annotated[str, typer.Argument(metavar="HEAD[:PORT]", help="address of the head")],
    token_file: TokenFile = Path("token"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    accelerator: Kind = None,
    usd_per_hour: Price = None,
    own_address: Address = None,
    first_port: FirstPort = 6380,
    drain_seconds: Drain = 30,
    object_store_bytes: Shm = 128 * 2**20,
    stop_command: StopCommand = None,
    max_hours: MaxHours = None,
    lost_minutes: LostMinutes = None,
) -> None:
    """Join a cluster as a worker, and stay until it is ended: a running sweep uses the machine at once.

    With --stop-command the machine ends itself: when the sweep is over, when its head or its driver is lost, and after
    --max-hours. Exit code 0: it has ended itself; 3: the command failed; else that of Ray.
    """
    from orchestrator.cluster import address as addresses
    from orchestrator.cluster.dead_man_switch.switch import supervise, switch_of
    from orchestrator.cluster.ray_start import join_command

    switch = switch_of(stop_command, max_hours, lost_minutes)
    host, port = addresses.head_address(head)
    addresses.require_answer(host, port)
    address = own_address or addresses.own_address(host)
    options = _options(address, cpus, gpus, accelerator, usd_per_hour)
    options = dataclasses.replace(options, first_port=first_port, object_store_bytes=object_store_bytes)
    options = dataclasses.replace(options, stops_itself=switch.stops if switch else None)
    typer.echo(f"joining {host}:{port} as {address}")
    if switch:
        typer.echo(f"this node {switch.stops.words()}")
    set_environment(token_file, drain_seconds)
    where = {"head": (host, port), "node": (address, first_port)}
    command = join_command(options, f"{host}:{port}")
    raise typer.Exit(supervise(switch, command, **where, drain_seconds=drain_seconds, say=typer.echo))


@group.command("status", no_args_is_help=True, epilog="Example: `frostline cluster status 10.0.0.1 --token-file token`")
def status(
    head: Annotated[str, typer.Argument(metavar="HEAD[:PORT]", help="address of the head")],
    token_file: TokenFile = Path("token"),
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list with every node.")] = False,
) -> None:
    """List the nodes of a cluster: devices, what of them is in use, version of frostline, price."""
    from orchestrator.cluster import address as addresses

    host, port = addresses.head_address(head)
    set_environment(token_file)
    # here and not above: Ray reads its settings when it is imported
    from orchestrator.ray_backend.nodes.cluster_status import cluster_status, text_of

    nodes = cluster_status(f"{host}:{port}")
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(node) for node in nodes], indent=1))
    else:
        typer.echo("\n".join(text_of(nodes)))


@group.command("health", no_args_is_help=True, epilog="Example: `frostline cluster health 10.0.0.1`")
def health(
    head: Annotated[str, typer.Argument(metavar="HEAD[:PORT]", help="address of the head")],
    token_file: TokenFile = Path("token"),
    own_address: Address = None,
) -> None:
    """Say whether the head has this machine among its living nodes; exit code 1 if not. For Docker's health checks."""
    from orchestrator.cluster import address as addresses

    host, port = addresses.head_address(head)
    set_environment(token_file)
    addresses.require_answer(host, port)
    from orchestrator.ray_backend.nodes.node_health import is_alive

    address = own_address or addresses.own_address(host)
    alive = is_alive(f"{host}:{port}", address)
    typer.echo(f"{address} is {'alive' if alive else 'not among the living nodes'}")
    raise typer.Exit(0 if alive else 1)


def _options(
    address: str, cpus: float | None, gpus: float | None, accelerator: str | None, usd_per_hour: float | None
) -> NodeOptions:
    from importlib.metadata import version

    from orchestrator.cluster.machine import device_memory_bytes
    from orchestrator.cluster.ray_start import NodeOptions

    return NodeOptions(
        address=address,
        version=version("frostline"),
        num_cpus=cpus,
        num_gpus=gpus,
        accelerator=accelerator,
        usd_per_hour=usd_per_hour,
        device_memory_bytes=None if gpus == 0 else device_memory_bytes(),
    )


def _become(command: list[str], token_file: Path, drain_seconds: int) -> None:
    """Let this process become Ray's, so that a signal reaches it."""
    set_environment(token_file, drain_seconds)
    sys.stdout.flush()
    os.execv(command[0], command)


def set_environment(token_file: Path, drain_seconds: int = 30) -> None:
    """What Ray reads when it is imported, or started. Raises UsageError if the token cannot be read."""
    from orchestrator.cluster.ray_start import ray_environment
    from orchestrator.cluster.token import checked_token_file

    os.environ.update(ray_environment(checked_token_file(token_file), os.environ, drain_seconds))
    os.environ.pop("RAY_AUTH_TOKEN", None)  # Ray would take it before the file
