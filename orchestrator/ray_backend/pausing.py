"""Holds back a node, a recipe or the whole sweep when trials fail alike; see `scheduling/circuit_breaker.py`."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.run_context import RunContext
from orchestrator.scheduling.circuit_breaker import CircuitBreaker, Pause
from orchestrator.scheduling.placement import Pool
from trainer.result import TrialResult


class Pausing:
    """What is held back, and why. With `--keep-going` nothing ever is."""

    def __init__(self, run: RunContext, pool: Pool) -> None:
        self.run, self.pool = run, pool
        self.breaker = None if run.keep_going else CircuitBreaker()
        self.recipes: set[str] = set()

    def ended(self, outcome: TrialResult, *, node: str, recipe: str, waiting: Iterable[str]) -> None:
        """A trial has ended. `waiting`: the recipes of trials that wait."""
        if self.breaker is None or recipe in self.recipes or node in self.pool.excluded:
            return  # it was under way when that was paused
        if outcome.status != "failed":
            self.breaker.succeeded(node=node, recipe=recipe)
            return
        nodes = {one.node_id for one in self.pool.nodes}
        others = set(waiting) - self.recipes
        pause = self.breaker.failed(outcome.error or "", node=node, recipe=recipe, nodes=nodes, recipes=others)
        if pause is not None:
            self._pause(pause)

    def _pause(self, pause: Pause) -> None:
        self.run.display.tick()  # the line of the failure first
        self.run.display.note(f"{pause.text()}; --keep-going goes on all the same")
        self.run.status.pause(pause.text())
        if pause.scope == "node":
            self.pool.exclude(pause.name)
        elif pause.scope == "recipe":
            self.recipes.add(pause.name)
        else:
            self.run.status.stop(pause.text(), kind="pause")
