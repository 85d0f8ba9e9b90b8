"""What an earlier version wrote goes on working: ids, run folders, artifacts and tables of frostline 0.1.0."""

from __future__ import annotations

import io
import json
import math
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import results
from orchestrator.cli.main import app
from orchestrator.run_context import RunOptions
from orchestrator.run_sweep import run_sweep
from orchestrator.search.planner import plan
from search_spaces.spec.load import load_sweep
from trainer.artifact.read import read
from trainer.data.dataset import open_dataset
from trainer.device_facts import device_name
from trainer.result import TrialResult
from trainer.score_artifact import reload_and_score

FIXTURES = Path(__file__).parent / "fixtures"
SWEEPS = Path(__file__).parent.parent / "search_spaces"
TRIAL_IDS: dict[str, list[str]] = json.loads((FIXTURES / "trial_ids_0.1.0.json").read_text())


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture's folder, unpacked: `rivers.yaml`, `data`, `run`, `pareto.json`."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURES / "run_0.1.0.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("key", TRIAL_IDS)
def test_trial_ids_of_shipped_sweeps_have_not_moved(key: str) -> None:
    """A run of a shipped sweep that an earlier version began goes on: the ids are the same, in the same order."""
    name, scale = key.split()
    path = FIXTURES / "quickstart_0.1.0.yaml" if name == "quickstart.yaml" else SWEEPS / name  # it has changed since
    assert [trial.trial_id for trial in plan(load_sweep(path, scale))] == TRIAL_IDS[key]


def test_an_old_run_has_nothing_to_do(old: Path) -> None:
    """The same command on a finished run of an earlier version starts nothing and replaces no result."""
    before = {path: path.read_bytes() for path in (old / "run" / "trials").rglob("*") if path.is_file()}
    text = io.StringIO()
    console = Console(file=text, width=200)
    code = run_sweep(old / "rivers.yaml", RunOptions(out=old / "run", data_root=old / "data"), console)
    assert code == 0
    assert "nothing to do: all 14 trials of rivers are finished (12 completed, 2 infeasible)" in text.getvalue()
    assert before == {path: path.read_bytes() for path in (old / "run" / "trials").rglob("*") if path.is_file()}


def test_a_changed_file_goes_on_with_an_old_run(old: Path, tmp_path: Path) -> None:
    """An old run with a new limit: the change is told, and the file of the earlier version is kept as it was."""
    run = shutil.copytree(old / "run", tmp_path / "run")
    shutil.rmtree(run / "versions", ignore_errors=True)  # the earlier version kept none
    before = (run / "sweep.yaml").read_text()
    text = io.StringIO()
    options = RunOptions(out=run, data_root=old / "data", overrides=("notes=tomorrow",))
    assert run_sweep(old / "rivers.yaml", options, Console(file=text, width=200)) == 0
    assert "the sweep has changed since the last call: notes: None before, tomorrow now" in text.getvalue()
    first, second = sorted((run / "versions").glob("*.yaml"))
    assert first.read_text().partition("\n")[2] == before and "planned trials not known" in first.read_text()
    assert "notes: tomorrow" in second.read_text()
    assert len((run / "versions" / "002.trial_ids.txt").read_text().split()) == 14


def test_old_artifacts_score_as_their_rows_say(old: Path) -> None:
    """Every artifact of an earlier version reloads and gives its row's ce: to the last digit on the same processor."""
    dataset = open_dataset("rivers_sp320", old / "data")
    scored = 0
    for path in sorted((old / "run" / "trials").glob("*/artifact.frost")):
        result = TrialResult.load(path.with_name("result.json"))
        reloaded = reload_and_score(path, dataset=dataset, device=torch.device("cpu"))
        sliding = reloaded.sliding
        assert sliding is not None
        found = (reloaded.score.ce, reloaded.score.bpb, sliding.ce, sliding.bpb)
        said = (result.ce, result.bpb, result.ce_sliding, result.bpb_sliding)
        same_processor = result.device_name == device_name(torch.device("cpu"))
        assert found == said if same_processor else found == pytest.approx(said, rel=1e-6)
        assert (read(path).sha256, read(path).artifact_bytes) == (result.artifact_sha256, result.artifact_bytes)
        scored += 1
    assert scored == 12


def test_an_old_trial_is_handed_in(old: Path, tmp_path: Path) -> None:
    """The code of today in a submission reads an artifact of an earlier version by itself, and both counts are told."""
    run, data = str(old / "run"), str(old / "data")
    done = CliRunner().invoke(app, ["submit", run, "--out", str(tmp_path / "a"), "--data-root", data])
    assert done.exit_code == 1 and "give --recount" in str(done.exception)
    done = CliRunner().invoke(app, ["submit", run, "--out", str(tmp_path / "b"), "--data-root", data, "--recount"])
    assert done.exit_code == 0 and "counted again: " in done.stdout
    command = [sys.executable, tmp_path / "b" / "score.py", "--data", old / "data" / "datasets" / "rivers_sp320"]
    scored = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert scored.returncode == 0 and "submission.json says" in scored.stdout


def test_old_tables_load_and_give_the_same_front(old: Path) -> None:
    """Tables of an earlier version load, and `frostline pareto --json` prints every number that it printed then."""
    tables = results.load(old / "run")
    assert len(tables.trials) == 14 and len(tables.curves) > 100
    done = CliRunner().invoke(app, ["pareto", str(old / "run"), "--json"])
    assert says_again(json.loads(done.stdout), json.loads((old / "pareto.json").read_text()))


def says_again(now: Any, then: Any) -> bool:
    """Whether all of `then` is there now; quantiles have more digits than they had."""
    if isinstance(then, dict):
        return all(key in now and says_again(now[key], then[key]) for key in then)
    if isinstance(then, list):
        return len(now) == len(then) and all(map(says_again, now, then))
    return math.isclose(now, then, rel_tol=1e-7) if isinstance(then, float) else bool(now == then)
