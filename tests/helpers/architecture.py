"""Reads the import graph and the sizes of the packages' code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGES = ("orchestrator", "search_spaces", "trainer", "results")


def modules(root: Path) -> dict[str, Path]:
    """Every module below the packages of `root`, by dotted name; a package's `__init__.py` by the package's name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, *, at_load: bool = False) -> set[str]:
    """Dotted names that a module imports; `at_load` leaves out what only functions and type checkers import."""
    names: set[str] = set()
    for node in _statements(ast.parse(path.read_text()), at_load):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _statements(tree: ast.Module, at_load: bool) -> Iterator[ast.AST]:
    if not at_load:
        yield from ast.walk(tree)
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def graph(found: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which modules each module imports, inside functions too."""
    return {name: {_module(target, found) for target in imports(path)} - {None, name} for name, path in found.items()}  # type: ignore[misc]


def _module(target: str, found: Mapping[str, Path]) -> str | None:
    """The module that an imported name is, or lies in; None outside the packages."""
    while target:
        if target in found:
            return target
        target = target.rpartition(".")[0]
    return None


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other in a circle (strongly connected components, Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(edges[name]):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            at = stack.index(name)
            group, stack[at:] = stack[at:], []
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found


def function_lengths(path: Path) -> dict[str, int]:
    """Lines of each function without its docstring, by name."""
    lengths = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, rest = node.body[0], node.body
            has_docstring = isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str)
            rest = node.body[1:] if has_docstring else rest
            start = rest[0].lineno if rest else node.end_lineno or 0
            signature = first.lineno - node.lineno
            lengths[f"{node.name}:{node.lineno}"] = (node.end_lineno or 0) - start + 1 + signature
    return lengths
