"""The options of `frostline run`, and the context that every step of a sweep needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.progress.display import Display
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.search.planner import PlannedTrial
from orchestrator.search.search import Search
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.sweep_spec import SweepSpec

if TYPE_CHECKING:  # it loads scikit-learn, which most sweeps do not need
    from orchestrator.early_stopping.stopper import Stopper


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `frostline run`.

    Args:
        overrides: `key=value` arguments that change the sweep file's values.
        scale: one of the file's scales, instead of the one that it names.
        out: the run folder; by default `runs/<name>`.
        data_root: folder of the prepared datasets.
        address: of a Ray cluster; None starts Ray on this machine.
        retry_failed: run failed trials again; their old result is kept beside as `result.failed.json`.
        continue_stopped: go on with trials that were stopped early.
        keep_going: pause nothing, however many trials fail alike.
        any_versions: use workers whose frostline, torch or Python is another than the driver's.
    """

    overrides: tuple[str, ...] = ()
    scale: str | None = None
    out: Path | None = None
    data_root: Path = Path("data")
    address: str | None = None
    retry_failed: bool = False
    continue_stopped: bool = False
    keep_going: bool = False
    any_versions: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunContext:
    """The search, the folders, and the objects that record and show progress.

    Args:
        search: gives the trials; a plan has given all of them.
        examples: trials such as the search gives, to check beforehand what they need.
        data_sha256: fingerprint of each dataset of the plan by its name.
        stopper: judges running trials; None without early stopping.
        keep_going, any_versions: see `RunOptions`.
    """

    spec: SweepSpec
    search: Search
    examples: Sequence[PlannedTrial]
    folder: RunFolder
    data_root: Path
    data_sha256: Mapping[str, str]
    recorder: Recorder
    status: SweepStatus
    display: Display
    stopper: Stopper | None = None
    keep_going: bool = False
    any_versions: bool = False

    @property
    def trials(self) -> Sequence[PlannedTrial]:
        """All trials that the search has given so far."""
        return self.search.trials
