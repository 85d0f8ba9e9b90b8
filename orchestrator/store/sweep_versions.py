"""Every version of a run's sweep file is kept: its text, when it was written, and the trials it planned."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from trainer.files import write_atomically

MAX_CHANGES_SHOWN = 3
MAX_CHARACTERS = 60


@dataclasses.dataclass(frozen=True)
class Change:
    """A key that two sweeps set differently; None where one of them does not set it."""

    key: str
    before: Any
    now: Any

    @property
    def section(self) -> str:
        return self.key.partition(".")[0]


def changes_between(before: Any, now: Any, key: str = "") -> list[Change]:
    """What differs between two specs as plain values, key by key."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            change
            for name in sorted({*before, *now})
            for change in changes_between(before.get(name), now.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if before == now else [Change(key, before, now)]


def in_words(changes: Sequence[Change], before: str = "before", now: str = "now") -> str:
    """The first changes: `base.train.steps: 50 before, 40 now`."""
    shown = [
        f"{one.key}: {_short(one.before)} {before}, {_short(one.now)} {now}" for one in changes[:MAX_CHANGES_SHOWN]
    ]
    more = [f"and {len(changes) - MAX_CHANGES_SHOWN} more"] if len(changes) > MAX_CHANGES_SHOWN else []
    return "; ".join(shown + more)


@dataclasses.dataclass(frozen=True)
class SweepVersions:
    """The folder `versions` of a run: `001.yaml` and `001.trial_ids.txt`, and so on.

    The first line of a version is a comment that says when it was written and how many trials it planned.
    """

    root: Path

    def first(self) -> dict[str, Any] | None:
        """The oldest version that can be read, as plain values; None without any."""
        for path in sorted(self.root.glob("*.yaml")):
            try:
                values = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                continue
            if isinstance(values, dict):
                return values
        return None

    def add(self, text: str, trial_ids: Sequence[str] | None, written_at: float | None = None) -> None:
        """Keep a version, unless it is the newest already. `trial_ids` None: not known; `written_at`: epoch seconds."""
        if (newest := self._newest()) is not None and newest.read_text().partition("\n")[2] == text:
            return
        path = self.root / f"{int(newest.stem) + 1 if newest else 1:03}.yaml"
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(written_at))
        planned = "planned trials not known" if trial_ids is None else f"{len(trial_ids):,} trials planned"
        if trial_ids is not None:
            write_atomically(self._ids_file(path), "".join(f"{one}\n" for one in trial_ids).encode())
        write_atomically(path, f"# written {moment}, {planned}\n{text}".encode())

    def planned(self) -> list[str] | None:
        """The ids of the trials that the newest version planned; None where they are not known."""
        newest = self._newest()
        if newest is None or not self._ids_file(newest).exists():
            return None
        return self._ids_file(newest).read_text().split()

    def __len__(self) -> int:
        return len(list(self._versions()))

    def _newest(self) -> Path | None:
        return max(self._versions(), default=None, key=lambda path: int(path.stem))

    def _versions(self) -> Iterator[Path]:
        return (path for path in self.root.glob("*.yaml") if path.stem.isdecimal())

    @staticmethod
    def _ids_file(version: Path) -> Path:
        return version.with_name(f"{version.stem}.trial_ids.txt")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
