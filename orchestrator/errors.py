"""The errors that end a command with one message. Each has the exit code of the command it ends.

FrostlineError            1   anything that is not a mistake in this code
└── UsageError            2   a command was given something it cannot work with

search_spaces.spec.problems.SpecError ends a command the same way: exit code 2, all problems of a file with their lines.
"""

from __future__ import annotations

from typing import ClassVar


class FrostlineError(Exception):
    """An error whose text is all a user needs; shown without a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(FrostlineError):
    """A command was given something it cannot work with: a folder that is no run, an address nobody answers."""

    exit_code: ClassVar[int] = 2
