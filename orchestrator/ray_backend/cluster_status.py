"""What a cluster holds: its nodes with their devices, what of them is in use, versions and prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import ray

from orchestrator.cluster.ray_start import PRICE_LABEL, VERSION_LABEL
from orchestrator.ray_backend.preflight import node_of
from orchestrator.ray_backend.session import ray_session

HEAD_LABEL = "node:__internal_head__"
HEADERS = ("node", "host", "address", "kind", "CPUs in use", "GPUs in use", "frostline", "USD/hour")


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
    version: str | None
    usd_per_hour: float | None

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
        )


def cluster_status(address: str) -> list[NodeStatus]:
    """The living nodes of the cluster at `address`, the head first.

    Raises:
        UsageError: if no cluster answers there.
    """
    with ray_session(address):
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
        version=labels.get(VERSION_LABEL),
        usd_per_hour=_price(labels.get(PRICE_LABEL)),
    )


def text_of(nodes: Iterable[NodeStatus]) -> list[str]:
    """A table, and what the cluster costs an hour as far as that is known."""
    nodes = list(nodes)
    rows = [HEADERS, *(node.cells() for node in nodes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    prices = [node.usd_per_hour for node in nodes]
    unknown = prices.count(None)
    cost = f"{sum(price for price in prices if price is not None):g} USD/hour"
    return [*lines, f"{len(nodes)} nodes, {cost}" + (f" and {unknown} of unknown price" if unknown else "")]


def _price(label: str | None) -> float | None:
    try:
        return None if label is None else float(label)
    except ValueError:
        return None
