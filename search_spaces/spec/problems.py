"""A problem of a sweep or trial file, and problems as text of one screen."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Protocol

Keys = tuple[str | int, ...]


class _Absent:
    """Stands for a value that has no part in a problem; there is one of it."""

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()

MAX_PROBLEMS_SHOWN = 20
MAX_LINES_SHOWN = 30
MAX_CHARACTERS_SHOWN = 60
MAX_HINT_REPEATED = 50
MAX_CHARACTERS_OF_LINE = 105


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong: at which keys, by which rule, with which value, and what to do about it.

    `line` is given by the reader that knows it; else the source looks it up by the keys.
    """

    rule: str
    keys: Keys = ()
    value: Any = ABSENT
    hint: str | None = None
    line: int | None = None


class Source(Protocol):
    """What knows where a key was written."""

    def place(self, keys: Keys, line: int | None = None) -> tuple[int, str]:
        """A number to sort by, and the place as text: `night.yaml:3`, or an argument of the command line."""
        ...


class SpecError(ValueError):
    """A sweep or trial file is wrong; the text is one screen of `problems`, sorted by line."""

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Sequence[Problem], source: Source) -> None:
        assert problems
        self.problems, self.source = list(problems), source
        super().__init__(render_problems(problems, source))

    def __reduce__(self) -> tuple[type[SpecError], tuple[list[Problem], Source]]:
        return type(self), (self.problems, self.source)


def render_problems(problems: Iterable[Problem], source: Source) -> str:
    """Problems as text, sorted by line, each once; beyond one screen their number. A long hint is given once."""
    placed = [(*source.place(problem.keys, problem.line), problem) for problem in problems]
    placed.sort(key=lambda entry: entry[0])
    texts = list(dict.fromkeys((f"{place}: {_text(problem)}", problem.hint) for _, place, problem in placed))
    lines: list[str] = []
    hints: set[str] = set()
    for index, (text, hint) in enumerate(texts):
        entry = _with_hint(text, None if hint in hints else hint).split("\n")
        if index == MAX_PROBLEMS_SHOWN or len(lines) + len(entry) > MAX_LINES_SHOWN:
            return "\n".join([*lines, f"… and {len(texts) - index} more"])
        lines += entry
        if hint is not None and len(hint) > MAX_HINT_REPEATED:
            hints.add(hint)
    return "\n".join(lines)


def _text(problem: Problem) -> str:
    """`key: rule, but got value`."""
    what = problem.rule if problem.value is ABSENT else f"{problem.rule}, but got {shown(problem.value)}"
    return ": ".join(part for part in (dotted(problem.keys), what) if part)


def _with_hint(text: str, hint: str | None) -> str:
    """On one line or, if that is long, two; the file's name has no part in this."""
    if hint is None:
        return text
    length = len(text.partition(": ")[2]) - len(": ") + len(hint)
    return f"{text}{'; ' if length < MAX_CHARACTERS_OF_LINE else chr(10) + '    '}{hint}"


def nearest(word: object, known: Iterable[object]) -> str | None:
    """The known word that `word` was most likely meant to be, if any is near."""
    by_folded = {str(candidate).casefold(): str(candidate) for candidate in known}
    # difflib takes a second for words of a megabyte; nothing that long is a misspelling.
    near = difflib.get_close_matches(str(word)[:100].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def did_you_mean(word: object, known: Iterable[object]) -> str | None:
    """The nearest right spelling as a question, if any is near."""
    near = nearest(word, known)
    return None if near is None else f"did you mean {near}?"


def shown(value: Any) -> str:
    """A value as short printable text for a message."""
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    # Only the beginning is ever shown: what a long value looks like must not cost more than that.
    if isinstance(value, dict):
        items = (f"{printable(str(key))}: {shown(item)}" for key, item in list(value.items())[:MAX_CHARACTERS_SHOWN])
        return _shortened("{" + ", ".join(items) + "}")
    if isinstance(value, list | tuple):
        return _shortened("[" + ", ".join(shown(item) for item in value[:MAX_CHARACTERS_SHOWN]) + "]")
    if isinstance(value, int) and abs(value) >= 10**MAX_CHARACTERS_SHOWN:  # Python refuses to print very long ones
        return f"a whole number of over {MAX_CHARACTERS_SHOWN} digits"
    return _shortened(repr(value[: 2 * MAX_CHARACTERS_SHOWN]) if isinstance(value, str) else repr(value))


def plain(value: Any) -> str:
    """A value as it is written in YAML where no quotes are needed."""
    return value if isinstance(value, str) else shown(value)


def printable(text: str) -> str:
    """Text of a key or a file name, safe for a terminal."""
    return text if text.isprintable() else repr(text)[1:-1]


def dotted(keys: Keys) -> str:
    """Keys as users write them: `space.model.choice[2].dim`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{_shortened(printable(key))}" for key in keys)
    return text.removeprefix(".")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS_SHOWN else text[: MAX_CHARACTERS_SHOWN - 1] + "…"
