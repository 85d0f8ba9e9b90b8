"""The command line and the environment of `ray start` for a head and for workers. Pure, without Ray.

Ray picks most ports at random, which no firewall can be told. Here all are fixed, and documented in `docs/cluster.md`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.cluster.dead_man_switch.label import STOPS_ITSELF_LABEL, StopsItself, label_value

HEAD_PORT = 6379
FIRST_PORT = 6380  # of a node's own ports
NUM_WORKER_PORTS = 200  # one for each worker process that Ray keeps
# A node's own ports, counted from its first one.
NODE_PORTS: Mapping[str, int] = {
    "node-manager-port": 0,
    "object-manager-port": 1,
    "runtime-env-agent-port": 2,
    "dashboard-agent-listen-port": 3,
    "dashboard-agent-grpc-port": 4,
    "metrics-export-port": 5,
}
FIRST_WORKER_PORT = 20  # counted from the first one

ACCELERATOR_LABEL = "ray.io/accelerator-type"
PRICE_LABEL = "frostline.usd-per-hour"
VERSION_LABEL = "frostline.version"
MEMORY_LABEL = "frostline.device-memory-gb"  # of one of its GPUs, in 10^9 bytes
OBJECT_STORE_BYTES = 128 * 2**20  # trials pass nothing through it
SECONDS_TO_DRAIN = 30

# A network that is cut for a minute loses no node: a node is dead after so many missed checks.
# What the environment has already stays.
HEALTH_CHECKS = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "5000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "15",
    # every process of a node ends itself when it has not reached the head for so long
    "RAY_gcs_rpc_server_reconnect_timeout_s": "150",
    # a server takes a client for lost, and closes the connection, when it answers no ping for so long
    "RAY_grpc_keepalive_timeout_ms": "150000",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeOptions:
    """What a node is.

    Args:
        address: its own IP address, as the others reach it.
        version: of frostline.
        num_cpus, num_gpus: None: all that Ray finds.
        accelerator: a kind as Ray names it; None: what Ray finds.
        usd_per_hour: its price; None: unknown.
        device_memory_bytes: of the smallest of its GPUs; None: it has none, or does not say.
        first_port: of its own ports; a second node on one machine needs others.
        object_store_bytes: shared memory for Ray's objects.
        stops_itself: by what its machine ends itself; None: it does not.
    """

    address: str
    version: str
    num_cpus: float | None = None
    num_gpus: float | None = None
    accelerator: str | None = None
    usd_per_hour: float | None = None
    device_memory_bytes: int | None = None
    first_port: int = FIRST_PORT
    object_store_bytes: int = OBJECT_STORE_BYTES
    stops_itself: StopsItself | None = None


def head_command(options: NodeOptions, port: int = HEAD_PORT) -> list[str]:
    """Start a head that runs no trials, unless it is given CPUs or GPUs."""
    return [*_start(), "--head", f"--port={port}", "--include-dashboard=false", *_node(options)]


def join_command(options: NodeOptions, head: str) -> list[str]:
    """Start a worker of the cluster at `head`, HOST:PORT."""
    return [*_start(), f"--address={head}", *_node(options)]


def ray_environment(
    token_file: Path, environment: Mapping[str, str], drain_seconds: int = SECONDS_TO_DRAIN
) -> dict[str, str]:
    """Token authentication, how long a worker that is told to end waits for its trials, and when a node is dead."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(drain_seconds),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # listen on the network, whatever the parent process has set
        **{name: environment.get(name, value) for name, value in HEALTH_CHECKS.items()},
    }


def labels(options: NodeOptions) -> dict[str, str]:
    """What the node says of itself."""
    found = {VERSION_LABEL: options.version}
    if options.accelerator is not None:
        found[ACCELERATOR_LABEL] = options.accelerator
    if options.usd_per_hour is not None:
        found[PRICE_LABEL] = f"{options.usd_per_hour:g}"
    if options.device_memory_bytes is not None:
        found[MEMORY_LABEL] = f"{options.device_memory_bytes / 1e9:.1f}"
    if options.stops_itself is not None:
        found[STOPS_ITSELF_LABEL] = label_value(options.stops_itself)
    return found


def _start() -> list[str]:
    # by the interpreter and not by name: the one that has frostline
    return [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]


def _node(options: NodeOptions) -> list[str]:
    first, workers = options.first_port, options.first_port + FIRST_WORKER_PORT
    arguments = [f"--{name}={first + place}" for name, place in NODE_PORTS.items()]
    arguments += [f"--min-worker-port={workers}", f"--max-worker-port={workers + NUM_WORKER_PORTS - 1}"]
    arguments += [f"--node-ip-address={options.address}", f"--object-store-memory={options.object_store_bytes}"]
    arguments += [f"--labels={','.join(f'{name}={value}' for name, value in labels(options).items())}"]
    if options.num_cpus is not None:
        arguments.append(f"--num-cpus={options.num_cpus:g}")
    if options.num_gpus is not None:
        arguments.append(f"--num-gpus={options.num_gpus:g}")
    return arguments
