"""Every exception of frostline that a user meets, drawn once. Each knows the exit code of the command it ends.

FrostlineError            1   anything that is not a mistake in this code
├── SpecError             2   a sweep or trial file is wrong: all its problems, with their lines
└── UsageError            2   a command was given something it cannot work with
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from search_spaces.problem import Problem, by_line, render_problems


class FrostlineError(Exception):
    """An error whose text is all a user needs; shown without a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(FrostlineError):
    """A command was given something it cannot work with: a folder that is no run, an address nobody answers."""

    exit_code: ClassVar[int] = 2


class SpecError(FrostlineError):
    """A sweep or trial file is wrong; the text is one screen of `problems`, sorted by line."""

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems
        self.problems = by_line(list(problems))
        super().__init__(render_problems(self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[list[Problem]]]:
        return type(self), (self.problems,)
