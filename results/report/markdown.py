"""Markdown tables and escaping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table whose cells hold any text: pipes, line breaks and markup are escaped."""
    lines = [f"| {' | '.join(headers)} |", f"|{' --- |' * len(headers)}"]
    return [*lines, *(f"| {' | '.join(escape(str(cell)) for cell in row)} |" for row in rows), ""]


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    for mark in "\\`*_[]|#~$":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())
