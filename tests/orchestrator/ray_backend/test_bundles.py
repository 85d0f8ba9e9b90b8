"""What Ray reserves for a slot: a label or a resource keeps a trial on its kind of node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.ray_backend.bundles import bundle_of
from orchestrator.ray_backend.nodes.cluster_status import cluster_nodes
from orchestrator.scheduling.placement import Pool, Slot

LABEL, RESOURCE = "ray.io/accelerator-type", "accelerator_type:"


def entry(name: str, kind: str | None = None, *, labelled: bool = True) -> dict[str, Any]:
    gpu = {"GPU": 1.0} if kind else {}
    resources = {"CPU": 2.0, **gpu, **({RESOURCE + kind: 1.0} if kind and not labelled else {})}
    return {"NodeID": name, "Alive": True, "Resources": resources, "Labels": {LABEL: kind} if kind and labelled else {}}


def bundle(entries: Sequence[dict[str, Any]], kind: str, gpus: float = 0.0, excluded: str = "") -> tuple[Any, Any]:
    pool = Pool(cluster_nodes(entries))
    if excluded:
        pool.exclude(excluded)
    made = bundle_of(Slot(kind=kind, cpus=1.0, gpus=gpus), pool)
    return made["resources"], made["labels"]


@pytest.mark.parametrize(
    ("entries", "kind", "gpus", "resources", "labels"),
    [
        ([entry("a")], "CPU", 0, {"CPU": 1}, {}),
        ([entry("a"), entry("b", "A40")], "CPU", 0, {"CPU": 1}, {LABEL: "!in(A40)"}),
        # every node has GPUs, so that a trial on a CPU runs beside them
        ([entry("a", "H100"), entry("b", "A40")], "CPU", 0, {"CPU": 1}, {}),
        ([entry("a", "H100"), entry("b", "A40")], "A40", 0.5, {"CPU": 1, "GPU": 0.5}, {LABEL: "A40"}),
        ([entry("a", "H100", labelled=False)], "H100", 1, {"CPU": 1, "GPU": 1, f"{RESOURCE}H100": 0.001}, {}),
        ([{**entry("a"), "Resources": {"CPU": 1.0, "GPU": 1.0}}], "GPU", 1, {"CPU": 1, "GPU": 1}, {}),
    ],
)
def test_a_slot_is_reserved_on_its_kind(
    entries: list[dict[str, Any]], kind: str, gpus: float, resources: dict[str, float], labels: dict[str, str]
) -> None:
    """By the label where Ray has one, else by the resource; CPU trials keep off nodes with GPUs where they can."""
    assert bundle(entries, kind, gpus) == (resources, labels)


def test_a_node_that_is_excluded_is_avoided() -> None:
    """Beside whatever else its place needs."""
    entries = [entry("a", "A40"), entry("b", "A40")]
    assert bundle(entries, "A40", 1.0, excluded="b")[1] == {LABEL: "A40", "ray.io/node-id": "!in(b)"}
