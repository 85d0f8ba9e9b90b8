"""What a node has of the driver's datasets: whole, copied, absent, another or damaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.cluster.node_facts import DataFacts, DataState, WantedData
from orchestrator.store.dataset_copy import copy_folder, has_dataset
from orchestrator.store.file_server import dataset_files
from trainer.data.dataset import open_dataset
from trainer.data.manifest import MANIFEST
from trainer.data.scan_cache import cached, load_facts
from trainer.errors import DataError

# A check before the start must take seconds: a slow disk reads this much in about five.
MAX_BYTES_TO_READ = 2**30


def drivers_data(names: Iterable[str], root: Path) -> tuple[dict[str, WantedData], tuple[DataFacts, ...]]:
    """The driver's own datasets, each opened with every check: those that are whole, and what was found of each.

    The first look at a dataset reads all of it.
    """
    wanted, facts = dict[str, WantedData](), list[DataFacts]()
    for name in names:
        try:
            wanted[name] = WantedData(sha256=open_dataset(name, root).sha256, files=dataset_files(name, root))
        except (DataError, OSError) as error:
            is_there = (root / "datasets" / name).is_dir()
            state = DataState.DAMAGED if is_there else DataState.MISSING
            facts.append(DataFacts(name=name, state=state, problem=str(error)))
        else:
            facts.append(DataFacts(name=name, state=DataState.WHOLE, num_bytes=wanted[name].num_bytes))
    return wanted, tuple(facts)


def data_facts(name: str, wanted: WantedData, root: Path, cache: Path) -> DataFacts:
    """What a node has of a dataset, in its data folder or else in its cache.

    What nobody has read yet is read, unless that would take long: then its sizes must do.
    """
    state, problem = _state(name, wanted, root)
    if state in (DataState.ABSENT, DataState.OTHER) and has_dataset(
        name, wanted.sha256, copy_folder(cache, wanted.sha256)
    ):
        state = DataState.CACHED
    return DataFacts(name=name, state=state, num_bytes=wanted.num_bytes, problem=problem)


def _state(name: str, wanted: WantedData, root: Path) -> tuple[DataState, str]:
    if not (root / "datasets" / name).is_dir():
        return DataState.ABSENT, ""
    sizes = {path: size for path, size in wanted.files.items() if path != MANIFEST}
    if _unread_bytes(name, root, sizes) > MAX_BYTES_TO_READ:
        same = all((root / path).is_file() and (root / path).stat().st_size == size for path, size in sizes.items())
        return (DataState.UNREAD if same else DataState.OTHER), ""
    try:
        found = open_dataset(name, root).sha256
    except (DataError, OSError) as error:
        return DataState.DAMAGED, str(error)
    return (DataState.WHOLE if found == wanted.sha256 else DataState.OTHER), ""


def _unread_bytes(name: str, root: Path, sizes: Mapping[str, int]) -> int:
    """Bytes of those files of a dataset that nobody has checked since they changed."""
    facts = load_facts(root / "datasets" / name)
    paths = [root / path for path in sizes if (root / path).is_file()]
    return sum(path.stat().st_size for path in paths if cached(facts, path) is None)
