from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

from trainer.artifact.code_size import PACKAGE, SCRIPT, _imported_files, archive, code_bytes, scoring_files

ROOT = PACKAGE.parent
SHOW = "from trainer.artifact.code_size import code_bytes; print(code_bytes())"
# What scores a submission, and what of the package that loaded.
LOAD = (
    "import sys, trainer.scoring.submission\n"
    "print(*sorted(module.__file__ for name, module in sys.modules.items() if name.split('.')[0] == 'trainer'))"
)


def shown(code: str, folder: Path, package_root: Path = ROOT) -> str:
    environment = {**os.environ, "PYTHONPATH": str(package_root)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=environment)
    return done.stdout.strip()


def test_everything_that_scoring_loads_is_counted() -> None:
    """A process that imports what reads and scores loads no module of ours that is not counted; trainers are not."""
    counted = {str(path) for path in scoring_files().values()}
    assert set(shown(LOAD, ROOT).split()) == counted - {str(SCRIPT)}
    names = {name.removeprefix("trainer/") for name in scoring_files()}
    assert {"artifact/decode.py", "config/shape.py", "data/token_bytes.py", "scoring/evaluate.py"} <= names
    assert {"__init__.py", "model/__init__.py", "model/gpt.py", "recipes/variants.py", "frozen/random_maps.py"} <= names
    assert not names & {"artifact/pack.py", "artifact/read.py", "artifact/code_size.py", "config/trial.py", "run.py"}
    assert not any(name.startswith(("training/", "corpus/")) for name in names)


def test_scoring_needs_few_packages() -> None:
    """The code that is counted imports torch, numpy, two compressors and the tokenizer's library; nothing that checks
    or shows."""
    imported = {name for path in scoring_files().values() for name in packages(path)}
    assert imported - sys.stdlib_module_names == {"brotli", "numpy", "sentencepiece", "torch", "trainer", "zstandard"}


def packages(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in plain | {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}}


def test_the_same_from_anywhere_at_any_time(tmp_path: Path) -> None:
    """Working directory, place and time of the files, and line ends do not change the count; a comment does."""
    copy = tmp_path / "elsewhere" / "trainer"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        os.utime(path, (0, 0))
    assert shown(SHOW, tmp_path) == shown(SHOW, tmp_path, copy.parent) == str(code_bytes())
    (copy / "scoring/evaluate.py").write_text(
        (PACKAGE / "scoring/evaluate.py").read_text() + "\n# Zyxwvutsrq 0123456789!\n"
    )
    assert int(shown(SHOW, tmp_path, copy.parent)) > code_bytes()


def test_size_is_plausible() -> None:
    """Packed code is a small part of its files, and far from nothing."""
    raw_bytes = sum(path.stat().st_size for path in scoring_files().values())
    assert 10_000 < code_bytes() < raw_bytes / 2
    assert archive(scoring_files()) == archive(dict(reversed(scoring_files().items())))


def test_imports_of_every_form_are_found() -> None:
    """Both forms of import count, at the top or in a function, and the folders on the way; other packages do not."""
    source = (
        "import trainer.frozen.random_maps as r, numpy\nfrom trainer.artifact import payload, missing\n"
        "from trainer.config.trial import TrialConfig\nfrom numpy import trainer\n"
        "def f():\n    from trainer.recipes.weight_storage import Stored\n"
    )
    files = {path.relative_to(PACKAGE).as_posix() for path in _imported_files(source)}
    folders = {f"{name}__init__.py" for name in ("", "artifact/", "config/", "frozen/", "recipes/")}
    modules = {"artifact/payload.py", "config/trial.py", "frozen/random_maps.py", "recipes/weight_storage.py"}
    assert files == folders | modules
