"""One problem of a file as a value, and problems as text of one screen."""

from __future__ import annotations

import dataclasses
from typing import Any

Keys = tuple[str | int, ...]

MAX_PROBLEMS_SHOWN = 20
MAX_LINES_SHOWN = 30
MAX_CHARACTERS_SHOWN = 60
MAX_HINT_REPEATED = 50
MAX_CHARACTERS_OF_LINE = 105


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong in a file: where, by which rule, with which value, and what to do about it."""

    file: str
    line: int | None
    key: str
    rule: str
    value: str | None = None
    hint: str | None = None

    def render(self) -> str:
        """`file:line: key: rule, but got value; hint`, on one line or, if that is long, two."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        what = self.rule if self.value is None else f"{self.rule}, but got {self.value}"
        text = ": ".join(part for part in (place, self.key, what) if part)
        if self.hint is None:
            return text
        # The name of the file has no part in this, so that a file gives the same lines wherever it lies.
        separator = "; " if len(self.key) + len(what) + len(self.hint) < MAX_CHARACTERS_OF_LINE else "\n    "
        return f"{text}{separator}{self.hint}"


def by_line(problems: list[Problem]) -> list[Problem]:
    """Problems in the order of their lines, each once."""
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0)


def render_problems(problems: list[Problem]) -> str:
    """Problems as text of one screen, the rest as a number; a long hint is given once."""
    lines: list[str] = []
    hints: set[str] = set()
    for index, problem in enumerate(problems):
        known = problem.hint in hints
        text = (dataclasses.replace(problem, hint=None) if known else problem).render().split("\n")
        if index == MAX_PROBLEMS_SHOWN or len(lines) + len(text) > MAX_LINES_SHOWN:
            return "\n".join([*lines, f"… and {len(problems) - index} more"])
        lines += text
        if problem.hint is not None and len(problem.hint) > MAX_HINT_REPEATED:
            hints.add(problem.hint)
    return "\n".join(lines)


def shown(value: Any) -> str:
    """A value as short printable text for a message."""
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    # Only the beginning is ever shown: what a long value looks like must not cost more than that.
    if isinstance(value, dict):
        items = (f"{key}: {shown(item)}" for key, item in list(value.items())[:MAX_CHARACTERS_SHOWN])
        return _shortened("{" + ", ".join(items) + "}")
    if isinstance(value, list | tuple):
        return _shortened("[" + ", ".join(shown(item) for item in value[:MAX_CHARACTERS_SHOWN]) + "]")
    return _shortened(repr(value[: 2 * MAX_CHARACTERS_SHOWN]) if isinstance(value, str) else repr(value))


def printable(text: str) -> str:
    """Text of a key or a file name, safe for a terminal."""
    return text if text.isprintable() else repr(text)[1:-1]


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS_SHOWN else text[: MAX_CHARACTERS_SHOWN - 1] + "…"


def dotted(keys: Keys) -> str:
    """Keys as people write them: `space.model.choice[2].dim`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{_shortened(printable(key))}" for key in keys)
    return text.removeprefix(".")
