"""The command that ends a machine: read from one line without a shell, and run once."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import string
import subprocess
from collections.abc import Callable, Mapping, Sequence

from orchestrator.errors import MachineError, UsageError

SECONDS_TO_RUN = 600.0
VARIABLE = re.compile(r"\$(\w+|\{\w+\})")

Say = Callable[[str], None]


def stop_arguments(text: str, environment: Mapping[str, str]) -> list[str]:
    """The command as a list of arguments. `$NAME` and `${NAME}` are taken from the environment where it has them.

    Better an error now than a machine that cannot end itself at night.

    Raises:
        UsageError: if its quotes do not fit, no such program is there, or an argument is a variable that is not set.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--stop-command {text!r} cannot be read ({error}): look at its quotes") from error
    if not words:
        raise UsageError("--stop-command is empty: give the command that ends this machine, or leave the option out")
    arguments = [string.Template(word).safe_substitute(environment) for word in words]
    unset = [one for one in arguments if VARIABLE.fullmatch(one)]
    if unset:
        raise UsageError(f"--stop-command {text!r}: {', '.join(unset)} is not set in the environment of this process")
    if shutil.which(arguments[0]) is None:
        raise UsageError(f"--stop-command {text!r}: there is no program {arguments[0]} on this machine")
    return arguments


def run_stop_command(command: Sequence[str], facts: Mapping[str, str], say: Say) -> int:
    """Run it once, within ten minutes; the exit code of this process: 0, or 3 if it failed, as the machine stays."""
    try:
        done = subprocess.run(command, env={**os.environ, **facts}, check=False, timeout=SECONDS_TO_RUN)
        problem = f"exit code {done.returncode}" if done.returncode else ""
    except (OSError, subprocess.SubprocessError) as error:
        problem = str(error)
    if not problem:
        return 0
    say(f"the command failed, and is not run again ({problem}): this machine still runs, and may cost money; stop it")
    return MachineError.exit_code
