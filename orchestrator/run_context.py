"""The options of `frostline run`, and the context that every step of a sweep needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.progress.display import Display
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import SearchAndConfirmation
from orchestrator.store.recorder import Recorder
from orchestrator.store.removal import Removed
from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.sweep_spec import SweepSpec

if TYPE_CHECKING:  # it loads scikit-learn, which most sweeps do not need
    from orchestrator.early_stopping.stopper import Stopper
    from orchestrator.store.remote.remote_run import RemoteRun


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `frostline run`.

    Args:
        overrides: `key=value` arguments that change the sweep file's values.
        scale: one of the file's scales, instead of the one that it names.
        out: the run folder, or a URI in an object store; by default `runs/<name>`.
        data_root: folder of the prepared datasets.
        address: of a Ray cluster; None starts Ray on this machine.
        retry_failed: run failed trials again; their old result is kept beside as `result.failed.json`.
        continue_stopped: go on with trials that were stopped early.
        keep_going: pause nothing, however many trials fail alike.
        any_versions: use workers whose frostline, torch or Python is another than the driver's.
        data_from: where workers get data that they lack: `hub`, or the URI of a data folder; None: from the driver.
        canary: run it, or do not; None: where the sweep is a night, see `canary/when.py`.
    """

    overrides: tuple[str, ...] = ()
    scale: str | None = None
    out: str | Path | None = None
    data_root: Path = Path("data")
    address: str | None = None
    retry_failed: bool = False
    continue_stopped: bool = False
    keep_going: bool = False
    any_versions: bool = False
    data_from: str | None = None
    canary: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunContext:
    """The search, the folders, and the objects that record and show progress.

    Args:
        search: gives the trials; a plan has given all of them.
        examples: trials such as the search gives, to check beforehand what they need.
        data_sha256: fingerprint of each dataset of the plan by its name.
        stopper: judges running trials; None without early stopping.
        keep_going, any_versions, data_from, canary: see `RunOptions`.
        remote: the run in an object store, of which the folder is the local copy.
        books: what the run has cost.
        timed: its budget of hours, dollars and the clock.
        removed: what this call has removed of trials, by the section `keep`.
    """

    spec: SweepSpec
    search: SearchAndConfirmation
    examples: Sequence[PlannedTrial]
    folder: RunFolder
    data_root: Path
    data_sha256: Mapping[str, str]
    recorder: Recorder
    status: SweepStatus
    display: Display
    books: Bookkeeper
    timed: TimedBudget
    stopper: Stopper | None = None
    keep_going: bool = False
    any_versions: bool = False
    data_from: str | None = None
    canary: bool | None = None
    remote: RemoteRun | None = None
    removed: Removed = dataclasses.field(default_factory=Removed)

    @property
    def trials(self) -> Sequence[PlannedTrial]:
        """All trials that the search has given so far."""
        return self.search.trials
