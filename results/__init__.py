"""The tables of a run, and what is computed from them: Pareto front, plots, report.

Example:
    >>> import results
    >>> tables = results.load("runs/quickstart")
    >>> tables.trials.groupby("config_id").ce.agg(["mean", "std", "count"])
    >>> results.configs("runs/quickstart").query("on_front")[["label", "ce", "artifact_bytes", "front_probability"]]
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd

    from results.tables.load import Tables

__all__ = ["ResultsError", "configs", "load"]


def load(folders: str | Path | Iterable[str | Path]) -> Tables:
    """Read the tables of a run folder, or of several (a list, or a pattern such as `runs/*`), as pandas frames.

    A run in an object store is given as `s3://bucket/runs/night`.

    Raises:
        ResultsError: if a folder is missing or holds no tables, or a file is damaged, foreign or too new.
    """
    from results.tables import load  # here, so that importing the package loads neither pandas nor pyarrow

    return load.load(folders)


def configs(folders: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """One row per config: means over seeds, its place on the front, what was confirmed, and what may be claimed.

    Columns: see `results.tables.configs.configs_frame`.

    Raises:
        ResultsError: as `load`, and if the runs have other objectives or limits.
    """
    from results.tables.configs import configs_frame

    return configs_frame(load(folders))
