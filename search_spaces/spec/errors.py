"""SpecError: all problems of a sweep or trial file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from search_spaces.spec.problems import Problem, by_line, render_problems


class SpecError(ValueError):
    """A sweep or trial file is wrong; the text is one screen of `problems`, sorted by line."""

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems
        self.problems = by_line(list(problems))
        super().__init__(render_problems(self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[list[Problem]]]:
        return type(self), (self.problems,)
