"""PageInfo: what all sections of the page need, computed once."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from results.analysis.objectives import Goals, metric_of, read_goals
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.replicate_groups import Row, to_rows
from results.page.configs import PageConfigs, page_configs
from results.tables.load import Tables, load

_MAX_NAME = 100  # characters of a folder's name
State = Literal["running", "stopped", "finished", "lost"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunState:
    """What the driver of a run said last, and when (UTC, ISO 8601); `lost`: it ended without a word."""

    state: State
    num_done: int
    num_all: int
    num_running: int
    updated_at: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageInfo:
    """One or several runs, as all sections see them. Only Python computes; the page draws.

    Args:
        name: title of the page.
        folders: the run folders.
        run_names: each folder as a command names it.
        tables: of all runs together, rows in the order of the folders.
        parts: the tables of each run alone; with one run, `tables` itself.
        rows: `tables.trials` as plain values, in the same order.
        states: of each run; None where it is not known.
        page_folder: where `index.html` will lie; links are relative to it.
        command: what wrote this page and writes it again; None: `frostline report` with the runs alone.
    """

    name: str
    folders: tuple[Path, ...]
    run_names: tuple[str, ...]
    tables: Tables
    parts: tuple[Tables, ...]
    info: ParetoInfo
    rows: Sequence[Row]
    goals: Goals
    states: tuple[RunState | None, ...]
    page_folder: Path
    command: str | None = None

    @property
    def own_command(self) -> str:
        """What writes this page again, for a shell."""
        return self.command or shlex.join(["frostline", "report", *self.run_names])

    @property
    def metric(self) -> str:
        """The column that tells how good a model is: `bpb` where that is an objective and `ce` is not."""
        return metric_of(self.goals.objectives)

    @property
    def metric_label(self) -> str:
        """The metric with its unit, as axes name it."""
        return "bits per byte" if self.metric == "bpb" else "cross-entropy (nats/token)"

    @property
    def size(self) -> str:
        """The column that the front sets against the metric: the first other objective, else the artifact's bytes."""
        return next((name for name in self.goals.objectives if name not in ("ce", "bpb")), "artifact_bytes")

    @property
    def size_label(self) -> str:
        """That column in words."""
        return {"tokens_per_s": "tokens per second"}.get(self.size, self.size.replace("_", " "))

    @functools.cached_property
    def configs(self) -> PageConfigs:
        """The configs with and without a score, and which one each row belongs to."""
        return page_configs(self.info, self.rows)

    @property
    def run_of_row(self) -> list[int]:
        """The index of each row's run."""
        return [index for index, part in enumerate(self.parts) for _ in range(len(part.trials))]


def read_page_info(
    runs: Sequence[str | Path],
    page_folder: Path | None = None,
    *,
    goals: Callable[[Sequence[Path]], Goals] = read_goals,
    states: Sequence[RunState | None] = (),
) -> PageInfo:
    """Load and compare the runs.

    Args:
        runs: run folders, or patterns such as `runs/*`.
        page_folder: by default `report` in the run folder; of several runs a folder `report-<a>-<b>` here.
        goals: of the run folders; by default what their sweeps say.
        states: of each run, if known.

    Raises:
        ResultsError: if a folder holds no tables, a file is damaged, or the sweeps have other goals.
    """
    tables = load(runs)
    asked = goals(tables.folders)
    info = pareto_info(tables, asked.objectives, asked.constraints)
    several = len(tables.folders) > 1
    return PageInfo(
        name=", ".join(info.sweeps) or tables.folders[0].resolve().name,
        folders=tables.folders,
        run_names=tuple(map(run_name, tables.folders)),
        tables=tables,
        parts=tuple(load(folder) for folder in tables.folders) if several else (tables,),
        info=info,
        rows=to_rows(tables.trials),
        goals=asked,
        states=tuple(states) or (None,) * len(tables.folders),
        page_folder=page_folder or default_page_folder(tables.folders),
    )


def default_page_folder(folders: Sequence[Path]) -> Path:
    """Of one run in its folder, so that the page moves with it; of several in a folder of their names."""
    if len(folders) == 1:
        return folders[0] / "report"
    names = "-".join(folder.resolve().name for folder in folders)
    return Path(f"report-{names[:_MAX_NAME]}")


def run_name(folder: Path) -> str:
    """The folder as it was given; of an absolute path only the end, since a page is sent to others."""
    return f"runs/{folder.name}" if folder.is_absolute() else str(folder)


def link_to(page: PageInfo, path: Path) -> str:
    """A relative link from the page to a file or folder, with `/` on every system, encoded as an address."""
    return quote(Path(os.path.relpath(path.resolve(), page.page_folder.resolve())).as_posix())
