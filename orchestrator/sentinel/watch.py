"""Keeps what sentinels find: files, the table, the suspect rows, and what a user is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from orchestrator.errors import UsageError
from orchestrator.sentinel.records import Explanation, Record, append, read
from orchestrator.sentinel.verdicts import Suspicion, suspicions, why_suspect
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from results.tables.sentinels import sentinels_table
from trainer.files import replacing


def read_suspicions(folder: RunFolder) -> list[Suspicion]:
    """All that sentinels of a run have found. Raises UsageError if a file is damaged."""
    return suspicions(read(folder.sentinels_file, Record), read(folder.explanations_file, Explanation))


def suspect_column(found: Iterable[Suspicion]) -> Callable[[Mapping[str, Any]], str | None]:
    """The column `suspect` of a row."""
    known = list(found)
    return lambda row: why_suspect(row, known)


class SentinelWatch:
    """The records of a run while a driver is at work.

    Raises:
        UsageError: if a file is damaged.
    """

    def __init__(self, folder: RunFolder, recorder: Recorder, note: Callable[[str], None]) -> None:
        self.folder, self.recorder, self.note = folder, recorder, note
        self.records = read(folder.sentinels_file, Record)
        self.explanations = read(folder.explanations_file, Explanation)
        self.found = suspicions(self.records, self.explanations)
        self._said = {_key(one) for one in self.found}

    def host_of(self, node: str) -> str:
        return next((one.host for one in reversed(self.records) if one.node == node), "")

    def add(self, record: Record) -> None:
        """A sentinel has ended."""
        self.records.append(record)
        with suppress(OSError):  # a full disk must not end the sweep
            append(self.folder.sentinels_file, record)
        self._judge()

    def look(self) -> None:
        """Take up what users have explained since; call it every second."""
        with suppress(UsageError, OSError):  # a line that is being written counts later
            explanations = read(self.folder.explanations_file, Explanation)
            if explanations != self.explanations:
                self.explanations = explanations
                self._judge()

    @property
    def lines(self) -> list[str]:
        """A line for each node that is suspect now."""
        return [f"{one.label} is suspect: {one.text}" for one in self.found if one.is_open]

    def _judge(self) -> None:
        self.found = suspicions(self.records, self.explanations)
        for one in self.found:
            if _key(one) not in self._said and one.explanation is None:
                self._said.add(_key(one))
                self.note(f"warning: {advice(one, self.folder.shown)}")
        with suppress(OSError):
            write_sentinels(self.folder, self.recorder.spec.name, self.records, self.found)
            self.recorder.mark(suspect_column(self.found))


def advice(one: Suspicion, run: str) -> str:
    """What is wrong, what follows, and what to do."""
    return (
        f"{one.label}: {one.text}. It goes on getting trials; what ran there since its last good sentinel is in no "
        f'comparison until that is explained: frostline explain {run} {one.node[:8]} "why"'
    )


def write_sentinels(folder: RunFolder, sweep: str, records: Iterable[Record], found: Iterable[Suspicion]) -> None:
    """Write the table `sentinels` whole."""
    known = list(found)
    rows = [_row(record, sweep, known) for record in records]
    with replacing(folder.tables / "sentinels" / "sentinels.parquet") as temporary:
        pq.write_table(sentinels_table(rows), temporary)


def _row(record: Record, sweep: str, found: Iterable[Suspicion]) -> dict[str, Any]:
    inside = [
        one
        for one in found
        if one.node == record.node and one.since_seconds < record.ended_seconds <= one.until_seconds
    ]
    values = {name: value for name, value in vars(record).items() if not name.endswith("_seconds")}
    return {
        "sweep": sweep,
        **values,
        "step_seconds": record.step_seconds,
        "started_at": datetime.fromtimestamp(record.began_seconds, UTC),
        "finished_at": datetime.fromtimestamp(record.ended_seconds, UTC),
        "suspect": "; ".join(dict.fromkeys(one.text for one in inside)),
        "explanation": "; ".join(dict.fromkeys(one.explanation for one in inside if one.explanation)),
    }


def _key(one: Suspicion) -> tuple[str, str, float]:
    return one.node, one.kind, one.found_seconds
