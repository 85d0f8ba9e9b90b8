"""Checks every node of a cluster, and this machine as the driver's: asks all at once, and judges what they answer."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.cluster.data_probe import drivers_data
from orchestrator.cluster.diagnosis import Demands, findings
from orchestrator.cluster.node_facts import Answer, Member, NodeFacts, Question, Silence
from orchestrator.cluster.node_table import Checked
from orchestrator.cluster.probe import probe, probe_driver, probe_folder
from orchestrator.ray_backend.file_server import server_call, start_file_server
from orchestrator.ray_backend.nodes.cluster_status import NodeStatus, living_nodes
from trainer.versions import own_versions

# A worker that is new imports torch first, and reads up to a gigabyte of data: on a slow disk, half a minute.
PROBE_SECONDS = 60.0
# A call carries at most two megabytes. Three may be tried within the time of a probe.
SECONDS_OF_A_CALL = 15.0
# The smallest share of a GPU makes Ray show the device.
SHARE_OF_A_GPU = 0.001


def check_cluster(out: Path, data_root: Path, names: Sequence[str], demands: Demands) -> list[Checked]:
    """What is found of the driver and of every living node of the cluster to which this process is connected.

    A node that does not answer in time is a fault of that node. Files of the probe are removed.

    Args:
        out: the run folder, or the folder of runs.
        names: of the datasets.
    """
    data_root = data_root.absolute()
    wanted, own_data = drivers_data(names, data_root)
    with probe_folder(out) as folder:
        question = Question(folder=folder.path, session=folder.session, data_root=data_root, data=wanted)
        nodes = living_nodes()
        server = start_file_server(folder.path or out, data_root, ())
        try:
            pending = [_ask(node, question, server) for node in nodes]
            driver = probe_driver(dataclasses.replace(question, runs_trials=False), own_data, folder.error)
            answers = _answers(pending, nodes)
        finally:
            ray.kill(server)
    members = [Member(name="driver", host=platform.node(), is_driver=True), *map(_member, nodes)]
    pairs = zip(members, [driver, *answers], strict=True)
    return [Checked(member=one, answer=answer, findings=findings(one, answer, demands)) for one, answer in pairs]


def _member(node: NodeStatus) -> Member:
    return Member(
        name=node.node_id[:8],
        host=node.host,
        kind=node.kind,
        is_head=node.is_head,
        gpus=node.gpus,
        object_store_bytes=node.object_store_bytes,
        usd_per_hour=node.usd_per_hour,
        stops_itself=node.stops_itself,
    )


def _ask(node: NodeStatus, question: Question, server: Any) -> Any:
    """Start the probe on a node, with its GPUs where nobody uses them: Ray shows a task those that it is lent."""
    free = node.gpus - node.gpus_in_use
    lent = node.gpus if free == node.gpus else SHARE_OF_A_GPU if free >= SHARE_OF_A_GPU else 0.0
    question = dataclasses.replace(
        question, runs_trials=node.kind is not None, num_gpus=lent if lent or not node.gpus else None
    )
    strategy = NodeAffinitySchedulingStrategy(node_id=node.node_id, soft=False)
    # its process ends with it: it may hold memory of a device
    task = ray.remote(num_cpus=0, num_gpus=lent, max_calls=1, max_retries=0)(_probe)
    return task.options(scheduling_strategy=strategy).remote(question, server)


def _probe(question: Question, server: Any) -> NodeFacts:
    return probe(question, server_call(server, SECONDS_OF_A_CALL))


def _answers(pending: Sequence[Any], nodes: Sequence[NodeStatus]) -> list[Answer]:
    """What each node says, in the order of the nodes, as soon as all have answered or their time is up."""
    done, late = ray.wait(list(pending), num_returns=len(pending), timeout=PROBE_SECONDS)
    for reference in late:
        ray.cancel(reference, force=True)
    return [_answer(reference, node, reference in set(done)) for reference, node in zip(pending, nodes, strict=True)]


def _answer(reference: Any, node: NodeStatus, is_done: bool) -> Answer:
    if not is_done:
        return Silence(
            reason=f"does not answer within {PROBE_SECONDS:.0f} s: it is frozen, overloaded or cut off from this "
            "machine; look at it, or end its Ray"
        )
    try:
        answer: NodeFacts = ray.get(reference, timeout=SECONDS_OF_A_CALL)
        return answer
    except ray.exceptions.RayError as error:
        ours = own_versions().get("frostline")
        other = f" (it has frostline {node.version}, the driver has {ours})" if node.version not in (None, ours) else ""
        return Silence(reason=f"does not answer: {str(error).strip().splitlines()[-1]}{other}")
