"""The errors that end a command with one message. Each has the exit code of the command it ends.

FrostlineError            1   anything that is not a mistake in this code
├── UsageError            2   a command was given something it cannot work with
├── InterruptedTrial    130   Ctrl-C ended a trial at its checkpoint
└── MachineError          3   a disk, the data or the cluster is at fault; the same command goes on

search_spaces.spec.problems.SpecError ends a command the same way: exit code 2, all problems of a file with their lines.
"""

from __future__ import annotations

import errno
from typing import ClassVar

# What a full, lost, read-only or broken disk says; a quota is one, too.
DISK_FAULTS = frozenset({errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.ESTALE, errno.ENODEV, errno.ENXIO})


class FrostlineError(Exception):
    """An error whose text is all a user needs; shown without a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(FrostlineError):
    """A command was given something it cannot work with: a folder that is no run, an address nobody answers."""

    exit_code: ClassVar[int] = 2


class InterruptedTrial(FrostlineError):
    """Ctrl-C ended a trial at its checkpoint."""

    exit_code: ClassVar[int] = 130


class MachineError(FrostlineError):
    """A disk, the data or the cluster is at fault. Nothing finished is lost, and the same command goes on."""

    exit_code: ClassVar[int] = 3
