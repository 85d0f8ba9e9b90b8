"""What Ray must reserve for a trial, so that it runs on a node of its slot's kind."""

from __future__ import annotations

from typing import Any

from orchestrator.cluster.ray_start import ACCELERATOR_LABEL
from orchestrator.ray_backend.nodes.cluster_status import ACCELERATOR_RESOURCE, NODE_LABEL, UNKNOWN_GPU
from orchestrator.scheduling.placement import CPU, Pool, Slot


def bundle_of(slot: Slot, pool: Pool) -> dict[str, Any]:
    """Resources, and the labels that their node must have, by the nodes that are there now.

    Example:
        >>> bundle_of(Slot(kind="CPU", cpus=2, gpus=0), Pool([]))
        {'resources': {'CPU': 2}, 'labels': {}}
    """
    resources: dict[str, float] = {"CPU": slot.cpus, **({"GPU": slot.gpus} if slot.gpus else {})}
    labels: dict[str, str] = {}
    gpu_kinds = [kind for kind in pool.kinds if kind != CPU]
    if slot.kind == CPU:
        if gpu_kinds and not any(node.spare for node in pool.nodes):
            labels[ACCELERATOR_LABEL] = f"!in({','.join(gpu_kinds)})"
    elif any(node.is_labelled for node in pool.nodes if node.kind == slot.kind):
        labels[ACCELERATOR_LABEL] = slot.kind
    elif slot.kind != UNKNOWN_GPU:
        resources[ACCELERATOR_RESOURCE + slot.kind] = 0.001
    if pool.excluded:
        labels[NODE_LABEL] = f"!in({','.join(sorted(pool.excluded))})"
    return {"resources": resources, "labels": labels}
