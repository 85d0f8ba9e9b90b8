"""Sweeps of which trials are refused: the rows these get, and when they are asked again. Without Ray."""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from rich.console import Console
from sweeps import write_sweep

from orchestrator import run_sweep as run_sweep_module
from orchestrator.errors import UsageError
from orchestrator.replay import config_of_row
from orchestrator.run_context import RunContext, RunOptions
from orchestrator.run_sweep import run_sweep
from orchestrator.search.planner import PlannedTrial
from orchestrator.store.run_folder import RunFolder
from results import load
from results.analysis.pareto_info import pareto_info
from results.report import formatting
from results.report.markdown_report import write_report
from trainer.result import TrialResult, utc_now


class Run:
    """A sweep file and its run folder; trials that are admitted complete at once, without Ray."""

    def __init__(self, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tmp_path, self.data_root = tmp_path, data_root
        self.folder = RunFolder(tmp_path / "run")
        self.driven: list[str] = []
        monkeypatch.setattr(run_sweep_module, "prepare_ray_environment", lambda *, is_embedded: None)
        monkeypatch.setitem(sys.modules, "orchestrator.ray_backend.driver", types.SimpleNamespace(drive=self.drive))

    def __call__(self, limit: str = "artifact_bytes <= 100", ratio: float | None = 2.0, **changes: Any) -> str:
        """What a call of the sweep prints; it must end with exit code 0."""
        values = {"constraints": [limit], "admission": {"max_expected_ratio": ratio}, **changes}
        console = Console(file=io.StringIO(), width=200)
        path = write_sweep(self.tmp_path, **values)
        assert run_sweep(path, RunOptions(out=self.folder.root, data_root=self.data_root), console) == 0
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def drive(
        self, run: RunContext, waiting: Sequence[PlannedTrial], *, address: str | None, on_ready: Callable[[], None]
    ) -> None:
        on_ready()
        self.driven += [trial.trial_id for trial in waiting]
        for trial in waiting:
            folder = self.folder.trial(trial.trial_id)
            folder.write_infeasible(trial.config, trial.accelerator, "")
            result = TrialResult(status="completed", ce=3.0, artifact_bytes=30_000, finished_at=utc_now())
            result.save(folder.result_file)
            run.status.finished(run.recorder.record(trial.trial_id, result))

    @property
    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder.tables / "trials")

    def results(self) -> dict[str, str]:
        return {path.parent.name: path.read_text() for path in self.folder.root.glob("trials/*/result.json")}


@pytest.fixture
def run(tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, data_root, monkeypatch)


def test_a_sweep_that_cannot_fit_trains_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trial is refused: a whole row each, exit code 0, no driver; the same call again has nothing to do."""
    monkeypatch.setitem(sys.modules, "orchestrator.ray_backend.driver", None)  # importing it is an error
    monkeypatch.delattr(run_sweep_module, "prepare_ray_environment")
    printed = run()
    assert "tiny-sweep: 0 of 4 trials to run" in printed
    assert "4 of 4 trials are not trained, as their shapes break a limit: status infeasible" in printed
    table = run.table
    assert len(table) == 4 and set(table.status) == {"infeasible"}
    assert table.error.str.contains("whatever its weights, limit artifact_bytes <= 100; only a higher").all()
    assert table[["ce", "artifact_bytes", "accelerator", "started_at", "worker", "feasible"]].isna().all(axis=None)
    assert set(table.accelerator_wanted) == {"any"} and set(table.total_seconds) == {0.0} == set(table.steps)
    rows = load(run.folder.root).trials.to_dict("records")
    rows = [{name: value for name, value in row.items() if not pd.isna(value)} for row in rows]
    assert sorted(config_of_row(row).trial_id for row in rows) == sorted(table.trial_id)
    before = run.results()
    assert "nothing to do: all 4 trials of tiny-sweep are finished (4 infeasible)" in run()
    assert run.results() == before


def test_the_rest_is_trained(run: Run) -> None:
    """Refused trials never reach the driver, and completed beside infeasible ones are a finished sweep."""
    widths = {"model": {"choice": [{"dim": 32}, {"dim": 256}]}}
    printed = run("artifact_bytes <= 50_000", space=widths)
    assert "tiny-sweep: 2 of 4 trials to run" in printed and "2 of 4 trials are not trained" in printed
    assert "2 trials finished" in printed and "in all 2 completed, 2 infeasible" in printed
    by_width = run.table.groupby("cfg_model_dim").status.unique().to_dict()
    assert {width: list(statuses) for width, statuses in by_width.items()} == {32: ["completed"], 256: ["infeasible"]}
    assert len(run.driven) == 2
    assert "nothing to do" in run("artifact_bytes <= 50_000", space=widths) and len(run.driven) == 2


@pytest.mark.parametrize(
    "later", [{"limit": "artifact_bytes <= 40_000"}, {"limit": "artifact_bytes <= 10_000", "ratio": None}], ids=str
)
def test_a_later_call_that_admits_them_trains_them(run: Run, later: dict[str, Any]) -> None:
    """A higher limit, or the estimate switched off, reconsiders refused trials; their old result is kept beside."""
    run("artifact_bytes <= 10_000")
    assert not run.driven
    printed = run(**later)
    assert "tiny-sweep: 4 of 4 trials to run" in printed and len(run.driven) == 4
    assert set(run.table.status) == {"completed"} and len(run.table) == 4
    kept = list(run.folder.root.glob("trials/*/result.infeasible.json"))
    assert {TrialResult.load(path).status for path in kept} == {"infeasible"} and len(kept) == 4


def test_a_call_that_cannot_start_takes_no_row_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused trials that a new limit admits keep result and row until the checks have passed, here of the cluster."""
    run("artifact_bytes <= 10_000")
    before = run.results()

    def drive(*_: Any, **__: Any) -> None:
        raise UsageError("no node has an H100")

    monkeypatch.setitem(sys.modules, "orchestrator.ray_backend.driver", types.SimpleNamespace(drive=drive))
    with pytest.raises(UsageError):
        run("artifact_bytes <= 40_000")
    assert run.results() == before and set(run.table.status) == {"infeasible"} and len(run.table) == 4


def test_a_refusal_that_still_holds_tells_todays_limit(run: Run) -> None:
    """Under another limit that they break too, refused trials are told anew: no row names a limit of yesterday."""
    run("artifact_bytes <= 100")
    run("artifact_bytes <= 90")
    table = run.table
    assert len(table) == 4 and table.error.str.contains("limit artifact_bytes <= 90;", regex=False).all()
    assert yaml.safe_load(run.folder.sweep_file.read_text())["constraints"] == ["artifact_bytes <= 90"]


def test_new_limits_reach_a_finished_sweep(run: Run) -> None:
    """With nothing left to run, the run folder still takes the limits that its tables are to be read by."""
    run("artifact_bytes <= 16_000_000")
    assert "nothing to do" in run("artifact_bytes <= 15_000_000")
    assert yaml.safe_load(run.folder.sweep_file.read_text())["constraints"] == ["artifact_bytes <= 15_000_000"]


def test_a_changed_sweep_says_what_changed_and_keeps_every_version(run: Run) -> None:
    """More seeds and another note: each change is told with the trials it adds; both files stay with their trials."""
    generous = "artifact_bytes <= 16_000_000"
    assert "has changed" not in run(generous, seeds=[1])
    assert "has changed" not in run(generous, seeds=[1])
    printed = run(generous, seeds=[1, 2], notes="more seeds")
    assert "changed since the last call: notes: None before, more seeds now; seeds: [1] before, [1, 2] now" in printed
    assert "Trials: 2 new, 0 no longer planned. Both versions are kept in" in printed
    versions = run.folder.versions.root
    assert sorted(path.name for path in versions.glob("*.yaml")) == ["001.yaml", "002.yaml"]
    seeds = [yaml.safe_load((versions / name).read_text())["seeds"] for name in ("001.yaml", "002.yaml")]
    planned = [(versions / f"00{n}.trial_ids.txt").read_text().split() for n in (1, 2)]
    assert seeds == [[1], [1, 2]] and set(planned[0]) < set(planned[1]) == set(run.table.trial_id)


def test_a_completed_trial_stands_whatever_the_limit(run: Run) -> None:
    """A lower limit refuses new seeds only: what was trained keeps its result, and the config is not feasible."""
    run("artifact_bytes <= 16_000_000", seeds=[1])
    before = run.results()
    run("artifact_bytes <= 100", seeds=[1, 2])
    assert before.items() <= run.results().items()
    assert run.table.groupby("seed").status.unique().map(list).to_dict() == {1: ["completed"], 2: ["infeasible"]}
    info = pareto_info(load(run.folder.root), constraints=["artifact_bytes <= 100"])
    assert [group.feasible for group in info.groups] == [False, False]


def test_pareto_and_report_tell_of_what_was_refused(run: Run) -> None:
    """The front's text counts infeasible trials, and the report names each with its reason."""
    widths = {"model": {"choice": [{"dim": 32}, {"dim": 256}]}}
    run("artifact_bytes <= 50_000", space=widths)
    info = pareto_info(load(run.folder.root), constraints=["artifact_bytes <= 50_000"])
    assert formatting.not_counted_text(info) == "2 of 4 trials are not counted: 2 infeasible"
    assert len(info.groups) == 1 and info.status_counts == {"completed": 2, "infeasible": 2}
    page = write_report(run.folder.root).read_text()
    refused = next(line for line in page.splitlines() if "256d" in line and "infeasible" in line)
    assert "| infeasible | – | expected about " in refused
    assert refused.endswith("admission: {max\\_expected\\_ratio: null} trains it anyway |")
