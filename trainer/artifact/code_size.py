"""Code bytes: the compressed size of the code that scoring an artifact needs."""

from __future__ import annotations

import ast
import functools
import lzma
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Reading an artifact, the model it stands for, and its score; all else is reached from these.
ROOTS = ("trainer.artifact.read", "trainer.evaluate", "trainer.model.gpt")


@functools.cache
def code_bytes() -> int:
    """Bytes of frostline's own code that scoring an artifact in a fresh process needs, packed.

    The rule: the modules of the package `trainer` that are reached from `ROOTS` by any import statement, inside
    functions too, and the `__init__.py` of their folders; each file whole, comments and all; their paths and texts
    (UTF-8, line ends as LF) one after another in order of path; compressed with LZMA.

    The competition counts the UTF-8 bytes of `train_gpt.py` beside the compressed model and lets the code be wrapped
    in LZMA (parameter-golf README.md and train_gpt.py; PRs #1394 and #1412), but neither Python packages nor the
    tokenizer; the same here. Of such a script the training half would count there; here what only trains or packs
    does not, while modules that serve both, such as `payload.py`, do.
    """
    return len(lzma.compress(archive(scoring_files()), preset=9 | lzma.PRESET_EXTREME))


def scoring_files() -> list[Path]:
    """The files that the rule of `code_bytes` names, sorted by path."""
    reached: set[Path] = set()
    waiting = [file for root in ROOTS for file in _files_of(root)]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting += _imported_files(file.read_text(encoding="utf-8"))
    return sorted(reached)


def archive(files: list[Path]) -> bytes:
    """Paths, lengths and texts of files, one after another: the same bytes wherever and whenever they were written."""
    parts: list[bytes] = []
    for path, file in sorted((file.relative_to(PACKAGE.parent).as_posix(), file) for file in files):
        text = file.read_bytes().replace(b"\r\n", b"\n")
        parts.append(f"{path} {len(text)}\n".encode() + text)
    return b"".join(parts)


def _imported_files(source: str) -> Iterator[Path]:
    """Files of this package that a source imports anywhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "modules of this package import each other by full name"
            # `from trainer.config.trial import TrialConfig` names a class last, `from trainer.frozen import x` a module
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield from _files_of(name)


def _files_of(dotted: str) -> Iterator[Path]:
    """The files that importing a dotted name loads: each folder's `__init__.py` on the way, and the module itself."""
    package, *parts = dotted.split(".")
    if package != PACKAGE.name:
        return
    at = PACKAGE
    yield at / "__init__.py"
    for part in parts:
        if (at / f"{part}.py").is_file():
            yield at / f"{part}.py"
            return
        if not (at / part / "__init__.py").is_file():
            return  # the rest of the name is no module
        at = at / part
        yield at / "__init__.py"
