"""Runs sentinels while a sweep is at work: sends them to nodes that are due, and makes known what they find."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import ray

from orchestrator.ray_backend.checks.canary import is_like_a_night
from orchestrator.ray_backend.checks.pinned_job import Bench, PinnedJob
from orchestrator.ray_backend.control import BoardActor
from orchestrator.run_context import RunContext
from orchestrator.scheduling.placement import Node, Pool
from orchestrator.search.planner import PlannedTrial
from orchestrator.sentinel.control import control_of, due_nodes, slot_to_hold
from orchestrator.sentinel.measure import record_of
from orchestrator.sentinel.watch import SentinelWatch
from orchestrator.store.trial_folder import TrialFolder
from search_spaces.spec.sections.sentinel import SentinelConfig

# One that has not ended by then is ended, and measures nothing: its node is busy with something else, or hangs.
SECONDS_TO_END = 600.0
SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def sentinels_of(
    run: RunContext, pool: Pool, control: BoardActor, needs: Sequence[PlannedTrial], *, is_cluster: bool
) -> Iterator[Sentinels]:
    """The sentinels of this driver, while it is at work."""
    section = run.spec.sentinel
    if section is None:
        is_wanted = len({node.node_id for node in pool.nodes}) > 1 and is_like_a_night(run, is_cluster=is_cluster)
        section = SentinelConfig() if is_wanted else SentinelConfig(every_hours=0)
    if not section.is_on or not run.examples:
        yield NoSentinels()
        return
    bench = Bench(run, run.folder.sentinel_folder, control.handle, has_workers_elsewhere=is_cluster)
    sentinels = SentinelsOnRay(run, pool, bench, section, needs)
    try:
        yield sentinels
    finally:
        sentinels.close()


class Sentinels(Protocol):
    """What the driver asks of them."""

    @property
    def wants_room(self) -> bool:
        """Whether one waits for resources that Ray may still keep for a worker without a trial."""
        ...

    def take_turn(self, folders: Mapping[str, TrialFolder]) -> None:
        """Take note of those that ended, and send out those that are due and have room. Called before every placement,
        so that a node that is due gets its sentinel before its next trial.

        Args:
            folders: of the running trials, by the holder of each one's slot.
        """
        ...


class NoSentinels:
    """Of a sweep that has none."""

    wants_room = False

    def take_turn(self, folders: Mapping[str, TrialFolder]) -> None:
        """Nothing."""


class SentinelsOnRay:
    """The sentinels of one driver, each a task on its node. See `Sentinels`."""

    def __init__(
        self, run: RunContext, pool: Pool, bench: Bench, section: SentinelConfig, needs: Sequence[PlannedTrial]
    ) -> None:
        self.run, self.pool, self.bench, self.section = run, pool, bench, section
        self.control, self.needs = control_of(run.examples, section.steps), needs
        self.watch = SentinelWatch(run.folder, run.recorder, run.display.note)
        self.running: dict[str, PinnedJob] = {}  # by node
        self.tried: dict[str, float] = {}
        self._begun: set[str] = set()  # nodes whose sentinel has left its first file
        self._due: list[Node] = []
        self._next_look_seconds = 0.0

    @property
    def wants_room(self) -> bool:
        return any(node not in self._begun for node in self.running)

    def take_turn(self, folders: Mapping[str, TrialFolder]) -> None:
        if self.run.status.is_stopping:
            return
        if time.monotonic() >= self._next_look_seconds:
            self._next_look_seconds = time.monotonic() + SECONDS_BETWEEN_LOOKS
            self._settle_ended()
            due = due_nodes(self.section, self._nodes(), self.watch.records, self.tried, time.time())
            self._due = [node for node in due if node.node_id not in self.running]
        if self._due:
            where = self._where(folders)
            self._due = [node for node in self._due if not self._send(node, where)]

    def _send(self, node: Node, where: Mapping[str, str]) -> bool:
        """Send one to a node, if it has room now."""
        held = slot_to_hold(self.control, node, self.pool, where)
        if held is None:
            return False
        self.pool.acquire(_holder(node.node_id), held)
        self.tried[node.node_id] = time.time()
        trial = dataclasses.replace(self.control, trial_id=f"sentinel-{node.node_id[:8]}-{time.time_ns()}")
        self.running[node.node_id] = self.bench.send(trial, self.pool.slot_for(self.control, node))
        return True

    def close(self) -> None:
        """The sweep ends: what still runs measures nothing."""
        for pinned in self.running.values():
            self.bench.cancel(pinned)
        self.bench.close(keep_files=False)

    def _nodes(self) -> list[Node]:
        """Those that trials of the sweep may run on."""
        return [
            node
            for node in self.pool.nodes
            if not node.spare and any(self.pool.fits_on(trial, node) for trial in self.needs)
        ]

    def _where(self, folders: Mapping[str, TrialFolder]) -> dict[str, str]:
        """The node that each holder of a slot really runs on, where that is known."""
        found = {holder: folder.node() for holder, folder in folders.items()}
        known = {holder: node for holder, node in found.items() if node is not None}
        return {**known, **{_holder(node): node for node in self.running}}

    def _settle_ended(self) -> None:
        here = {node.node_id for node in self.pool.nodes}
        for node, pinned in list(self.running.items()):
            done, _ = ray.wait([pinned.reference], timeout=0)
            is_over = time.monotonic() - pinned.began_seconds > SECONDS_TO_END
            if not done and not is_over and node in here:
                self._begun |= {node} if pinned.job.folder.node() is not None else set()
                continue
            del self.running[node]
            self._begun.discard(node)
            self.pool.release(_holder(node))
            record = record_of(pinned.job, node, self.watch.host_of(node)) if done and node in here else None
            if record is None:
                self.bench.cancel(pinned)
            else:
                self.bench.ended(pinned, None if record.status == "lost" else record.status)
                self.watch.add(record)
            shutil.rmtree(pinned.job.folder.root, ignore_errors=True)
        self.watch.look()
        self.run.status.suspects = self.watch.lines


def _holder(node_id: str) -> str:
    return f"sentinel-{node_id}"
