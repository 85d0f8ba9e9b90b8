"""Holds back a node that is at fault; and a node, a recipe or the sweep when trials fail alike (circuit breaker)."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.control_channel import Fault
from orchestrator.ledger.events import Machine
from orchestrator.run_context import RunContext
from orchestrator.scheduling.circuit_breaker import CircuitBreaker, Pause
from orchestrator.scheduling.dispatcher import Dispatcher
from trainer.result import TrialResult


class Pausing:
    """What is held back, and why. With `--keep-going` nothing ever is."""

    def __init__(self, run: RunContext, dispatcher: Dispatcher) -> None:
        self.run, self.dispatcher, self.pool = run, dispatcher, dispatcher.pool
        self.breaker = None if run.keep_going else CircuitBreaker()

    def ended(self, outcome: TrialResult, *, node: str, recipe: str) -> None:
        """A trial has ended."""
        if self.breaker is None or recipe in self.dispatcher.held_recipes or node in self.pool.excluded:
            return  # it was under way when that was paused
        if outcome.status != "failed":
            self.breaker.succeeded(node=node, recipe=recipe)
            return
        nodes = {one.node_id for one in self.pool.nodes}
        others = {trial.config.recipe for trial in self.dispatcher.waiting} - self.dispatcher.held_recipes
        pause = self.breaker.failed(outcome.error or "", node=node, recipe=recipe, nodes=nodes, recipes=others)
        if pause is not None:
            self._pause(pause)

    def at_fault(self, fault: Fault, node_id: str | None) -> None:
        """Use a node with damaged data, a full disk or no link no more; a run folder that is at fault ends the sweep.

        So does a trial folder that somebody else works in, after a while: it may be a worker that is about to end.
        """
        if fault.kind == "busy":
            if not self.dispatcher.retries.found_busy(fault.trial_id):
                self.run.status.stop(fault.text(), kind="fault")
        elif fault.kind == "disk" or node_id is None:
            self.run.status.stop(fault.text(), kind="fault")
        elif node_id not in self.pool.excluded:
            self.pool.exclude(node_id, why=fault.text())
            self.run.display.note(f"{fault.kind} at fault {fault.text()}\n  that node gets no more trials")

    def without_price(self, machines: Iterable[Machine]) -> None:
        """Give a machine no trials that came without a price, where dollars are counted."""
        for machine in machines:
            if machine.node not in self.pool.excluded:
                why = f"{machine.host} ({machine.accelerator}) joined without a price, and budget.usd counts dollars"
                self.pool.exclude(machine.node, why=why)
                self.run.display.note(f"{why}\n  that node gets no trials: join it with --usd-per-hour, or add prices")

    def _pause(self, pause: Pause) -> None:
        self.run.display.tick()  # the line of the failure first
        self.run.display.note(f"{pause.text()}; --keep-going goes on all the same")
        self.run.status.pause(pause.text())
        if pause.scope == "node":
            self.pool.exclude(pause.name)
        elif pause.scope == "recipe":
            self.dispatcher.held_recipes.add(pause.name)
        else:
            self.run.status.stop(pause.text(), kind="pause")
