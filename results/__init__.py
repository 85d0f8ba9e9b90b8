"""The tables of a run, and what is computed from them: Pareto front, plots, report.

Example:
    >>> import results
    >>> tables = results.load("runs/quickstart")
    >>> tables.trials.groupby("config_id").ce.agg(["mean", "std", "count"])
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import ResultsError

if TYPE_CHECKING:
    from results.tables.load import Tables

__all__ = ["ResultsError", "load"]


def load(folders: str | Path | Iterable[str | Path]) -> Tables:
    """Read the tables of a run folder, or of several (a list, or a pattern such as `runs/*`), as pandas frames.

    Raises:
        ResultsError: if a folder is missing or holds no tables, or a file is damaged, foreign or too new.
    """
    from results.tables import load  # here, so that importing the package loads neither pandas nor pyarrow

    return load.load(folders)
