"""The Python packages that code imports, pinned to the versions of this environment."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path


def requirements(files: Iterable[Path], own: frozenset[str]) -> list[str]:
    """`name==version` of every distribution that the files import anywhere, by name.

    The standard library and the packages `own` are no requirements. Of a local version (`2.13.0+cpu`) the public part
    is pinned: which build of it fits is the machine's affair.
    """
    imported = {name for file in files for name in _imported(file)} - own - sys.stdlib_module_names
    known = packages_distributions()
    names = {distribution for name in imported for distribution in known.get(name, [name])}
    return [f"{name}=={version(name).partition('+')[0]}" for name in sorted(names, key=str.lower)]


def _imported(file: Path) -> Iterator[str]:
    """Top-level names that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
