"""`frostline explain`: why a node is as it is; what ran there counts again."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow.parquet as pq

from orchestrator.errors import UsageError
from orchestrator.sentinel.records import Explanation, Record, append, read
from orchestrator.sentinel.verdicts import Suspicion
from orchestrator.sentinel.watch import read_suspicions, suspect_column, write_sentinels
from orchestrator.store.run_folder import RunFolder
from results.tables.schema import trials_table
from search_spaces.spec.load import load_sweep
from trainer.errors import Busy
from trainer.files import replacing
from trainer.locks import sole_owner


def explain(root: Path, node: str, text: str) -> list[str]:
    """Keep an explanation of all that was found of a node so far; what follows from it, in lines.

    Args:
        node: the beginning of its id, or its host name.

    Raises:
        UsageError: if there is no such run, or nothing is wrong with the node that is not explained already.
    """
    folder = RunFolder(root.resolve())
    if not folder.sweep_file.exists():
        raise UsageError(f"{root} is no run folder: it holds no sweep.yaml")
    if not text.strip():
        raise UsageError('the explanation is empty: say why the node is as it is, such as "its card is capped"')
    found = _unexplained(folder, node)
    now = time.time()
    for node_id in dict.fromkeys(one.node for one in found):
        append(folder.explanations_file, Explanation(node=node_id, at_seconds=now, text=text.strip()))
    lines = [f"explained: {one.label}: {one.text}: {text.strip()}" for one in found]
    try:
        with sole_owner(folder.root):
            number = mark_rows(folder)
        return [*lines, f"{number} row{'' if number == 1 else 's'} of the table of trials changed"]
    except Busy:
        return [*lines, "its driver takes that up within seconds"]


def mark_rows(folder: RunFolder) -> int:
    """Bring the column `suspect` to what is known now, where no driver is at work; how many rows changed."""
    found, number = read_suspicions(folder), 0
    why = suspect_column(found)
    for path in sorted((folder.tables / "trials").glob("trials-*.parquet")):
        rows = pq.read_table(path).to_pylist()
        marked = [{**row, "suspect": why(row)} for row in rows]
        changed = sum(row.get("suspect") != new["suspect"] for row, new in zip(rows, marked, strict=True))
        if changed:
            with replacing(path) as temporary:
                pq.write_table(trials_table(marked), temporary)
        number += changed
    sweep = load_sweep(folder.sweep_file).name
    write_sentinels(folder, sweep, read(folder.sentinels_file, Record), found)
    return number


def _unexplained(folder: RunFolder, node: str) -> list[Suspicion]:
    records = read(folder.sentinels_file, Record)
    known = {one.node: one.host for one in records}
    chosen = {one for one, host in known.items() if one.startswith(node) or host == node}
    if not chosen:
        there = ", ".join(f"{one[:8]} ({host})" for one, host in known.items()) or "none: no sentinel has run"
        raise UsageError(f"{folder.shown} has no sentinels of a node {node}; there are {there}")
    found = [one for one in read_suspicions(folder) if one.node in chosen and one.explanation is None]
    if not found:
        raise UsageError(f"{node}: sentinels found nothing wrong with it that is not explained already")
    return found
