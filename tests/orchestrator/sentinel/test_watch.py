"""What sentinels find, in the files and tables of a run, and what an explanation changes."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from sweeps import tiny_sweep

import results
from orchestrator.errors import UsageError
from orchestrator.search.planner import plan
from orchestrator.sentinel.explain import explain
from orchestrator.sentinel.measure import median_step_seconds
from orchestrator.sentinel.records import Explanation, Record, append, read
from orchestrator.sentinel.watch import SentinelWatch, read_suspicions, suspect_column
from orchestrator.store import table_files
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.trial_folder import Placement
from trainer.locks import sole_owner
from trainer.result import CurvePoint, TrialResult, save_curve


def record(node: str, at: float, step_seconds: float = 0.01) -> Record:
    return Record(
        node=node,
        host=f"host-{node}",
        accelerator="CPU",
        control="c",
        began_seconds=at - 1,
        ended_seconds=at,
        status="completed",
        ce=4.0,
        tokens_per_s=1 / step_seconds,
        step_seconds=step_seconds,
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of four trials, of which the second and the fourth ran on node c at 100 s."""
    spec, folder = tiny_sweep(tmp_path), RunFolder(tmp_path / "run")
    for number, trial in enumerate(plan(spec)):
        files, node = folder.trial(trial.trial_id), "abcc"[number]
        placement = Placement(accelerator_wanted="any", accelerator="CPU", num_gpus=0, node=node)
        files.write_failure(trial.config.model_dump(mode="json"), placement, "made up")
        moment = datetime.fromtimestamp(100, UTC).isoformat()
        made = TrialResult.load(files.result_file)
        dataclasses.replace(
            made, status="completed", ce=3.0, artifact_bytes=1, started_at=moment, finished_at=moment
        ).save(files.result_file)
    folder.write_spec(spec.resolved(), {}, [])
    return folder


def recorder_of(folder: RunFolder, tmp_path: Path) -> Recorder:
    recorder = Recorder(folder, tiny_sweep(tmp_path))
    recorder.suspect_of = suspect_column(read_suspicions(folder))
    recorder.rebuild(folder.finished())
    return recorder


def suspects(folder: RunFolder) -> list[str]:
    table = pd.read_parquet(folder.tables / "trials")
    return sorted(table.node[table.suspect.notna()])


def test_a_slow_node_marks_its_rows_and_an_explanation_clears_them(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fragment of the table; the display is told once, with the command; a driver at work takes the explanation
    up, and a later call finds the same.
    """
    monkeypatch.setattr(table_files, "TRIALS_OF_FIRST_FILES", (1,) * 9)
    notes: list[str] = []
    recorder = recorder_of(folder, tmp_path)
    watch = SentinelWatch(folder, recorder, notes.append)
    for one in [record("a", 10), record("b", 11), record("c", 12, 0.02)]:
        watch.add(one)
    assert suspects(folder) == [] and notes == [] and watch.lines == []
    watch.add(record("c", 20, 0.02))
    watch.add(record("c", 200, 0.02))
    assert suspects(folder) == ["c", "c"] and [row["suspect"] is None for row in recorder.rows].count(True) == 2
    [note], [line] = notes, watch.lines
    assert "host-c (CPU, c): 50% slower" in note and f'frostline explain {folder.shown} c "why"' in note
    assert line.startswith("host-c (CPU, c) is suspect: 50% slower")
    table = results.load(folder.root).sentinels
    assert list(table.node) == ["a", "b", "c", "c", "c"] and list(table.suspect.notna()) == [False] * 2 + [True] * 3
    assert table.ce.tolist() == [4.0] * 5 and table.explanation.isna().all()

    with sole_owner(folder.root):
        assert explain(folder.root, "host-c", "capped")[-1] == "its driver takes that up within seconds"
        assert suspects(folder) == ["c", "c"]
        watch.look()
    assert suspects(folder) == [] and watch.lines == [] and len(notes) == 1
    assert results.load(folder.root).sentinels.explanation.dropna().tolist() == ["capped"] * 3
    recorder_of(folder, tmp_path)
    assert suspects(folder) == []


def test_without_a_driver_the_command_changes_the_tables(folder: RunFolder, tmp_path: Path) -> None:
    """The rows count at once; all else of the table is as it was. What is unknown or explained is refused."""
    for one in [record("a", 10), record("b", 11), record("c", 12, 0.02), record("c", 20, 0.02)]:
        append(folder.sentinels_file, one)
    recorder_of(folder, tmp_path)
    assert suspects(folder) == ["c", "c"]
    before = pd.read_parquet(folder.tables / "trials")
    with pytest.raises(UsageError, match=r"no sentinels of a node x; there are a \(host-a\), b \(host-b\), c"):
        explain(folder.root, "x", "why")
    with pytest.raises(UsageError, match="nothing wrong"):
        explain(folder.root, "a", "why")
    with pytest.raises(UsageError, match="is empty"):
        explain(folder.root, "c", " ")
    with pytest.raises(UsageError, match="no run folder"):
        explain(tmp_path / "none", "c", "why")
    lines = explain(folder.root, "c", "its card is capped")
    assert lines[0].startswith("explained: host-c (CPU, c): 50% slower") and lines[-1].startswith("2 rows")
    after = pd.read_parquet(folder.tables / "trials")
    assert suspects(folder) == []
    pd.testing.assert_frame_equal(before.drop(columns="suspect"), after.drop(columns="suspect"))
    with pytest.raises(UsageError, match="not explained already"):
        explain(folder.root, "c", "again")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Records and explanations, as they were; a cut line counts as not written, a damaged one is named."""
    path, log = tmp_path / "sentinels.jsonl", tmp_path / "explanations.jsonl"
    made = [record("a", 1.5), dataclasses.replace(record("b", 2), ce=None, step_seconds=None, status="lost", error="x")]
    for one in made:
        append(path, one)
    append(log, Explanation(node="a", at_seconds=1.0, text="because of ü"))
    assert read(path, Record) == made and read(log, Explanation)[0].text == "because of ü"
    with path.open("a") as file:
        file.write('{"node": "a"')
    assert read(path, Record) == made
    with path.open("a") as file:
        file.write("}\n")
    with pytest.raises(UsageError, match="line 3, is damaged"):
        read(path, Record)
    assert read(tmp_path / "none", Record) == []


def test_the_median_step_is_not_moved_by_a_pause(tmp_path: Path) -> None:
    """Ten steps of 0.1 s, the first and one other slow: 0.1 s. Without a curve nothing is known."""
    seconds = [5.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 9.0, 0.1, 0.1, 0.1]
    points = [
        CurvePoint(
            step=step,
            tokens=step,
            train_ce=1.0,
            val_ce=math.nan,
            learning_rate=0.1,
            train_seconds=sum(seconds[:step]),
        )
        for step in range(1, len(seconds) + 1)
    ]
    save_curve(tmp_path / "curve.parquet", points)
    assert median_step_seconds(tmp_path / "curve.parquet") == pytest.approx(0.1)
    assert median_step_seconds(tmp_path / "none.parquet") is None
