"""What differs between runs: settings of their sweeps, versions, machines, and whether their losses compare at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from results.analysis.night.environment import read_sessions
from results.analysis.objectives import read_sweep
from results.analysis.replicate_groups import Row

# Of a sweep, what says nothing about what was run.
_NO_SETTINGS = ("notes", "on_finish")
ABSENT = "–"
TEXT_COLUMNS = ("data_sha256", "eval_tokens", "cfg_model_vocab_size")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A fact that differs: its name as a sweep file has it, and its value in each run."""

    name: str
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ScoredText:
    """What a loss is of: losses compare only where all three are equal."""

    data_sha256: str | None
    eval_tokens: int | None
    vocab_size: int | None

    def __str__(self) -> str:
        tokens = "?" if self.eval_tokens is None else f"{self.eval_tokens:,}"
        return f"{str(self.data_sha256)[:8]}, {tokens} tokens scored, vocabulary {self.vocab_size}"


def changes_between(facts: Sequence[Mapping[str, Any]]) -> list[Change]:
    """The facts that are not equal in all runs, in order of first appearance; lists are compared whole."""
    flat = [dict(_leaves(one)) for one in facts]
    names = dict.fromkeys(name for one in flat for name in one)
    found = (Change(name=name, values=tuple(one.get(name, ABSENT) for one in flat)) for name in names)
    return [one for one in found if len(set(one.values)) > 1]


def facts_of(folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """What can be compared of a run: its sweep file, the versions of its drivers and the devices of its trials.

    Raises:
        ResultsError: if the sweep file is damaged.
    """
    path = folder / "sweep.yaml"
    sweep = {name: value for name, value in (read_sweep(path) if path.is_file() else {}).items()}
    sessions = read_sessions(folder)
    versions = {name: version for one in sessions for name, version in one.packages.items()}
    return {
        **{name: value for name, value in sweep.items() if name not in _NO_SETTINGS},
        "versions": {"code": sessions[-1].commit if sessions else None, **versions},
        "torch of the trials": _distinct(rows, "torch_version"),
        "accelerators": _distinct(rows, "accelerator"),
        "devices": _distinct(rows, "device_name"),
    }


def scored_texts(rows: Sequence[Row]) -> set[ScoredText]:
    """The texts that the scored trials of a run were scored on."""
    return {_scored_text(row) for row in rows if row["status"] == "completed" and row["ce"] is not None}


def of_text(rows: Sequence[Row], text: ScoredText) -> list[Row]:
    """The rows whose losses compare with others on that text."""
    return [row for row in rows if _scored_text(row) == text]


def common_text(runs: Sequence[Sequence[Row]]) -> ScoredText | None:
    """A text that every run has been scored on, the one of most trials; None where their losses never compare."""
    texts = [scored_texts(rows) for rows in runs]
    shared = set.intersection(*texts) if texts else set()
    return max(shared, key=lambda text: (sum(len(of_text(rows, text)) for rows in runs), str(text)), default=None)


def _scored_text(row: Row) -> ScoredText:
    return ScoredText(*(row[column] for column in TEXT_COLUMNS))


def _distinct(rows: Sequence[Row], column: str) -> str:
    return ", ".join(sorted({str(row[column]) for row in rows if row[column] is not None}))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path, ABSENT if value is None or value == {} else _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_shown(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
