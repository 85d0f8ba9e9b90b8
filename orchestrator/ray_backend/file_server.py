"""The file server beside the driver as a Ray actor, and how workers reach it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.store.file_server import Call, FileServer, NotReached, dataset_files
from orchestrator.store.run_store import TransferError

SECONDS_TO_ANSWER = 60.0  # for two megabytes: 35 kB/s
MAX_CALLS_AT_ONCE = 8


def start_file_server(run_folder: Path, data_root: Path, names: Iterable[str]) -> Any:
    """The handle of a server on the driver's own node. It ends with the driver.

    Args:
        names: the datasets that workers may ask for. They are looked at here, where they have just been checked.
    """
    datasets = {name: dataset_files(name, data_root) for name in names}
    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(FileServer)
    options = {"scheduling_strategy": here, "max_concurrency": MAX_CALLS_AT_ONCE}
    return actor.options(**options).remote(run_folder.resolve(), data_root.resolve(), datasets)


def server_call(handle: Any, seconds_to_answer: float = SECONDS_TO_ANSWER) -> Call:
    """Call a method of the server and wait for its answer."""

    def call(method: str, *arguments: Any) -> Any:
        try:
            return ray.get(getattr(handle, method).remote(*arguments), timeout=seconds_to_answer)
        except ray.exceptions.RayTaskError:  # the server's own, which has also the class of its cause
            raise
        except ray.exceptions.ActorDiedError as error:
            raise TransferError("the driver has ended") from error
        except ray.exceptions.RayError as error:  # no answer in time, or lost on the way
            raise NotReached(str(error)) from error

    return call
