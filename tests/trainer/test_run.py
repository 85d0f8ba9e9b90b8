from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tiny import COMPETITION, STUDY, tiny_config
from trial_runs import run, run_broken, stop_after

from trainer import run as run_module
from trainer.artifact.read import read
from trainer.control import Stopped
from trainer.data.dataset import open_dataset
from trainer.errors import DataError, DeviceError, TrialFolderError
from trainer.result import TrialResult
from trainer.score_artifact import reload_and_score
from trainer.training import loop
from trainer.training.state import Report


@pytest.fixture
def unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"model": {**STUDY, "dropout": 0.2}, "recipe": "selective"},
        {"model": COMPETITION, "optimizer": {"name": "muon"}, "train": {"micro_batches": 2, "precision": "bf16"}},
        {"train": {"eval_every_steps": 2, "precision": "bf16"}, "schedule": {"name": "warmdown", "warmdown_steps": 6}},
    ],
    ids=["plain", "dropout-frozen", "muon-bf16", "evals"],
)
def test_a_broken_run_has_the_same_bits_as_an_unbroken_one(
    settings: dict[str, Any], data_root: Path, tmp_path: Path, unthrottled: None
) -> None:
    """Stopping every five steps and going on gives the same artifact bytes, scores and curve as one run."""
    config = tiny_config(**settings)
    whole = run(config, folder=tmp_path / "whole", data_root=data_root)
    broken = run_broken(config, tmp_path / "broken", data_root, every=5)
    assert (whole.status, broken.status) == ("completed", "completed")
    assert (whole.num_resumes, broken.num_resumes) == (0, 2)
    assert (broken.ce, broken.ce_raw, broken.artifact_sha256) == (whole.ce, whole.ce_raw, whole.artifact_sha256)
    curves = [pq.read_table(tmp_path / name / "curve.parquet").to_pandas() for name in ("whole", "broken")]
    for column in ("step", "train_ce", "val_ce", "learning_rate"):
        np.testing.assert_array_equal(curves[0][column], curves[1][column])


def test_evaluation_moves_no_bit_of_the_training(data_root: Path, tmp_path: Path) -> None:
    """Scoring every step or never: the same trained weights."""
    results = [
        run(
            tiny_config(model={**STUDY, "dropout": 0.1}, train={"eval_every_steps": every}),
            folder=tmp_path / str(every),
            data_root=data_root,
        )
        for every in (0, 1)
    ]
    assert results[0].ce == results[1].ce


def test_global_generators_have_no_say(data_root: Path, tmp_path: Path) -> None:
    """What a worker did before a trial does not change the trial: other global seeds, same artifact."""
    digests = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - it is numpy's global state that is disturbed here
        config = tiny_config(model={**STUDY, "dropout": 0.1})
        digests.add(run(config, folder=tmp_path / str(seed), data_root=data_root).artifact_sha256)
    assert len(digests) == 1


def test_a_finished_trial_is_not_run_again(data_root: Path, tmp_path: Path) -> None:
    """Calling again returns the result that is there, to the microsecond of its finish."""
    first = run(tiny_config(), folder=tmp_path, data_root=data_root)
    assert run(tiny_config(), folder=tmp_path, data_root=data_root) == first
    assert not (tmp_path / "checkpoint").exists()


def test_the_row_describes_the_artifact_and_the_artifact_alone_gives_its_score(data_root: Path, tmp_path: Path) -> None:
    """Bytes and hash are the file's; reading the file into a clean model gives `ce` and `bpb` to the last digit."""
    result = run(tiny_config(recipe="selective"), folder=tmp_path, data_root=data_root)
    path = tmp_path / "artifact.frost"
    reloaded = reload_and_score(path, dataset=open_dataset("tiny", data_root), device=torch.device("cpu"))
    artifact, score = reloaded.artifact, reloaded.score
    assert result.artifact_bytes == path.stat().st_size == artifact.artifact_bytes
    assert (result.ce, result.bpb) == (score.ce, score.bpb)
    assert result.artifact_sha256 == artifact.sha256
    assert result.ce_raw != result.ce and abs(result.ce_raw - result.ce) < 0.05
    assert result.num_params_seeded == 2 * 2 * 32 * 64
    assert result.num_params == result.num_params_seeded + result.num_params_learned
    assert read(path).data_sha256 == result.data_sha256


@pytest.mark.slow
def test_a_fresh_process_scores_the_same_to_the_last_digit(data_root: Path, tmp_path: Path) -> None:
    """`frostline eval` in another process prints the table's ce, and one line when the file is damaged."""
    result = run(tiny_config(recipe="selective"), folder=tmp_path, data_root=data_root)
    command = [
        sys.executable,
        "-m",
        "orchestrator.cli",
        "eval",
        "--data",
        "tiny",
        "--data-root",
        str(data_root),
        "--json",
    ]
    fresh = subprocess.run([*command, str(tmp_path / "artifact.frost")], capture_output=True, text=True, check=True)
    assert json.loads(fresh.stdout)["ce"] == result.ce
    damaged = bytearray((tmp_path / "artifact.frost").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.frost").write_bytes(damaged)
    refused = subprocess.run([*command, str(tmp_path / "damaged.frost")], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ") and "Traceback" not in refused.stderr
    assert "damaged.frost" in refused.stderr


def test_learning_is_visible(data_root: Path, tmp_path: Path) -> None:
    """A few hundred steps on real text bring the loss well below that of guessing."""
    config = tiny_config(train={"steps": 150}, optimizer={"learning_rate": 0.01})
    result = run(config, folder=tmp_path, data_root=data_root)
    assert result.ce is not None and result.ce < 0.8 * np.log(512)


def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged(data_root: Path, tmp_path: Path) -> None:
    """An absurd learning rate is an outcome with a row, not a crash."""
    # a decay of 10 at a rate of 10 multiplies every weight by -99 a step
    config = tiny_config(optimizer={"learning_rate": 10, "weight_decay": 10}, train={"steps": 30})
    result = run(config, folder=tmp_path, data_root=data_root)
    assert result.status == "diverged" and result.ce is None
    assert result.error is not None and "loss became" in result.error
    assert TrialResult.load(tmp_path / "result.json") == result


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried …"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_an_outcome(
    fault: Exception, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CUDA allocator's, the host allocator's and Python's own failure all end as `out_of_memory`."""

    def fail(*args: object, **kwargs: object) -> None:
        raise fault

    monkeypatch.setattr(loop, "batch", fail)
    result = run(tiny_config(), folder=tmp_path, data_root=data_root)
    assert result.status == "out_of_memory" and result.error


def test_repeated_steps_are_counted(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process dies between checkpoints: the steps since the last one are run again, and the row says how many."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)
    config = tiny_config()

    def die(report: Report) -> None:
        if report.step == 8:
            raise SystemError("the power went")

    with pytest.raises(SystemError):
        run(config, folder=tmp_path, data_root=data_root, report=die)
    result = run(config, folder=tmp_path, data_root=data_root)
    assert (result.status, result.num_resumes, result.steps_repeated) == ("completed", 1, 8)


def test_a_damaged_checkpoint_costs_time_and_nothing_else(data_root: Path, tmp_path: Path, unthrottled: None) -> None:
    """With a torn checkpoint the trial starts over and ends at the same bits."""
    whole = run(tiny_config(), folder=tmp_path / "whole", data_root=data_root)
    with pytest.raises(Stopped):
        run(tiny_config(), folder=tmp_path / "torn", data_root=data_root, should_stop=stop_after(5))
    checkpoint = tmp_path / "torn" / "checkpoint" / "state.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    result = run(tiny_config(), folder=tmp_path / "torn", data_root=data_root)
    assert result.artifact_sha256 == whole.artifact_sha256 and result.steps_repeated == 5


def test_a_checkpoint_holds_no_frozen_weight(data_root: Path, tmp_path: Path, unthrottled: None) -> None:
    """The learned weights are in it, the seeded ones are not."""
    config = tiny_config(recipe="selective")
    with pytest.raises(Stopped):
        run(config, folder=tmp_path, data_root=data_root, should_stop=stop_after(2))
    saved = torch.load(tmp_path / "checkpoint" / "state.pt", weights_only=True)["networks"]["model"]
    assert "blocks.0.down.weight" in saved and "blocks.0.gate.weight" not in saved


def test_wrong_vocabulary_and_missing_device_are_said_before_training(data_root: Path, tmp_path: Path) -> None:
    """A model of another vocabulary, or CUDA where there is none, is refused with what to do."""
    with pytest.raises(DataError, match=r"`model.vocab_size` is 1024: set it to \d+"):
        run(tiny_config(model={**STUDY, "vocab_size": 1024}), folder=tmp_path / "a", data_root=data_root)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="sees no CUDA device"):
            run(tiny_config(), folder=tmp_path / "b", data_root=data_root, has_gpu=True)


def test_every_second_is_counted_once(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that only the callbacks and evaluations move, training and compiling take none of their time."""
    now = [0.0]
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)
    monkeypatch.setattr(run_module, "LoopCallbacks", functools.partial(loop.LoopCallbacks, clock=lambda: now[0]))

    def pass_seconds(seconds: float) -> None:
        now[0] += seconds

    real_losses, real_save = loop._losses, loop.save_checkpoint
    monkeypatch.setattr(loop, "_losses", lambda *args: (pass_seconds(1.0), real_losses(*args))[1])
    monkeypatch.setattr(loop, "save_checkpoint", lambda *args: (pass_seconds(100.0), real_save(*args))[1])
    config = tiny_config(train={"eval_every_steps": 4})
    slow = {"report": lambda report: pass_seconds(10_000.0), "should_stop": lambda: bool(pass_seconds(1e6))}
    result = run(config, folder=tmp_path, data_root=data_root, **slow)  # type: ignore[arg-type]
    assert (result.compile_seconds, result.train_seconds) == (1.0, 11.0)
    assert (result.checkpoint_seconds, result.report_seconds) == (100.0, 12 * 1_010_000.0)
    assert result.tokens_per_s == 4 * 32


def test_the_loss_between_curve_points_survives_a_stop(data_root: Path, tmp_path: Path, unthrottled: None) -> None:
    """With more steps than curve points, a stop between two of them leaves the curve as an unbroken run draws it."""
    config = tiny_config(train={"steps": 230})
    run(config, folder=tmp_path / "whole", data_root=data_root)
    run_broken(config, tmp_path / "broken", data_root, every=77)
    curves = [pq.read_table(tmp_path / name / "curve.parquet").to_pandas() for name in ("whole", "broken")]
    assert len(curves[0]) < 230
    np.testing.assert_array_equal(curves[0].train_ce, curves[1].train_ce)
    np.testing.assert_array_equal(curves[0].tokens, curves[0].step * 4 * 32)


def test_a_folder_serves_one_trial(data_root: Path, tmp_path: Path, unthrottled: None) -> None:
    """Another config in a folder that holds a result, or a checkpoint, is refused: it would get the other's numbers."""
    run(tiny_config(), folder=tmp_path / "done", data_root=data_root)
    with pytest.raises(TrialFolderError, match="holds another trial"):
        run(tiny_config(seed=2), folder=tmp_path / "done", data_root=data_root)
    with pytest.raises(Stopped):
        run(tiny_config(), folder=tmp_path / "begun", data_root=data_root, should_stop=stop_after(3))
    with pytest.raises(TrialFolderError):
        run(tiny_config(optimizer={"learning_rate": 0.5}), folder=tmp_path / "begun", data_root=data_root)


@pytest.mark.parametrize("change", [{"data_sha256": "0" * 64}, {"accelerator": "H100"}, {"trial_id": "other"}])
def test_a_checkpoint_serves_its_own_trial_data_and_accelerator(
    change: dict[str, str], data_root: Path, tmp_path: Path, unthrottled: None
) -> None:
    """Begun on other data or another accelerator, a trial starts over: half a trial each would be a row of neither."""
    config = tiny_config()
    whole = run(config, folder=tmp_path / "whole", data_root=data_root)
    with pytest.raises(Stopped):
        run(config, folder=tmp_path / "moved", data_root=data_root, should_stop=stop_after(5))
    path = tmp_path / "moved" / "checkpoint" / "state.pt"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "owner": {**state["owner"], **change}}, path)
    result = run(config, folder=tmp_path / "moved", data_root=data_root)
    assert (result.steps_repeated, result.artifact_sha256) == (5, whole.artifact_sha256)
    assert "starts over: its checkpoint is of" in (tmp_path / "moved" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("accelerators", "moves_anywhere", "repeated"),
    [(("A40", "A40"), False, 0), (("A40", "H100"), False, 5), (("A40", "H100"), True, 0)],
)
def test_a_trial_goes_on_where_its_accelerator_is(
    accelerators: tuple[str, str],
    moves_anywhere: bool,
    repeated: int,
    data_root: Path,
    tmp_path: Path,
    unthrottled: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On another host and card of the same accelerator no step is done again; on another one, all, unless allowed."""
    for host, accelerator in zip(("one", "two"), accelerators, strict=True):
        monkeypatch.setattr("trainer.attempt.platform.node", lambda host=host: host)
        monkeypatch.setattr("trainer.attempt.device_name", lambda device, host=host: f"card of {host}")
        place = {"accelerator": accelerator, "moves_anywhere": moves_anywhere}
        if host == "one":
            with pytest.raises(Stopped):
                run(tiny_config(), folder=tmp_path, data_root=data_root, should_stop=stop_after(5), **place)
    result = run(tiny_config(), folder=tmp_path, data_root=data_root, **place)
    assert (result.steps_repeated, result.num_resumes) == (repeated, 1)
    assert result.devices == ("card of two on two" if repeated else "card of one on one; card of two on two")


def test_a_trial_that_is_told_to_end_leaves_its_state(data_root: Path, tmp_path: Path, unthrottled: None) -> None:
    """Checkpoint, curve and a row with the reason; the next call removes the row and repeats no step."""
    with pytest.raises(Stopped):
        run(tiny_config(), folder=tmp_path, data_root=data_root, should_stop=stop_after(5))
    state = TrialResult.load(tmp_path / "state.json")
    assert (state.status, state.error, state.steps, state.ce) == ("interrupted", "by a test", 5, None)
    assert pq.read_table(tmp_path / "curve.parquet").num_rows == 5
    assert (tmp_path / "checkpoint" / "state.pt").exists() and not (tmp_path / "result.json").exists()
    assert run(tiny_config(), folder=tmp_path, data_root=data_root).steps_repeated == 0
    assert not (tmp_path / "state.json").exists()


def test_data_that_is_not_the_sweeps_is_refused(data_root: Path, tmp_path: Path) -> None:
    """A node whose dataset of that name has other content does not train on it."""
    with pytest.raises(DataError, match="is not the data of this sweep"):
        run(tiny_config(), folder=tmp_path, data_root=data_root, data_sha256="0" * 64)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_divergence_in_the_last_step_is_one(steps: int, data_root: Path, tmp_path: Path) -> None:
    """Where no later training loss could show it, the validation loss or the packing does."""
    config = tiny_config(train={"steps": steps, "clip_norm": 0.0})
    absurd = config.optimizer.model_copy(update={"learning_rate": 1e30})  # beyond what a config takes
    config = config.model_copy(update={"optimizer": absurd})
    assert run(config, folder=tmp_path, data_root=data_root).status == "diverged"


def test_resumed_trials_keep_their_first_start_and_all_their_time(
    data_root: Path, tmp_path: Path, unthrottled: None
) -> None:
    """`started_at` is the first attempt's and `total_seconds` covers all of them."""
    with pytest.raises(Stopped):
        run(tiny_config(), folder=tmp_path, data_root=data_root, should_stop=stop_after(5))
    first = json.loads((tmp_path / "progress.json").read_text())
    result = run(tiny_config(), folder=tmp_path, data_root=data_root)
    assert result.started_at == first["started_at"] and result.total_seconds > first["total_seconds"] > 0
    assert result.train_seconds + result.compile_seconds < result.total_seconds


def test_confirmation_is_scored_on_the_second_part_alone(data_root: Path, tmp_path: Path) -> None:
    """The artifact's score on the text after `eval.tokens`; all else is what it is without."""
    config = tiny_config(eval={"tokens": 64})
    plain = run(config, folder=tmp_path / "plain", data_root=data_root)
    found = run(config, folder=tmp_path / "confirm", data_root=data_root, scores_test=True)
    assert (plain.ce_test, plain.test_tokens) == (None, None) and (found.ce, found.bpb) == (plain.ce, plain.bpb)
    artifact, dataset = tmp_path / "confirm" / "artifact.frost", open_dataset(config.data, data_root)
    again = reload_and_score(artifact, dataset=dataset, device=torch.device("cpu"), scores_test=True)
    assert again.test is not None and found.ce_test == again.test.ce != found.ce
    assert found.test_tokens == again.test.num_tokens == 64
    with pytest.raises(DataError, match="no validation text is left"):
        run(tiny_config(eval={"tokens": None}), folder=tmp_path / "all", data_root=data_root, scores_test=True)
