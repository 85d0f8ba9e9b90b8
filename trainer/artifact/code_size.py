"""Code bytes: the compressed size of the code that scoring an artifact needs."""

from __future__ import annotations

import ast
import functools
import hashlib
import lzma
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# The script that scores an artifact; all else is reached from it. A submission has it at the top of its folder.
SCRIPT, SCRIPT_NAME = PACKAGE / "scoring" / "score.py", "score.py"


@functools.cache
def code_bytes() -> int:
    """Bytes of frostline's own code that scoring an artifact in a fresh process needs, packed.

    The rule: `score.py`, and the modules of the package `trainer` that are reached from it by any import statement,
    inside functions too, with the `__init__.py` of their folders; each file whole, comments and all; their paths and
    texts (UTF-8, line ends as LF) one after another in order of path; compressed with LZMA.

    The competition counts the UTF-8 bytes of `train_gpt.py` beside the compressed model and lets the code be wrapped
    in LZMA (parameter-golf README.md and train_gpt.py; PRs #1394 and #1412), but neither Python packages nor the
    tokenizer; the same here. Of such a script the training half would count there; here what only trains or packs
    does not, while modules that serve both, such as `codecs.py`, do.
    """
    return packed_bytes(scoring_files())


def packed_bytes(files: Mapping[str, Path]) -> int:
    """Bytes of these files by the rule of `code_bytes`."""
    return len(lzma.compress(archive(files), preset=9 | lzma.PRESET_EXTREME))


@functools.cache
def code_sha256() -> str:
    """SHA-256 of what `code_bytes` counts, before compression: two versions may have the same size."""
    return hashlib.sha256(archive(scoring_files())).hexdigest()


def scoring_files() -> dict[str, Path]:
    """The files that the rule of `code_bytes` names, by their path in a submission, sorted by it."""
    reached: set[Path] = set()
    waiting = list(_imported_files(SCRIPT.read_text(encoding="utf-8")))
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting += _imported_files(file.read_text(encoding="utf-8"))
    assert SCRIPT not in reached, "a script that is imported would be counted twice"
    names = {file.relative_to(PACKAGE.parent).as_posix(): file for file in reached}
    return dict(sorted({**names, SCRIPT_NAME: SCRIPT}.items()))


def archive(files: Mapping[str, Path]) -> bytes:
    """Paths, lengths and texts of files, one after another: the same bytes wherever and whenever they were written."""
    parts: list[bytes] = []
    for path, file in sorted(files.items()):
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
