"""A folder that is handed in: scored by itself in a fresh process, and refused when anything in it is not as it was."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from finished_run import finish_run
from s3_server import BUCKET, s3_server
from typer.testing import CliRunner

import results
from orchestrator.cli.main import app
from orchestrator.errors import UsageError
from orchestrator.submission import gather as gather_module
from orchestrator.submission.folder import check_new, contents
from orchestrator.submission.gather import SubmitOptions, gather
from results.analysis.replicate_groups import to_rows
from trainer.artifact.code_size import code_bytes, packed_bytes, scoring_files
from trainer.recipes.variants import RECIPES

EVERY_RECIPE: dict[str, Any] = {
    "space": {"recipe": {"choice": list(RECIPES)}},
    "cases": [
        {"when": {"recipe": "full_adapter"}, "space": {"adapter.rank": {"choice": [4]}}},
        {
            "when": {"recipe": "low_rank"},
            "space": {"model.mlp": {"choice": ["gelu"]}, "low_rank.rank": {"choice": [4]}},
        },
        {"when": {"recipe": "distill"}, "space": {"distill.teacher_steps": {"choice": [3]}}},
    ],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """A run of two recipes and two seeds, scored with a sliding window too."""
    root = tmp_path_factory.mktemp("submission")
    space = {"recipe": {"choice": ["baseline", "selective"]}, "eval.stride": {"choice": [8]}}
    return finish_run(root, data_root, space=space, train={"steps": 6})


@pytest.fixture(scope="module")
def handed_in(run: Path, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one trial, written by the command line."""
    folder = tmp_path_factory.mktemp("out") / "selective"
    done = submit(run, "selective-1L32d-s1", folder, data_root, "--author", "A. Nobody", "--name", "Frozen gates")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def copy(handed_in: Path, tmp_path: Path) -> Path:
    """The folder, where a test may spoil it."""
    return shutil.copytree(handed_in, tmp_path / "copy")


def submit(run: Path | str, trial: str | None, folder: Path, data_root: Path, *options: str) -> Any:
    named = [] if trial is None else [trial]
    command = ["submit", str(run), *named, "--out", str(folder), "--data-root", str(data_root), *options]
    return CliRunner().invoke(app, command)


def score(folder: Path, data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`score.py` as a stranger runs it: from elsewhere, with no path to this repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, str(folder / "score.py"), "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)


def shards(data_root: Path) -> Path:
    return data_root / "datasets" / "tiny"


def row_of(run: Path, begin: str) -> Any:
    """The row of the lowest seed, as plain values."""
    rows = [row for row in to_rows(results.load(run).trials) if row["trial_id"].startswith(begin)]
    return SimpleNamespace(**min(rows, key=lambda row: row["seed"]))


def test_the_folder_alone_gives_the_rows_digits(handed_in: Path, run: Path, data_root: Path) -> None:
    """In a fresh process, from another folder, score.py prints the row's ce and bpb, in blocks and sliding."""
    done, row = score(handed_in, shards(data_root)), row_of(run, "selective")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ce {row.ce!r} nats per token" in done.stdout and f"bpb {row.bpb!r} bits per byte" in done.stdout
    assert f"ce_sliding {row.ce_sliding!r}" in done.stdout
    assert "submission.json says the same, to the last digit" in done.stdout
    assert not list(handed_in.rglob("__pycache__"))


def test_only_code_of_the_folder_is_loaded(handed_in: Path, data_root: Path) -> None:
    """What is imported of `trainer` lies in the folder, and nothing that checks or shows is loaded by it."""
    code = (
        f"import sys; sys.path.insert(0, {str(handed_in)!r}); import trainer.scoring.submission, score\n"
        "ours = [m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] in ('trainer', 'orchestrator')]\n"
        "print(*ours); print('pydantic' in sys.modules, 'rich' in sys.modules, 'pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    files, loaded = done.stdout.splitlines()
    assert len(files.split()) > 20 and all(Path(file).is_relative_to(handed_in) for file in files.split())
    assert loaded == "False False False"


def test_the_code_is_what_the_row_counted(handed_in: Path, run: Path) -> None:
    """By the rule, the Python files of the folder have exactly the row's `code_bytes`; so says the README's program."""
    files = {path.relative_to(handed_in).as_posix(): path for path in handed_in.rglob("*.py")}
    assert files.keys() == scoring_files().keys()
    assert packed_bytes(files) == code_bytes() == row_of(run, "selective").code_bytes
    [program] = re.findall(r"```python\n(.*?)```", (handed_in / "README.md").read_text(), re.S)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=handed_in)
    assert int(done.stdout) == code_bytes()


def test_the_figures_are_those_of_the_competition(handed_in: Path, run: Path) -> None:
    """submission.json has the keys of parameter-golf's records with the row's figures; bytes are those of the files."""
    said, row = json.loads((handed_in / "submission.json").read_text()), row_of(run, "selective")
    assert list(said)[:9] == [
        *("author", "github_id", "name", "blurb", "date", "val_loss", "val_bpb", "bytes_total", "bytes_code")
    ]
    assert (said["val_loss"], said["val_bpb"], said["bytes_total"]) == (row.ce, row.bpb, row.total_bytes)
    assert said["bytes_total"] == (handed_in / "artifact.frost").stat().st_size + said["bytes_code"]
    assert (said["author"], said["name"], said["github_id"]) == ("A. Nobody", "Frozen gates", "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["date"])


def test_the_readme_says_what_it_compares_with(handed_in: Path, run: Path) -> None:
    """The page has the row's digits, the control with its difference, the other seed and the data."""
    page, row = (handed_in / "README.md").read_text(), row_of(run, "selective")
    assert page.startswith("# Frozen gates\n") and repr(row.ce) in page and repr(row.bpb) in page
    control = page.partition("## Against its control")[2].partition("##")[0]
    assert "paired by seed: " in control and "| 2 |" in control
    assert "| 1 (this one) | CPU |" in page and "| 2 | CPU |" in page
    assert "## Confirmed?\n\nNo." in page
    assert row.data_sha256 in page and "tiny_val_000000.bin" in page and row.artifact_sha256 in page


def test_requirements_are_what_the_code_imports(handed_in: Path) -> None:
    """Exactly the distributions that the files of the folder import, each pinned to a public version."""
    lines = (handed_in / "requirements.txt").read_text().splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert names == ["brotli", "numpy", "sentencepiece", "torch", "zstandard"]
    assert all(re.fullmatch(r"[a-z]+==\d[\w.]*", line) for line in lines)


def test_sha256sum_finds_all_files_whole(handed_in: Path) -> None:
    """SHA256SUMS is what `sha256sum --check` reads, and names every file but the two that are filled in by hand."""
    sums = dict(line.split("  ")[::-1] for line in (handed_in / "SHA256SUMS").read_text().splitlines())
    files = {path.relative_to(handed_in).as_posix() for path in handed_in.rglob("*") if path.is_file()}
    assert files - sums.keys() == {"SHA256SUMS", "README.md", "submission.json"}
    assert all(hashlib.sha256((handed_in / name).read_bytes()).hexdigest() == sums[name] for name in sums)


@pytest.mark.parametrize("name", ["artifact.frost", "tokenizer.model", "trainer/model/gpt.py", "data.sha256"])
def test_a_flipped_byte_is_one_line(name: str, copy: Path, data_root: Path) -> None:
    """A change of one byte of the artifact, the tokenizer, the code or the list of data: named, exit code 2."""
    rng, content = np.random.default_rng(0), (copy / name).read_bytes()
    for place in rng.integers(0, len(content), 2):
        bad = bytearray(content)
        bad[place] ^= int(rng.integers(1, 256))
        (copy / name).write_bytes(bad)
        done = score(copy, shards(data_root))
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(rf"error: \S*/{re.escape(name)} is damaged, or another file: its SHA-256 .*\n", done.stderr)


def test_the_artifact_has_a_seal_of_its_own(copy: Path, data_root: Path) -> None:
    """Where somebody has brought the list up to date, the artifact still says that it is damaged."""
    path, content = copy / "artifact.frost", bytearray((copy / "artifact.frost").read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refresh(copy)
    done = score(copy, shards(data_root))
    assert done.returncode == 2 and done.stderr.endswith(
        "artifact.frost is damaged: its SHA-256 is not the one in its header\n"
    )


def refresh(folder: Path) -> None:
    """Write SHA256SUMS anew."""
    names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    sums = "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums)


@pytest.mark.parametrize("name", ["artifact.frost", "trainer/recipes/variants.py", "SHA256SUMS", "submission.json"])
def test_a_missing_file_is_one_line(name: str, copy: Path, data_root: Path) -> None:
    """Whatever is missing is named, without a traceback, exit code 2."""
    (copy / name).unlink()
    done = score(copy, shards(data_root))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith("error: ") and name in done.stderr


def test_other_data_are_named(handed_in: Path, copy: Path, data_root: Path, tmp_path: Path) -> None:
    """A missing shard, another shard of the same name, and a list that was changed to fit it are refused."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert score(handed_in, empty).stderr == f"error: {empty}/tiny_val_000000.bin is missing\n"
    content = bytearray((shards(data_root) / "tiny_val_000000.bin").read_bytes())
    content[-2] ^= 1
    (empty / "tiny_val_000000.bin").write_bytes(content)
    done = score(handed_in, empty)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {empty}/tiny_val_000000.bin is damaged, or another")
    text = (copy / "data.sha256").read_text()
    before = re.search(r"(\w+)  tiny_val_000000.bin", text)
    assert before is not None
    (copy / "data.sha256").write_text(text.replace(before[1], hashlib.sha256(content).hexdigest()))
    refresh(copy)
    done = score(copy, empty)
    assert (done.returncode, done.stderr) == (
        2,
        "error: data.sha256 does not list the data that the artifact was trained and scored on\n",
    )


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("val_loss", -0.1, 1),
        ("val_loss", 1e-7, 0),
        ("val_bpb", 0.1, 1),
        ("val_loss", math.nan, 1),
        ("bytes_total", 1, 1),
    ],
)
def test_a_figure_that_was_not_handed_in(copy: Path, data_root: Path, name: str, change: float, code: int) -> None:
    """One in submission.json that the artifact does not have ends with exit code 1, and is named."""
    said = json.loads((copy / "submission.json").read_text())
    (copy / "submission.json").write_text(json.dumps({**said, name: said[name] + change}))
    done = score(copy, shards(data_root))
    assert done.returncode == code and f"submission.json says {name} " in done.stdout


@pytest.mark.parametrize("name", ["json.py", "torch/__init__.py", "trainer/artifact/decode/__init__.py"])
def test_code_that_is_not_listed_is_refused(copy: Path, data_root: Path, name: str) -> None:
    """Python would load it instead of what is counted."""
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("")
    done = score(copy, shards(data_root))
    assert done.returncode == 2 and f"{name} is not in SHA256SUMS: remove it" in done.stderr


def test_a_device_that_is_not_here(copy: Path, data_root: Path) -> None:
    """A model that was scored on a card is not scored on something else in silence, but is where that is asked for."""
    said = json.loads((copy / "submission.json").read_text())
    (copy / "submission.json").write_text(json.dumps({**said, "device": "cuda"}))
    if not torch.cuda.is_available():
        done = score(copy, shards(data_root))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1) and "needs CUDA" in done.stderr
    assert "the same, to the last digit" in score(copy, shards(data_root), "--device", "cpu").stdout


def test_the_text_behind_the_validation_tokens(handed_in: Path, data_root: Path) -> None:
    """--test also scores as many tokens as follow those of the search, as confirmation does."""
    done = score(handed_in, shards(data_root), "--test")
    assert done.returncode == 0 and re.search(r"^ce_test \d\.\d+ nats per token$", done.stdout, re.M)


def test_the_best_is_taken_by_default(run: Path, data_root: Path, tmp_path: Path) -> None:
    """Without a trial, the config of least mean CE on the front is taken, with its lowest seed, and named."""
    trials = results.load(run).trials
    best = trials.groupby("config_id").ce.mean().idxmin()
    expected = trials[(trials.config_id == best) & (trials.seed == 1)].trial_id.iloc[0]
    done = submit(run, None, tmp_path / "out", data_root)
    assert done.exit_code == 0
    assert done.output.startswith(f"{expected} (the config of least CE on the front, its lowest seed)\n")
    assert "fill in author and github_id in" in done.output


def refusal(run: Path | str, trial: str | None, out: Path, data_root: Path, **options: Any) -> str:
    """Why nothing is handed in; nothing was written."""
    with pytest.raises(UsageError) as caught:
        check_new(out)
        gather(str(run), SubmitOptions(trial=trial, data_root=data_root, **options))
    return str(caught.value)


def test_mistakes_are_told_before_anything_is_written(run: Path, data_root: Path, tmp_path: Path) -> None:
    """No such trial (with the nearest), several, no run, over the limit, other data or artifact, a full folder."""
    out, row = tmp_path / "out", row_of(run, "selective")
    near = refusal(run, "selectiv-1L32d", out, data_root)
    assert near.startswith("there is no trial selectiv-1L32d; did you mean selective-1L32d-s")
    assert "2 trials begin with selective-1L32d: " in refusal(run, "selective-1L32d", out, data_root)
    assert "does not exist" in refusal(tmp_path / "absent", None, out, data_root)
    over = refusal(run, row.trial_id, out, data_root, limit_bytes=int(row.total_bytes) - 1)
    assert f"has {row.total_bytes:,} bytes with its code, 1 over the limit of {row.total_bytes - 1:,}" in over
    assert "there is no dataset tiny" in refusal(run, row.trial_id, out, tmp_path)
    other = run / "trials" / row_of(run, "baseline").trial_id / "artifact.frost"
    assert f"is not the artifact of {row.trial_id}" in refusal(run, row.trial_id, out, data_root, artifact=other)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "exists and is not empty" in refusal(run, row.trial_id, tmp_path / "full", data_root)
    done = submit(run, row.trial_id, tmp_path / "full", data_root)
    assert isinstance(done.exception, UsageError) and done.exception.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_a_trial_that_has_not_completed(run: Path, data_root: Path, tmp_path: Path) -> None:
    """A trial that diverged has nothing to hand in: its status and reason are told."""
    changed = shutil.copytree(run, tmp_path / "run")
    [path] = (changed / "tables" / "trials").glob("*.parquet")
    trials = results.load(run).trials
    trials["status"], trials["error"] = "diverged", "loss is nan"
    trials.to_parquet(path)
    said = refusal(changed, trials.trial_id[0], tmp_path / "out", data_root)
    assert said.endswith("is diverged (loss is nan): only a completed trial has an artifact to hand in")
    assert "name the TRIAL to hand in" in refusal(changed, None, tmp_path / "out", data_root)


def test_an_artifact_that_was_not_kept(run: Path, data_root: Path, tmp_path: Path) -> None:
    """The way to get it again is told, and a file from elsewhere is taken if it is the row's."""
    changed, row = shutil.copytree(run, tmp_path / "run"), row_of(run, "selective")
    moved = (changed / "trials" / row.trial_id / "artifact.frost").rename(tmp_path / "again.frost")
    said = refusal(changed, row.trial_id, tmp_path / "out", data_root)
    assert f"`frostline replay {changed} {row.trial_id} --out FOLDER` trains it again" in said
    taken = gather(str(changed), SubmitOptions(trial=row.trial_id, data_root=data_root, artifact=moved))
    assert hashlib.sha256(taken.artifact).hexdigest() == row.artifact_sha256


def test_code_of_another_version(run: Path, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that is not what the row was counted with is refused, be it of the same size; or counted again if asked."""
    row = row_of(run, "selective")
    monkeypatch.setattr(gather_module, "code_sha256", lambda: "ab" * 32)
    said = refusal(run, row.trial_id, tmp_path / "out", data_root)
    assert f"was counted with other code than is installed here ({row.code_bytes:,} bytes" in said
    monkeypatch.setattr(gather_module, "code_bytes", lambda: 12_345)
    taken = gather(str(run), SubmitOptions(trial=row.trial_id, data_root=data_root, recounts=True))
    page = contents(taken)["README.md"].decode()
    assert taken.as_json()["bytes_total"] == row.artifact_bytes + 12_345
    assert f"The run counted {row.code_bytes:,} bytes of code" in page


def test_a_run_in_an_object_store(
    run: Path, handed_in: Path, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From s3:// the same files are handed in; a missing artifact is told as of a folder."""
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        client, row = server.client(), row_of(run, "selective")
        for path in run.rglob("*"):
            if path.is_file():
                client.put_object(Bucket=BUCKET, Key=f"runs/a/{path.relative_to(run)}", Body=path.read_bytes())
        uri = f"s3://{BUCKET}/runs/a"
        taken = gather(uri, SubmitOptions(trial=row.trial_id, data_root=data_root))
        assert contents(taken)["SHA256SUMS"] == (handed_in / "SHA256SUMS").read_bytes()
        client.delete_object(Bucket=BUCKET, Key=f"runs/a/trials/{row.trial_id}/artifact.frost")
        assert f"is not in {uri}" in refusal(uri, row.trial_id, tmp_path / "out", data_root)


@pytest.mark.slow
def test_every_recipe_is_handed_in_and_scores_itself(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Adapters, ensembles, distilled and progressive models: each folder alone gives its row's digits."""
    root = tmp_path_factory.mktemp("recipes")
    run = finish_run(root, data_root, seeds=[1], train={"steps": 6}, **EVERY_RECIPE)
    rows = to_rows(results.load(run).trials)
    assert [row["status"] for row in rows] == ["completed"] * len(RECIPES)
    for row in rows:
        folder = root / row["recipe"]
        assert submit(run, row["trial_id"], folder, data_root).exit_code == 0
        done = score(folder, shards(data_root))
        assert (done.returncode, done.stderr) == (0, "")
        assert f"ce {row['ce']!r} nats" in done.stdout and "the same, to the last digit" in done.stdout


@pytest.mark.slow
def test_an_empty_environment_is_enough(handed_in: Path, data_root: Path, tmp_path: Path) -> None:
    """A new environment with requirements.txt alone scores the folder: nothing else is needed. Installs torch."""
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", handed_in / "requirements.txt"]
    subprocess.run(install, check=True, timeout=280)
    done = subprocess.run(
        [python, handed_in / "score.py", "--data", shards(data_root)], capture_output=True, text=True, cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "submission.json says the same, to the last digit" in done.stdout
