"""The token of a cluster: a file that only its owner can read. Who has it may run code on every node."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from orchestrator.errors import UsageError

NUM_BYTES = 32


def new_token() -> str:
    """A random token, 64 hexadecimal digits."""
    return secrets.token_hex(NUM_BYTES)


def checked_token_file(path: Path) -> Path:
    """The absolute path of a token file that can be read and holds a token.

    Ray itself ends with an internal error where it cannot read the file.

    Raises:
        UsageError: if it is missing, empty, of another form, or not readable.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such token file; make one with: frostline cluster token > {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        who = f"user {os.getuid()}"
        raise UsageError(f"{path}: {who} cannot read the token ({getattr(error, 'strerror', error)})") from error
    if not token or any(character.isspace() for character in token):
        raise UsageError(f"{path}: holds no token; make one with: frostline cluster token > {path}")
    return path.resolve()
