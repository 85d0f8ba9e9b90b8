"""What came of the canary: each fault with its node, its config, and what to do; and the line that says all is well.
Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from orchestrator.control_channel import FaultKind
from orchestrator.progress.display import duration
from trainer.result import TrialResult

# All of it, with everything that it waits for.
SECONDS_FOR_ALL = 540.0
# A config may be unstable, and then ends so in every trial: an answer of the search, and no fault.
NO_FAULTS = ("completed", "diverged")
START_ANYWAY = "--no-canary starts without this check"
WHAT_TO_DO: dict[FaultKind | str, str] = {
    "disk": "free some space for the run folder, or choose another --out",
    "scratch": "free some space there, or set FROSTLINE_CACHE to another folder before Ray starts on it",
    "link": "open the ports of docs/cluster.md between it and the driver",
    "data": "run `frostline data check` there, or let it copy the data: it needs room under FROSTLINE_CACHE",
    "versions": "install the driver's versions there, or give --any-versions",
    "busy": "end the process that holds the files, and give the command again",
    "out_of_memory": "leave this config out of the space, raise base.train.micro_batches, or give trials more memory",
    "failed": "mend the recipe or its settings, or leave it out of the space",
    "died": "look at the node (frostline doctor), or end its Ray",
    "late": "look at the node (frostline doctor); a config that is slow in itself needs fewer tokens a step",
    "store": "see that the store answers and that the key may write there (frostline doctor --out URI)",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CanaryFault:
    """One thing that would spoil the night.

    Args:
        node: as a user knows it: host, kind, and the beginning of its id.
        config: the trial that met it, with why it was tried; empty for a store.
        kind: of `WHAT_TO_DO`.
        error: in one line.
    """

    node: str
    config: str
    kind: str
    error: str

    @property
    def is_of_recipe(self) -> bool:
        """Whether it is the config's own; else it is a machine's."""
        return self.kind in ("out_of_memory", "failed")

    def text(self) -> str:
        where = ": ".join(part for part in (self.node, self.config) if part)
        return f"{where}: {self.error}: {WHAT_TO_DO[self.kind]}"


def fault_of_result(result: TrialResult, node: str, config: str) -> CanaryFault | None:
    """What is wrong with a trial that ended; None if it is as it should be."""
    if result.status in NO_FAULTS:
        return None
    kind = "out_of_memory" if result.status == "out_of_memory" else "failed"
    error = " ".join((result.error or result.status).split())
    return CanaryFault(node=node, config=config, kind=kind, error=f"{result.status.replace('_', ' ')}: {error}")


def reason_of(faults: Sequence[CanaryFault]) -> tuple[str, bool]:
    """Why the sweep does not begin, and whether a machine is at fault (else it is a recipe)."""
    number = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
    return f"the canary found {number}", any(not one.is_of_recipe for one in faults)


def fault_lines(faults: Sequence[CanaryFault], logs: str) -> list[str]:
    """What is printed when it is not safe to leave. `logs`: the folder in which the trials' files stay."""
    lines = [f"fault: {one.text()}" for one in faults]
    return [f"not safe to leave: {reason_of(faults)[0]}", *lines, f"the canary's files are in {logs}; {START_ANYWAY}"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Passed:
    """What the canary has shown.

    Args:
        kinds: of accelerators, with the number of nodes of each.
        num_diverged: trials that ended without a score as their loss was not finite.
        stored_in: the object store that took its files, if the run lies in one.
        usd_per_hour: of all machines; 0 where no price is known.
    """

    num_trials: int
    recipes: tuple[str, ...]
    kinds: dict[str, int]
    steps: int
    seconds: float
    usd_per_hour: float
    num_diverged: int = 0
    stored_in: str | None = None


def safe_line(passed: Passed, forecast: str | None = None) -> str:
    """The line that is printed when it is safe to leave. `forecast`: more to say at its end."""
    nodes = sum(passed.kinds.values())
    kinds = ", ".join(f"{number} {kind}" for kind, number in passed.kinds.items())
    parts = [
        f"safe to leave: {passed.num_trials} trial{'' if passed.num_trials == 1 else 's'} of {passed.steps} steps "
        f"({', '.join(passed.recipes)}) on {nodes} node{'' if nodes == 1 else 's'} ({kinds}) were trained, packed, "
        f"reloaded and scored in {duration(passed.seconds)}"
    ]
    if passed.num_diverged:
        parts.append(f"{passed.num_diverged} of them diverged, and were not packed")
    if passed.stored_in is not None:
        parts.append(f"{passed.stored_in} has taken their files")
    if passed.usd_per_hour:
        parts.append(f"the machines cost {passed.usd_per_hour:g} USD/hour")
    return "; ".join([*parts, *([forecast] if forecast else [])])
