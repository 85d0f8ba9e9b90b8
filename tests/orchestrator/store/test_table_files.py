"""The files of the tables while a driver is at work, or is killed: what a reader sees that knows nothing of drivers."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweeps import tiny_sweep

from orchestrator.search.planner import plan
from orchestrator.store import recorder as recorder_module
from orchestrator.store import table_files
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.table_files import TableFiles, most_trials
from orchestrator.store.trial_folder import Placement
from search_spaces.spec.sweep_spec import SweepSpec
from trainer import files as files_module
from trainer.result import CurvePoint, TrialResult, save_curve

NUM_TRIALS = 9
POINTS = [CurvePoint(step=i, tokens=i, train_ce=5.0, val_ce=4.0, learning_rate=0.1, train_seconds=1.0) for i in (1, 2)]


class Killed(BaseException):
    """The driver is no more."""


class World:
    """A run folder whose trials finish when they are told to, a driver that can be killed before and after each change
    of a file, and a reader that looks after each.
    """

    def __init__(self, root: Path, spec: SweepSpec, done: Path) -> None:
        self.folder, self.spec, self.done = RunFolder(root), spec, done
        self.ids = sorted(path.name for path in done.iterdir())
        self.homes: dict[str, int] = {}
        self.kill_at: int | None = None
        self.death: type[BaseException] = Killed
        self.num_steps = 0
        self.recorder = Recorder(self.folder, spec)

    def replace(self, source: Path, target: Path) -> None:
        """In place of `os.replace`: the only step by which a file of the tables changes."""
        self._step()
        os.rename(source, target)
        self.look()
        self._step()

    def _step(self) -> None:
        self.num_steps += 1
        if self.num_steps == self.kill_at:
            raise self.death

    def look(self) -> None:
        """No trial is twice, and none is ever in another file than it was: so a slow reader sees none twice either."""
        for table, key in (("trials", ["trial_id"]), ("curves", ["trial_id", "step"])):
            seen = []
            for path in (self.folder.tables / table).glob("[!.]*"):
                rows = pq.read_table(path, columns=key).to_pylist()
                seen += [tuple(row.values()) for row in rows]
                for row in rows:
                    assert self.homes.setdefault(row["trial_id"], int(path.stem[-6:])) == int(path.stem[-6:])
            assert len(seen) == len(set(seen))

    def finish(self, index: int) -> None:
        trial_id = self.ids[index]
        if not self.folder.trial(trial_id).result_file.exists():
            shutil.copytree(self.done / trial_id, self.folder.trial(trial_id).root, dirs_exist_ok=True)
        self.recorder.record(trial_id, TrialResult.load(self.folder.trial(trial_id).result_file))

    def mark(self, index: int) -> None:
        self.recorder.mark(lambda row: "slow" if self.ids.index(row["trial_id"]) <= index else None)

    def start(self, index: int = 0) -> None:
        """Another driver begins: files of another size are those of another version of frostline."""
        self.folder.remove_stray_temporaries()
        self.recorder = Recorder(self.folder, self.spec)
        self.recorder.rebuild(self.folder.finished())

    def retry(self, index: int) -> None:
        """A trial is to be done again: its result is set aside, and its row goes."""
        self.folder.trial(self.ids[index]).result_file.unlink(missing_ok=True)
        self.start()
        self.homes.pop(self.ids[index], None)

    def check_all(self) -> None:
        """A bare reader has every finished trial, once, with its curve."""
        finished = sorted(self.folder.finished())
        if finished:
            assert sorted(pd.read_parquet(self.folder.tables / "trials").trial_id) == finished
            assert sorted(pd.read_parquet(self.folder.tables / "curves").trial_id) == sorted(finished * len(POINTS))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    return tiny_sweep(tmp_path_factory.mktemp("spec"), seeds=list(range(1, NUM_TRIALS + 1)))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, spec: SweepSpec) -> Path:
    """Folders of trials as workers leave them."""
    folder = RunFolder(tmp_path_factory.mktemp("done"))
    placement = Placement(accelerator_wanted="any", accelerator="CPU", num_gpus=0, node="n1")
    for trial in plan(spec)[:NUM_TRIALS]:
        of_trial = folder.trial(trial.trial_id)
        of_trial.write_failure(trial.config.model_dump(mode="json"), placement, "made up")
        made = TrialResult.load(of_trial.result_file)
        dataclasses.replace(made, status="completed", ce=3.0, artifact_bytes=1).save(of_trial.result_file)
        save_curve(of_trial.curve_file, POINTS)
    return folder.root / "trials"


@pytest.fixture
def make_world(tmp_path: Path, spec: SweepSpec, done: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(*sizes: int) -> World:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        monkeypatch.setattr(table_files, "TRIALS_OF_FIRST_FILES", sizes)
        monkeypatch.setattr(table_files, "TRIALS_OF_OTHER_FILES", sizes[-1])
        world = World(tmp_path / "run", spec, done)
        monkeypatch.setattr(files_module.os, "replace", world.replace)
        monkeypatch.setattr(files_module.os, "fsync", lambda handle: None)  # it would take most of the time
        return world

    return make


STEPS = st.tuples(
    st.sampled_from(["finish", "finish", "finish", "mark", "start", "retry"]), st.integers(0, NUM_TRIALS - 1)
)


STORIES = given(
    steps=st.lists(STEPS, min_size=3, max_size=10),
    kill_at=st.integers(1, 60),
    sizes=st.sampled_from([(1, 2, 3), (2, 2, 2), (1, 1, 1), (3, 9, 9)]),
    later_sizes=st.sampled_from([(1, 2, 3), (4, 4, 4)]),
)
ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(ANY_TIME, max_examples=5)
@STORIES
def test_a_bare_reader_never_sees_a_trial_twice(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, **story: Any
) -> None:
    """Whatever happens in whatever order, and wherever the driver is killed; the next one has them all."""
    tell(make_world, monkeypatch, **story)


@pytest.mark.slow
@settings(ANY_TIME, max_examples=100)
@STORIES
def test_a_bare_reader_never_sees_a_trial_twice_in_many_stories(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, **story: Any
) -> None:
    """The same of a hundred stories."""
    tell(make_world, monkeypatch, **story)


def tell(
    make_world: Callable[..., World],
    monkeypatch: pytest.MonkeyPatch,
    *,
    steps: list[tuple[str, int]],
    kill_at: int,
    sizes: tuple[int, ...],
    later_sizes: tuple[int, ...],
) -> None:
    world = make_world(*sizes)
    world.kill_at = kill_at
    try:
        for action, index in steps:
            getattr(world, action)(index)
            world.check_all()
    except Killed:
        world.look()
    world.kill_at = None
    monkeypatch.setattr(table_files, "TRIALS_OF_FIRST_FILES", later_sizes)
    world.start()
    world.check_all()
    for trial_id in world.homes.keys() - world.folder.finished().keys():  # of a retry: to be done again
        del world.homes[trial_id]
    for index in range(NUM_TRIALS):
        world.finish(index)
    world.check_all()
    assert len(world.recorder.rows) == NUM_TRIALS


@pytest.mark.parametrize("at", range(1, 5))
def test_a_disk_that_was_full_for_a_moment_leaves_no_trial_twice(make_world: Callable[..., World], at: int) -> None:
    """A write that failed before or after either file is done again by the next."""
    world = make_world(2, 9)
    for index in range(3):
        world.finish(index)
    world.kill_at, world.death = world.num_steps + at, OSError
    with pytest.raises(OSError):
        world.finish(3)
    world.finish(4)
    world.check_all()
    assert len(world.recorder.rows) == 5


def test_files_are_few_and_all_but_the_last_are_full(make_world: Callable[..., World]) -> None:
    """Trials fill one file after the other, as many as each takes; a rebuild changes nothing."""
    world = make_world(1, 3, 4)
    for index in range(7):
        world.finish(index)
    for _ in range(2):
        files = TableFiles(world.folder.tables)
        assert [files.read("trials", number).num_rows for number in files.numbers()] == [1, 3, 3]  # type: ignore[union-attr]
        assert [files.read("curves", number).num_rows for number in files.numbers()] == [2, 6, 6]  # type: ignore[union-attr]
        world.start()


def test_ten_thousand_trials_are_in_three_files_of_each_table() -> None:
    """The sizes as they are: 100, 900 and 9,000, then 10,000 each, so that no file takes long to write."""
    assert [sum(map(most_trials, range(number))) for number in (1, 2, 3, 4, 12)] == [
        100,
        1_000,
        10_000,
        20_000,
        100_000,
    ]


def test_a_large_file_is_written_now_and_then(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits 19 times as long as writing took; what is asked for is written at once; small files do not wait."""
    monkeypatch.setattr(recorder_module, "TRIALS_WRITTEN_AT_ONCE", 2)
    world, now = make_world(9), iter(range(1_000))  # to look at the clock takes a second
    world.recorder.clock = lambda: float(next(now))

    def num_written() -> int:
        return len(pd.read_parquet(world.folder.tables / "trials"))

    for index, expected in enumerate([1, 2, 2, 2, 2]):
        world.finish(index)
        assert num_written() == expected
    for _ in range(20):
        world.recorder.write_if_due()
    assert num_written() == 5 and world.recorder.rows[4]["trial_id"] == world.ids[4]
    world.finish(5)
    assert num_written() == 5
    world.recorder.write()
    world.check_all()


def test_what_waits_when_a_driver_is_killed_is_in_the_tables_of_the_next(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing finished is lost: the folders of trials have it."""
    monkeypatch.setattr(recorder_module, "TRIALS_WRITTEN_AT_ONCE", 1)
    world = make_world(9)
    world.recorder.clock = lambda: -1.0 if not world.recorder.rows else 0.0
    world.finish(0)
    world.recorder._may_write_at_seconds = 1.0
    for index in (1, 2):
        world.finish(index)
    assert len(pd.read_parquet(world.folder.tables / "trials")) == 1
    world.start()
    world.check_all()


def test_a_file_that_somebody_removed_or_damaged_is_made_again(make_world: Callable[..., World]) -> None:
    """From the folders of trials, when the next trial ends."""
    world = make_world(9)
    for index in range(3):
        world.finish(index)
    for table, content in (("trials", None), ("curves", b"PAR1")):
        path = TableFiles(world.folder.tables).path(table, 0)
        path.unlink() if content is None else path.write_bytes(content)
    world.homes.clear()
    world.look = lambda: None  # type: ignore[method-assign]
    world.recorder._last.clear()
    world.finish(3)
    world.check_all()


def test_a_trial_that_an_older_driver_left_in_two_files_is_in_one(make_world: Callable[..., World]) -> None:
    """Older versions moved rows between files; a rebuild keeps one of them."""
    world = make_world(2, 2)
    for index in range(3):
        world.finish(index)
    files = TableFiles(world.folder.tables)
    for table in ("trials", "curves"):
        shutil.copy(files.path(table, 0), files.path(table, 5))
    world.look = lambda: None  # type: ignore[method-assign]
    world.start()
    world.check_all()
    assert files.numbers() == [0, 1, 5] and files.read("trials", 5).num_rows == 0  # type: ignore[union-attr]


def test_looks_are_read_from_all_files(make_world: Callable[..., World]) -> None:
    """Points without a look, as null or NaN, are none."""
    world = make_world(1, 1)
    points = [dataclasses.replace(POINTS[0], look_ce=4.5), POINTS[1]]
    for index in range(2):
        shutil.copytree(world.done / world.ids[index], world.folder.trial(world.ids[index]).root)
        save_curve(world.folder.trial(world.ids[index]).curve_file, points)
        world.finish(index)
    assert world.recorder.looks() == {world.ids[0]: {1: 4.5}, world.ids[1]: {1: 4.5}}
