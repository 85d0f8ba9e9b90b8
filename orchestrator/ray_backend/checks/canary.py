"""Runs the canary: short trials on every kind of device and every node, before the first real one."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

import ray
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from orchestrator.canary.choose import Probe, probes
from orchestrator.canary.extremes import extremes
from orchestrator.canary.outcome import (
    SECONDS_FOR_ALL,
    CanaryFault,
    Passed,
    fault_lines,
    fault_of_result,
    reason_of,
    safe_line,
)
from orchestrator.canary.short_config import short_config
from orchestrator.canary.when import fingerprint, has_passed, is_night, note_passed
from orchestrator.control_channel import Fault
from orchestrator.progress.display import duration
from orchestrator.ray_backend.checks.pinned_job import Bench, PinnedJob, death_of
from orchestrator.ray_backend.control import BoardActor
from orchestrator.ray_backend.deaths import Deaths, memory_kills_of
from orchestrator.ray_backend.nodes.cluster_status import machines_of
from orchestrator.run_context import RunContext
from orchestrator.scheduling.admission import refusals
from orchestrator.scheduling.placement import Pool
from orchestrator.search.planner import PlannedTrial
from orchestrator.store.run_store import TransferError
from trainer.versions import own_versions

STEPS = 20
SECONDS_BETWEEN_LOOKS = 1.0


def is_safe_to_leave(
    run: RunContext, waiting: Sequence[PlannedTrial], pool: Pool, control: BoardActor, *, is_cluster: bool
) -> bool:
    """Run the canary where this sweep needs it. False: it found faults, which are printed, and the sweep is to end."""
    hosts = {entry["NodeID"]: entry["NodeManagerHostname"] for entry in ray.nodes()}
    named = [(node, node.node_id if is_cluster else hosts.get(node.node_id, "")) for node in pool.nodes]
    found = fingerprint(run.spec.resolved(), run.data_sha256, own_versions(), named)
    if not _is_wanted(run, found, is_cluster=is_cluster):
        return True
    canary = Canary(run, pool, control, hosts, is_cluster=is_cluster)
    passed = canary.run_all(probes(_candidates(run, waiting), pool))
    canary.bench.close(keep_files=bool(canary.faults))
    if run.status.is_stopping:
        return False
    if canary.faults:
        reason, is_machine = reason_of(canary.faults)
        for line in fault_lines(canary.faults, f"{run.folder.shown}/canary"):
            run.display.note(line)
        run.status.stop(reason, kind="fault" if is_machine else "pause")
        return False
    line = safe_line(passed)
    run.display.note(line)
    with contextlib.suppress(OSError):  # then it runs again, the next time
        note_passed(run.folder.canary_file, found, line)
    return True


def _is_wanted(run: RunContext, found: str, *, is_cluster: bool) -> bool:
    """As the command says; else for a night, if nothing has changed since it last passed."""
    if run.canary is not None:
        return run.canary
    return is_like_a_night(run, is_cluster=is_cluster) and not has_passed(run.folder.canary_file, found)


def is_like_a_night(run: RunContext, *, is_cluster: bool) -> bool:
    """Whether nobody may be there to watch this sweep, see `is_night`."""
    left = run.timed.left().seconds
    return is_night(is_timed=run.timed.of_file.is_timed, seconds_left=left, is_cluster=is_cluster)


def _candidates(run: RunContext, waiting: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    """Trials that wait, and, where a search is to choose more, such as it may choose."""
    if run.search.end is not None:
        return list(waiting)
    refused = refusals(run.examples, run.spec)
    admitted = [trial for trial in run.examples if trial.config.config_id not in refused]
    return [*waiting, *admitted, *extremes(run.spec)]


class Canary:
    """One run of it: what was sent where, and which faults were found."""

    def __init__(
        self, run: RunContext, pool: Pool, control: BoardActor, hosts: dict[str, str], *, is_cluster: bool
    ) -> None:
        self.run, self.pool, self.control, self.hosts = run, pool, control, hosts
        self.bench = Bench(run, run.folder.canary_folder, control.handle, has_workers_elsewhere=is_cluster)
        self.faults: list[CanaryFault] = []
        self.deaths, self.told = Deaths(memory_kills_of), dict[str, Fault]()
        self.num_diverged = 0

    def run_all(self, wanted: Sequence[Probe]) -> Passed:
        """Try all, as many at once as there are slots. What is not done in time is a fault."""
        began = time.monotonic()
        waiting, running = dict(enumerate(wanted)), dict[int, PinnedJob]()
        text = TextColumn("canary: {task.completed} of {task.total} short trials")
        console = self.run.display.console  # where it is no terminal, there is a line for each
        columns = (text, BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=len(wanted))
            while (waiting or running) and not self.run.status.is_stopping:
                self._start(waiting, wanted, running)
                ended = self._ended(wanted, running)
                bar.advance(task, ended)
                if time.monotonic() - began > SECONDS_FOR_ALL:
                    self._late(waiting, wanted, running)
                    break
            for number, pinned in running.items():
                self.bench.cancel(pinned)
                self.pool.release(_holder(number))
            if not self.faults and not self.run.status.is_stopping:
                self._send_to_store()
        return Passed(
            num_trials=len(wanted),
            recipes=tuple(dict.fromkeys(probe.trial.config.recipe for probe in wanted)),
            kinds=dict(Counter(kind for kind, _ in {(one.slot.kind, one.slot.node_id) for one in wanted})),
            steps=STEPS,
            seconds=time.monotonic() - began,
            usd_per_hour=self.run.books.usd_per_hour,
            num_diverged=self.num_diverged,
            stored_in=None if self.run.remote is None else self.run.folder.shown,
        )

    def _start(self, waiting: dict[int, Probe], wanted: Sequence[Probe], running: dict[int, PinnedJob]) -> None:
        nodes = {(node.node_id, node.kind): node for node in self.pool.nodes}
        for number, probe in list(waiting.items()):
            if not self.pool.is_free(probe.slot, nodes[probe.slot.node_id, probe.slot.kind]):
                continue
            config = short_config(probe.trial.config, STEPS)
            trial_id = f"canary-{number}-{probe.slot.kind}-{config.trial_id}"
            self.pool.acquire(_holder(number), probe.slot)
            self.deaths.begun(trial_id)
            trial = dataclasses.replace(probe.trial, config=config, trial_id=trial_id)
            running[number] = self.bench.send(trial, probe.slot)
            del waiting[number]

    def _ended(self, wanted: Sequence[Probe], running: dict[int, PinnedJob]) -> int:
        """Wait for a second, and take note of what has ended; how many."""
        references = {pinned.reference: number for number, pinned in running.items()}
        done, _ = ray.wait(list(references), num_returns=len(references), timeout=SECONDS_BETWEEN_LOOKS)
        self._read_news()
        self.run.books.saw(machines_of(ray.nodes()))
        for reference in done:
            number = references[reference]
            pinned, probe = running.pop(number), wanted[number]
            self.pool.release(_holder(number))
            result = pinned.job.folder.result()
            self.bench.ended(pinned, None if result is None else result.status)
            fault = self._fault(pinned, probe)
            if fault is not None:
                self.faults.append(fault)
            self.num_diverged += result is not None and result.status == "diverged"
            how = "ok" if fault is None else fault.error
            took = duration(time.monotonic() - pinned.began_seconds)
            self.run.display.note(f"canary: {_config(probe)} on {self._node(probe)}: {how}, {took}")
        return len(done)

    def _fault(self, pinned: PinnedJob, probe: Probe) -> CanaryFault | None:
        """What is wrong with a job that has ended."""
        death, result = death_of(pinned), pinned.job.folder.result()
        make = partial(CanaryFault, node=self._node(probe), config=_config(probe))
        if death is None and result is not None:
            return fault_of_result(result, self._node(probe), _config(probe))
        if (told := self.told.get(pinned.job.trial_id)) is not None:
            return make(kind=told.kind, error=told.message)
        self.deaths.error(pinned.job.trial_id, death or "")
        if (memory := self.deaths.want_of_memory(pinned.job.trial_id)) is not None:
            return make(kind="out_of_memory", error=memory)
        return make(kind="died", error=f"its worker died: {death}" if death else "it left no result")

    def _late(self, waiting: dict[int, Probe], wanted: Sequence[Probe], running: dict[int, PinnedJob]) -> None:
        left = {**{number: wanted[number] for number in running}, **waiting}
        for number, probe in left.items():
            how = "has not ended" if number in running else "was not begun"
            error = f"{how} within the {duration(SECONDS_FOR_ALL)} that the canary may take"
            self.faults.append(CanaryFault(node=self._node(probe), config=_config(probe), kind="late", error=error))

    def _send_to_store(self) -> None:
        """Let the store take what the canary has written: one that does not is found now."""
        if self.run.remote is None:
            return
        try:
            self.run.remote.mirror.send(with_checkpoints=True)
        except (TransferError, OSError) as error:
            self.faults.append(CanaryFault(node=self.run.folder.shown, config="", kind="store", error=str(error)))

    def _read_news(self) -> None:
        news = self.control.take_news()
        for beat, _ in news.beats.values():
            self.deaths.beat(beat)
        self.told.update({fault.trial_id: fault for fault in news.faults})
        for note in news.notes:
            self.run.display.note(note)

    def _node(self, probe: Probe) -> str:
        host = self.hosts.get(probe.slot.node_id, "?")
        return f"{host} ({probe.slot.kind}, {probe.slot.node_id[:8]})"


def _config(probe: Probe) -> str:
    return f"{probe.why} config {probe.trial.trial_id}" if "recipe" not in probe.why else probe.trial.trial_id


def _holder(number: int) -> str:
    return f"canary-{number}"
