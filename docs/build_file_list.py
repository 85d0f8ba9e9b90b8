"""Writes the list of files in docs/ARCHITECTURE.md from the files' own first lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ARCHITECTURE.md"
FOLDERS = ("orchestrator", "search_spaces", "trainer", "results", "benchmarks", "docs")
HEADING = "## Every file in one line"
NOTE = "<!-- Generated from the files' first lines: make docs -->"


def render() -> str:
    """The text of the page with today's list."""
    text = PAGE.read_text(encoding="utf-8")
    return text[: text.index(HEADING)] + "\n".join([HEADING, "", NOTE, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    folders = [folder for name in FOLDERS for folder in (ROOT / name, *sorted((ROOT / name).rglob("*/")))]
    for folder in folders:
        files = sorted(path for path in folder.glob("*") if path.suffix in (".py", ".yaml"))
        if not files or "__pycache__" in folder.parts:
            continue
        init = folder / "__init__.py"
        yield ""
        yield f"### `{folder.relative_to(ROOT)}/`"
        yield ""
        if init.exists():
            yield first_line(init)
            yield ""
        yield "| file | |"
        yield "| --- | --- |"
        yield from (f"| `{path.name}` | {first_line(path)} |" for path in files if path != init)


def first_line(path: Path) -> str:
    """What a file says of itself: the first line of its docstring, or of its comment in YAML."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        lines = [line.lstrip("# ") for line in text.splitlines()]
        return next(line for line in lines if not line.startswith("yaml-language-server"))
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
