"""The probe of one node: finds out its facts, by the same function on a worker and on this machine. Free of Ray."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from orchestrator.cluster.data_probe import data_facts
from orchestrator.cluster.link_probe import link_facts, store_facts
from orchestrator.cluster.machine import cache_disk, gpu_driver, memory, shm_bytes, torch_facts
from orchestrator.cluster.node_facts import DataFacts, NodeFacts, Question, StoreFacts
from orchestrator.store.file_server import Call
from orchestrator.store.workplace import begin_session, cache_folder
from trainer.versions import own_versions


def probe(question: Question, call: Call | None = None) -> NodeFacts:
    """The facts of this machine.

    Args:
        call: reaches a file server beside the driver; None on the driver's own machine.
    """
    cache = cache_folder()
    link = None if call is None else link_facts(call, has_folder=question.folder is not None)
    looks_at_store = question.folder is not None and (question.runs_trials or call is None)
    data = question.data.items() if question.runs_trials else ()
    return NodeFacts(
        host=platform.node(),
        versions=own_versions(),
        gpu_driver=gpu_driver(),
        memory=memory(),
        shm_bytes=shm_bytes(),
        cache=cache_disk(cache),
        torch=torch_facts(question.num_gpus) if question.runs_trials else None,
        store=store_facts(question, call, link) if looks_at_store else None,
        link=link,
        data=tuple(data_facts(name, wanted, question.data_root, cache) for name, wanted in data),
    )


def probe_driver(question: Question, data: tuple[DataFacts, ...], folder_error: str = "") -> NodeFacts:
    """The facts of this machine as the driver's.

    Args:
        data: what the driver has found of its datasets.
        folder_error: why the question has no folder.
    """
    facts = dataclasses.replace(probe(dataclasses.replace(question, data={})), data=data)
    return dataclasses.replace(facts, store=StoreFacts(is_shared=True, error=folder_error)) if folder_error else facts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeFolder:
    """Where the probes of one check write: a folder with a mark, or why there is none."""

    path: Path | None
    session: str = ""
    error: str = ""


@contextlib.contextmanager
def probe_folder(out: Path) -> Iterator[ProbeFolder]:
    """A folder below a run folder, or below the folder of runs, that is removed with all that had to be made for it."""
    out = out.absolute()
    made = [path for path in (out, *out.parents) if not path.exists()]
    path = out / f".probe-{uuid.uuid4().hex}"
    try:
        path.mkdir(parents=True)
        found = ProbeFolder(path=path, session=begin_session(path))
    except OSError as error:
        found = ProbeFolder(path=None, error=f"{error.filename or out}: {error.strerror or error}")
    try:
        yield found
    finally:
        shutil.rmtree(path, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):  # somebody has put something there
                parent.rmdir()
