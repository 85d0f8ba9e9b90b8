"""What a cluster holds: its nodes with their devices, what of them is in use, versions and prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import ray

from orchestrator.cluster.dead_man_switch.label import (
    STOPS_ITSELF_LABEL,
    PaidNode,
    StopsItself,
    cost_lines,
    from_label,
    in_a_word,
)
from orchestrator.cluster.node_table import plain_table
from orchestrator.cluster.ray_start import ACCELERATOR_LABEL, PRICE_LABEL, VERSION_LABEL
from orchestrator.errors import UsageError
from orchestrator.ledger.events import MICRO_USD, Machine
from orchestrator.ray_backend.session import ray_session
from orchestrator.scheduling.memory.fit import node_bytes
from orchestrator.scheduling.placement import CPU, Node, with_spare_cpus

ACCELERATOR_RESOURCE = "accelerator_type:"
NODE_LABEL = "ray.io/node-id"
UNKNOWN_GPU = "GPU"  # a card whose name Ray does not know; trials that run anywhere may use it
HEAD_LABEL = "node:__internal_head__"
HEADERS = ("node", "host", "address", "kind", "CPUs in use", "GPUs in use", "frostline", "USD/hour", "ends itself")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One living node. `kind` is None of one that runs no trials, as a head; in use are parts of whole numbers."""

    node_id: str
    host: str
    address: str
    is_head: bool
    kind: str | None
    cpus: float
    cpus_in_use: float
    gpus: float
    gpus_in_use: float
    object_store_bytes: int
    version: str | None
    usd_per_hour: float | None
    stops_itself: StopsItself | None = None

    def cells(self) -> tuple[str, ...]:
        """One row under HEADERS."""
        return (
            self.node_id[:8] + (" (head)" if self.is_head else ""),
            self.host,
            self.address,
            self.kind or "–",
            f"{self.cpus_in_use:g} of {self.cpus:g}",
            f"{self.gpus_in_use:g} of {self.gpus:g}",
            self.version or "unknown",
            "unknown" if self.usd_per_hour is None else f"{self.usd_per_hour:g}",
            in_a_word(self.stops_itself),
        )


def cluster_status(address: str) -> list[NodeStatus]:
    """The living nodes of the cluster at `address`, the head first.

    Raises:
        UsageError: if no cluster answers there.
    """
    with ray_session(address):
        return living_nodes()


def cluster_machines(address: str) -> list[Machine]:
    """The machines of the cluster at `address` that run trials.

    Raises:
        UsageError: if no cluster answers there, or none of its nodes runs trials.
    """
    with ray_session(address):
        entries = ray.nodes()
    found = [one for one in machines_of(entries) if one.cpus > 0]
    if not found:
        raise UsageError(f"no node of the cluster at {address} runs trials: join one with `frostline cluster join`")
    return found


def living_nodes() -> list[NodeStatus]:
    """The living nodes of the cluster to which this process is connected, the head first."""
    free = ray._private.state.available_resources_per_node()
    found = [status_of(entry, free.get(entry["NodeID"], {})) for entry in ray.nodes() if entry["Alive"]]
    return sorted(found, key=lambda one: (not one.is_head, one.kind or "", one.host, one.node_id))


def status_of(entry: Mapping[str, Any], free: Mapping[str, float]) -> NodeStatus:
    """From an entry of `ray.nodes()` and what of its resources is free."""
    resources, labels = entry["Resources"], entry.get("Labels") or {}
    cpus, gpus = (float(resources.get(name, 0.0)) for name in ("CPU", "GPU"))
    return NodeStatus(
        node_id=entry["NodeID"],
        host=entry["NodeManagerHostname"],
        address=entry["NodeManagerAddress"],
        is_head=HEAD_LABEL in resources,
        kind=node_of(dict(entry)).kind if cpus else None,
        cpus=cpus,
        cpus_in_use=cpus - free.get("CPU", 0.0),
        gpus=gpus,
        gpus_in_use=gpus - free.get("GPU", 0.0),
        object_store_bytes=int(resources.get("object_store_memory", 0)),
        version=labels.get(VERSION_LABEL),
        usd_per_hour=_price(labels.get(PRICE_LABEL)),
        stops_itself=from_label(labels.get(STOPS_ITSELF_LABEL)),
    )


def cluster_nodes(ray_nodes: Iterable[dict[str, Any]]) -> list[Node]:
    """The live nodes of `ray.nodes()` with their accelerator, CPU-only nodes as kind CPU.

    Where every node has GPUs, their CPUs are offered as well, to trials that ask for a CPU by name.
    """
    nodes = [node_of(entry) for entry in ray_nodes if entry["Alive"] and entry["Resources"].get("CPU")]
    return with_spare_cpus(nodes)


def staying(nodes: Iterable[Node]) -> list[Node]:
    """Without those that are being ended: what is placed there would wait for ever."""
    drained = ray._private.state.state.get_draining_nodes()
    return [node for node in nodes if node.node_id not in drained]


def node_of(entry: dict[str, Any]) -> Node:
    """A node from its entry of `ray.nodes()`."""
    resources, label = entry["Resources"], (entry.get("Labels") or {}).get(ACCELERATOR_LABEL)
    gpus = float(resources.get("GPU", 0))
    kind = (label or _kind_by_resource(resources)) if gpus else CPU
    is_labelled = bool(gpus and label)
    return Node(
        node_id=entry["NodeID"],
        kind=kind,
        cpus=float(resources["CPU"]),
        gpus=gpus,
        device_bytes=node_bytes(kind, entry.get("Labels") or {}, resources) if gpus else None,
        is_labelled=is_labelled,
    )


def machines_of(ray_nodes: Iterable[dict[str, Any]]) -> list[Machine]:
    """Every living node of `ray.nodes()` that is paid for, with its price if its label says one."""
    found = [status_of(entry, {}) for entry in ray_nodes if entry["Alive"]]
    return [
        Machine(
            node=node.node_id,
            host=node.host,
            accelerator=node.kind or CPU,
            cpus=node.cpus,
            gpus=node.gpus,
            micro_usd_per_hour=None if node.usd_per_hour is None else round(node.usd_per_hour * MICRO_USD),
        )
        for node in found
    ]


def text_of(nodes: Iterable[NodeStatus]) -> list[str]:
    """A table, what the cluster costs an hour as far as that is known, and which of it ends by itself."""
    nodes = list(nodes)
    lines = plain_table([HEADERS, *(node.cells() for node in nodes)])
    prices = [node.usd_per_hour for node in nodes]
    unknown = prices.count(None)
    cost = f"{sum(price for price in prices if price is not None):g} USD/hour"
    total = f"{len(nodes)} nodes, {cost}" + (f" and {unknown} of unknown price" if unknown else "")
    return [*lines, *cost_lines(map(paid, nodes)), total]


def paid(node: NodeStatus) -> PaidNode:
    """What a node says of its price and its end."""
    return PaidNode(host=node.host, usd_per_hour=node.usd_per_hour, stops=node.stops_itself)


def _price(label: str | None) -> float | None:
    try:
        return None if label is None else float(label)
    except ValueError:
        return None


def _kind_by_resource(resources: dict[str, float]) -> str:
    names = [name for name in resources if name.startswith(ACCELERATOR_RESOURCE)]
    return names[0].removeprefix(ACCELERATOR_RESOURCE) if names else UNKNOWN_GPU
