"""Checks of the cluster before the start: its nodes, and that each sees the files, the data and CUDA."""

from __future__ import annotations

import dataclasses
import os
import platform
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import UsageError
from orchestrator.run_context import RunContext
from orchestrator.scheduling.placement import CPU, Node, Pool, unplaceable
from orchestrator.search.planner import PlannedTrial
from orchestrator.store.file_server import dataset_files
from trainer.versions import differences, own_versions

ACCELERATOR_LABEL = "ray.io/accelerator-type"
ACCELERATOR_RESOURCE = "accelerator_type:"
NODE_LABEL = "ray.io/node-id"
PROBE_SECONDS = 120.0
UNKNOWN_GPU = "GPU"  # a card whose name Ray does not know; trials that run anywhere may use it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """What one node answered."""

    host: str
    sees_run_folder: bool
    sees_data: bool
    cuda_devices: int
    versions: dict[str, str]
    error: str = ""


def cluster_nodes(ray_nodes: Iterable[dict[str, Any]]) -> list[Node]:
    """The live nodes of `ray.nodes()` with their accelerator, CPU-only nodes as kind CPU.

    Where every node has GPUs, their CPUs are offered as well, to trials that ask for a CPU by name.
    """
    nodes = [node_of(entry) for entry in ray_nodes if entry["Alive"] and entry["Resources"].get("CPU")]
    if any(node.kind == CPU for node in nodes):
        return nodes
    return nodes + [dataclasses.replace(node, kind=CPU, gpus=0.0, is_labelled=False, spare=True) for node in nodes]


def check_placement(trials: Sequence[PlannedTrial], pool: Pool) -> None:
    """Refuse a sweep with trials that no node of the cluster could ever run.

    Raises:
        UsageError: naming the needs, and what the cluster has.
    """
    lost = unplaceable(trials, pool)
    if not lost:
        return
    needs = sorted({_need(trial) for trial in lost})
    has = ", ".join(f"{n.kind} ({n.cpus:g} CPUs, {n.gpus:g} GPUs)" for n in pool.nodes if not n.spare) or "no nodes"
    raise UsageError(
        f"{len(lost)} of {len(trials)} trials can run on no node of this cluster: they need {'; '.join(needs)}, but it "
        f"has {has}. Change `resources` in the spec, or connect a cluster that has them with --address"
    )


def check_nodes(pool: Pool, trials: Sequence[PlannedTrial], run: RunContext) -> None:
    """Ask every node whether it sees CUDA where it will be given a GPU's trial, and for its versions.

    What nodes do not see, the run folder or the data, goes through the driver: the display says so.

    Raises:
        UsageError: with all that is wrong, node by node.
    """
    run_folder, data_root = run.folder.root.resolve(), run.data_root.resolve()
    marker = run_folder / f".probe-{uuid.uuid4().hex}"
    marker.write_text("probe")
    names = {trial.config.data for trial in trials}
    try:
        probes = _ask(pool, str(marker), [str(data_root / "datasets" / name) for name in names])
    finally:
        marker.unlink(missing_ok=True)
    versions = {} if run.any_versions else own_versions()
    problems = []
    for node_id, probe in probes.items():
        node = next(node for node in pool.nodes if node.node_id == node_id)
        problems += [f"{probe.host} ({node.kind}): {fault}" for fault in _faults(node, probe, trials, versions)]
    if problems:
        raise UsageError("the cluster is not ready:\n  " + "\n  ".join(problems))
    sizes = {name: sum(dataset_files(name, data_root).values()) for name in sorted(names)}
    for line in through_the_driver(probes.values(), sizes):
        run.display.note(line)


def through_the_driver(probes: Iterable[Probe], sizes: Mapping[str, int]) -> list[str]:
    """In words: which hosts do not see the run folder, and which data are copied where.

    Args:
        sizes: bytes of each dataset by its name.
    """
    probes = list(probes)
    apart = sorted({probe.host for probe in probes if not probe.sees_run_folder})
    without = sorted({probe.host for probe in probes if not probe.sees_data})
    lines = [f"no shared run folder on {', '.join(apart)}: trials' files go through the driver"] if apart else []
    if without:
        which = ", ".join(f"{name} ({size / 1e6:,.1f} MB)" for name, size in sizes.items())
        lines.append(f"no data on {', '.join(without)}: {which} will be copied there, unless a copy is cached")
    return lines


def _faults(node: Node, probe: Probe, trials: Sequence[PlannedTrial], versions: Mapping[str, str]) -> list[str]:
    if probe.error:
        return [probe.error]
    faults = []
    if wrong := differences(probe.versions, versions):
        faults.append(f"has {wrong}: install the same there, or allow it with --any-versions")
    wants_cuda = [t for t in trials if t.config.device != "cpu" and t.accelerator in ("any", node.kind) and t.gpus != 0]
    if node.gpus and wants_cuda and not probe.cuda_devices:
        faults.append(
            f"has {node.gpus:g} GPUs by Ray's account, but its torch ({probe.versions.get('torch')}) sees no CUDA: "
            "install a CUDA build of torch, or set `base.device: cpu` (for a simulated cluster)"
        )
    return faults


def _ask(pool: Pool, marker: str, data_folders: list[str]) -> dict[str, Probe]:
    def start(node: Node) -> Any:
        strategy = NodeAffinitySchedulingStrategy(node_id=node.node_id, soft=False)
        # the smallest share of a GPU makes Ray show the device to the probe
        options = ray.remote(num_cpus=0, num_gpus=0.001 if node.gpus else 0)(_probe)
        return options.options(scheduling_strategy=strategy).remote(marker, data_folders)

    pending = {node.node_id: start(node) for node in pool.nodes if not node.spare}
    ray.wait(list(pending.values()), num_returns=len(pending), timeout=PROBE_SECONDS)
    return {node_id: _answer(reference) for node_id, reference in pending.items()}


def _answer(reference: Any) -> Probe:
    try:
        answer: Probe = ray.get(reference, timeout=1)
        return answer
    except ray.exceptions.RayError as error:
        fault = f"does not answer: {str(error).strip().splitlines()[-1]}"
        return Probe(host="node", sees_run_folder=False, sees_data=False, cuda_devices=0, versions={}, error=fault)


def _probe(marker: str, data_folders: list[str]) -> Probe:
    import torch

    return Probe(
        host=platform.node(),
        sees_run_folder=os.path.exists(marker),
        sees_data=all(os.path.isdir(folder) for folder in data_folders),
        cuda_devices=torch.cuda.device_count() if torch.cuda.is_available() else 0,
        versions=own_versions(),
    )


def node_of(entry: dict[str, Any]) -> Node:
    """A node from its entry of `ray.nodes()`."""
    resources, label = entry["Resources"], (entry.get("Labels") or {}).get(ACCELERATOR_LABEL)
    gpus = float(resources.get("GPU", 0))
    kind = (label or _kind_by_resource(resources)) if gpus else CPU
    is_labelled = bool(gpus and label)
    return Node(node_id=entry["NodeID"], kind=kind, cpus=float(resources["CPU"]), gpus=gpus, is_labelled=is_labelled)


def _kind_by_resource(resources: dict[str, float]) -> str:
    names = [name for name in resources if name.startswith(ACCELERATOR_RESOURCE)]
    return names[0].removeprefix(ACCELERATOR_RESOURCE) if names else UNKNOWN_GPU


def _need(trial: PlannedTrial) -> str:
    gpus = "" if trial.gpus is None else f", {trial.gpus:g} GPUs"
    return f"accelerator {trial.accelerator} with {trial.cpus:g} CPUs{gpus}"
