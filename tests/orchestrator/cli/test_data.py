from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.data import commands

DOCUMENTS = [f"document {number} of a small corpus" for number in range(60)]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": document}) + "\n" for document in DOCUMENTS))
    return path


def prepare(lines: Path, root: Path, *more: object) -> Result:
    return run("prepare", "mine", "--text", lines, "--root", root, "--vocab", 290, "--val-fraction", 0.2, *more)


def test_prepare_check_and_list(lines: Path, tmp_path: Path) -> None:
    """A user prepares, prepares again, checks and lists; each says what is there and ends well."""
    root = tmp_path / "data"
    first, again = prepare(lines, root), prepare(lines, root)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "mine: prepared: " in first.stdout and "vocabulary 290" in first.stdout
    assert "mine: nothing to do: " in again.stdout
    check = run("check", "mine", "--root", root)
    assert check.exit_code == 0
    assert [line.split()[-1] for line in check.stdout.splitlines()[:2]] == ["ok", "ok"]
    listing = run("ls", "--root", root).stdout.splitlines()
    assert [line.split()[0] for line in listing] == ["dataset", "mine"]
    assert listing[1].endswith("1+1")


def test_check_tells_every_problem_and_exits_2(lines: Path, tmp_path: Path) -> None:
    """All broken shards are listed with what is wrong, and the exit code is 2."""
    root = tmp_path / "data"
    prepare(lines, root)
    for path in (root / "datasets" / "mine").glob("*.bin"):
        path.write_bytes(path.read_bytes()[:-2])
    result = run("check", "mine", "--root", root)
    assert result.exit_code == 2
    assert result.stdout.count("is truncated") == 2
    assert "error: 2 of 2 shards of mine are not usable" in result.stderr
    assert "is truncated" in run("ls", "--root", root).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "other"], "error: there is no text for other"),
        (["prepare", "mine", "--text", "absent.txt"], "error: absent.txt: there is no such file or folder"),
        (["prepare", "mine", "--text", "IN", "--vocab", "70000"], "error: the vocabulary must have 261 to 65536"),
        (["prepare", "a/b", "--text", "IN"], "error: a dataset's name"),
        (["check", "absent"], "error: {root}/datasets/absent: there is no dataset absent"),
        (["fetch", "sp7", "--train-shards", "1"], "error: the variant must be one of sp1024, sp4096, sp8192"),
        (["fetch", "sp1024", "--train-shards", "0"], "error: --train-shards must be at least 1"),
    ],
)
def test_errors_are_one_message_and_exit_2(arguments: list[str], message: str, lines: Path, tmp_path: Path) -> None:
    """Bad input gives one line on stderr, nothing on stdout, and exit code 2, no traceback."""
    root = tmp_path / "data"
    result = run(*(lines if argument == "IN" else argument for argument in arguments), "--root", root)
    assert result.exit_code == 2
    assert result.stderr.startswith(message.format(root=root))
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_folder_that_cannot_be_written_is_an_error(lines: Path, tmp_path: Path) -> None:
    """A data folder that is a file, or may not be written, is one message."""
    (tmp_path / "data").write_text("a file")
    result = prepare(lines, tmp_path / "data")
    assert result.exit_code == 2 and result.stderr.startswith("error: ")


def test_an_empty_folder_lists_nothing(tmp_path: Path) -> None:
    """A fresh user is told how to begin."""
    result = run("ls", "--root", tmp_path)
    assert result.exit_code == 0 and "frostline data prepare stdlib" in result.stderr


@pytest.mark.parametrize("command", ["prepare", "fetch", "check", "ls"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    """`--help` of each command ends with a line that can be typed."""
    result = run(command, "--help")
    assert result.exit_code == 0 and f"frostline data {command}" in result.stdout


def test_the_module_imports_nothing_heavy() -> None:
    """Loading the commands loads no numpy, sentencepiece, pyarrow or hub client."""
    heavy = {"numpy", "sentencepiece", "pyarrow", "huggingface_hub", "torch", "zstandard"}
    code = f"import sys, orchestrator.cli.data; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_data_modules_import_no_torch_or_pyarrow() -> None:
    """Reading and preparing data needs neither torch, ray nor pandas; pyarrow is for Parquet input alone."""
    heavy = {"torch", "ray", "pandas", "pyarrow", "huggingface_hub"}
    modules = "trainer.corpus.prepare, trainer.data.batches, trainer.data.token_bytes"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
