"""What the code weighs that a cold process needs to score an artifact."""

from __future__ import annotations

import ast
import functools
import lzma
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
# Reading an artifact, the model it stands for, and its score; all else is reached from these.
ROOTS = ("artifact", "evaluate", "model")


@functools.cache
def code_bytes() -> int:
    """Bytes of frostline's own code that scoring an artifact in a fresh process needs, packed.

    The rule: the modules of the package `trainer` that are reached from `trainer.artifact`, `trainer.model` and
    `trainer.evaluate` by any import statement, inside functions too; each file whole, comments and all; their names
    and texts (UTF-8, line ends as LF) one after another in order of name; compressed with LZMA.

    The competition counts the UTF-8 bytes of `train_gpt.py` beside the compressed model and lets the code be wrapped
    in LZMA (parameter-golf README.md and train_gpt.py; PRs #1394 and #1412), but neither Python packages nor the
    tokenizer; the same here. Of such a script the training half would count there; here what only trains does not,
    while modules that serve both, such as packing, do.
    """
    return len(lzma.compress(archive(scoring_files()), preset=9 | lzma.PRESET_EXTREME))


def scoring_files() -> list[Path]:
    """The files that the rule of `code_bytes` names, sorted by name."""
    return [PACKAGE / f"{name}.py" for name in _modules_reached()]


def archive(paths: list[Path]) -> bytes:
    """Names, lengths and texts of files, one after another: the same bytes wherever and whenever they were written."""
    parts: list[bytes] = []
    for path in sorted(paths, key=lambda path: path.name):
        text = path.read_bytes().replace(b"\r\n", b"\n")
        parts.append(f"{PACKAGE.name}/{path.name} {len(text)}\n".encode() + text)
    return b"".join(parts)


def _modules_reached() -> list[str]:
    reached: set[str] = set()
    waiting = ["__init__", *ROOTS]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _imports((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    return sorted(reached)


def _imports(source: str) -> Iterator[str]:
    """Modules of this package that a source imports anywhere."""
    package = PACKAGE.name
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "modules of this package import each other by full name"
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in dotted:
            first, _, rest = name.partition(".")
            module = rest.partition(".")[0]
            # `from trainer.config import TrialConfig` and `from trainer import seeds` both name a module second
            if first == package and (PACKAGE / f"{module}.py").is_file():
                yield module
