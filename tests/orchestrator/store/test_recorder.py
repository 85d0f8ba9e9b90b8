from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sweeps import tiny_sweep

from orchestrator.errors import UsageError
from orchestrator.search.planner import plan
from orchestrator.store import table_files
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.trial_folder import Placement
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.result import CurvePoint, TrialResult, save_curve

POINT = CurvePoint(step=1, tokens=128, train_ce=5.0, val_ce=float("nan"), learning_rate=0.1, train_seconds=1.0)


def finish(folder: RunFolder, spec: SweepSpec, index: int, **values: object) -> str:
    """Leave the files of a finished trial, as a worker would."""
    trial = plan(spec)[index]
    placement = Placement(accelerator_wanted="any", accelerator="CPU", num_gpus=0, node="n1")
    files = folder.trial(trial.trial_id)
    files.write_failure(trial.config.model_dump(mode="json"), placement, "made up")
    result = TrialResult.load(files.result_file)
    completed = dataclasses.replace(result, status="completed", ce=3.0 + index, artifact_bytes=1000, **values)  # type: ignore[arg-type]
    completed.save(files.result_file)
    save_curve(files.curve_file, [POINT])
    return trial.trial_id


def read(folder: RunFolder, table: str) -> pd.DataFrame:
    return pd.read_parquet(folder.tables / table)


def test_recording_one_by_one_gives_the_tables_that_a_rebuild_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are derived: rebuilt from the trial folders they are the same, fragment by fragment."""
    monkeypatch.setattr(table_files, "TRIALS_OF_FIRST_FILES", (3,) * 9)
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    recorder = Recorder(folder, spec)
    for index in range(4):
        trial_id = finish(folder, spec, index)
        recorder.record(trial_id, TrialResult.load(folder.trial(trial_id).result_file))
    before = read(folder, "trials"), read(folder, "curves")
    assert len(list((folder.tables / "trials").glob("*.parquet"))) == 2
    Recorder(folder, spec).rebuild(folder.finished())
    pd.testing.assert_frame_equal(before[0], read(folder, "trials"))
    pd.testing.assert_frame_equal(before[1], read(folder, "curves"))
    assert before[0].trial_id.nunique() == len(before[0]) == len(before[1]) == 4
    for path in folder.tables.rglob("*.parquet"):
        assert all(field.metadata[b"description"] for field in pq.read_schema(path)), path


def test_a_rebuild_removes_fragments_that_are_no_longer_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After failed trials were set aside, no old fragment is left to count them twice."""
    monkeypatch.setattr(table_files, "TRIALS_OF_FIRST_FILES", (1,) * 9)
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    ids = [finish(folder, spec, index) for index in range(3)]
    Recorder(folder, spec).rebuild(folder.finished())
    folder.trial(ids[1]).result_file.unlink()
    Recorder(folder, spec).rebuild(folder.finished())
    assert sorted(read(folder, "trials").trial_id) == sorted([ids[0], ids[2]])


def test_rows_know_whether_the_constraints_hold(tmp_path: Path) -> None:
    """True within the budget, False beyond it, unknown where the bytes are."""
    spec, folder = tiny_sweep(tmp_path, constraints=["artifact_bytes <= 1500"]), RunFolder(tmp_path / "run")
    ids = [finish(folder, spec, 0), finish(folder, spec, 1), finish(folder, spec, 2)]
    for trial_id, changes in (
        (ids[1], {"artifact_bytes": 1501}),
        (ids[2], {"status": "failed", "artifact_bytes": None}),
    ):
        path = folder.trial(trial_id).result_file
        dataclasses.replace(TrialResult.load(path), **changes).save(path)
    Recorder(folder, spec).rebuild(folder.finished())
    found = read(folder, "trials").set_index("trial_id").feasible
    assert found[ids[0]] and not found[ids[1]] and pd.isna(found[ids[2]])


def test_a_damaged_result_is_set_aside_and_its_trial_done_again(tmp_path: Path) -> None:
    """A result that cannot be read counts as not finished, and its bytes are kept."""
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    trial_id = finish(folder, spec, 0)
    path = folder.trial(trial_id).result_file
    path.write_text(path.read_text()[:50])
    assert folder.finished() == {}
    assert path.with_name("result.damaged.json").exists() and not path.exists()


def test_a_run_folder_never_mixes_two_sweeps_or_two_datasets(tmp_path: Path) -> None:
    """Another base or other data under the same name is refused; more seeds, or another admission, are not."""
    folder = RunFolder(tmp_path / "run")
    data = {"tiny": "a" * 64}
    folder.check(tiny_sweep(tmp_path).resolved(), data)
    assert not folder.sweep_file.exists()  # a look leaves no trace
    folder.write_spec(tiny_sweep(tmp_path).resolved(), data, ["a"])
    folder.check(tiny_sweep(tmp_path, seeds=[1, 2, 3]).resolved(), {**data, "another": "c" * 64})
    folder.check(tiny_sweep(tmp_path, admission={"max_expected_ratio": None}).resolved(), data)
    with pytest.raises(UsageError, match=r"base\.train\.steps: 20 there, 21 here"):
        folder.check(tiny_sweep(tmp_path, train={"steps": 21}).resolved(), data)
    with pytest.raises(UsageError, match="never mixed"):
        folder.check(tiny_sweep(tmp_path, seeds=[1, 2, 3]).resolved(), {"tiny": "b" * 64})


@pytest.mark.parametrize("broken", ["config.yaml", "curve.parquet"])
def test_one_damaged_file_costs_one_trial_and_no_sweep(broken: str, tmp_path: Path) -> None:
    """A torn file in a finished trial's folder: that trial is done again, all others keep their rows."""
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    ids = [finish(folder, spec, index) for index in range(3)]
    path = folder.trial(ids[1]).root / broken
    path.write_bytes(path.read_bytes()[:7])
    recorder = Recorder(folder, spec)
    assert recorder.rebuild(folder.finished()) == [ids[1]]
    assert sorted(read(folder, "trials").trial_id) == sorted([ids[0], ids[2]])
    assert folder.trial(ids[1]).result() is None and path.with_name("result.damaged.json").exists()


def test_a_copy_of_a_trials_folder_is_not_a_trial(tmp_path: Path) -> None:
    """`cp -r trials/T trials/T.bak` adds no row."""
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    trial_id = finish(folder, spec, 0)
    shutil.copytree(folder.trial(trial_id).root, folder.trial(trial_id + ".bak").root)
    assert list(folder.finished()) == [trial_id]


def test_a_result_of_a_newer_version_still_counts(tmp_path: Path) -> None:
    """Fields that this version does not know are left out; the finished trial stays finished."""
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    trial_id = finish(folder, spec, 0)
    path = folder.trial(trial_id).result_file
    path.write_text(path.read_text().replace("{", '{"from_the_future": 1,', 1))
    assert list(folder.finished()) == [trial_id]


def test_damaged_files_of_the_run_itself_are_one_clear_error(tmp_path: Path) -> None:
    """A torn sweep.yaml or environment.json is named, with what to do."""
    for name in ("sweep.yaml", "environment.json"):
        folder = RunFolder(tmp_path / f"run-{name}")
        folder.write_spec(tiny_sweep(tmp_path).resolved(), {"tiny": "a" * 64}, ["a"])
        (folder.root / name).write_text("{torn")
        with pytest.raises(UsageError, match=f"{name} is damaged"):
            folder.check(tiny_sweep(tmp_path).resolved(), {"tiny": "a" * 64})
