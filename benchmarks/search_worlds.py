"""Worlds for `search.py`: what any config of a space would score, made from a table of real trials."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import results
from orchestrator.search.methods.encoding import Encoding
from orchestrator.search.warm_start import config_of_row
from results.analysis.pareto import hypervolume
from results.analysis.replicate_groups import to_rows
from results.tables.schema import trials_table
from search_spaces.configs.agreeing import found_again
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.artifact.size_bounds import roughly_expected_bytes

Array = npt.NDArray[np.float64]


TABLES = Path(__file__).parent / "search_tables"
# What a table keeps of its rows, beside the settings.
KEPT = (
    *("sweep", "trial_id", "config_id", "seed", "recipe", "data", "data_sha256", "status", "finished_at"),
    *("ce", "artifact_bytes", "total_bytes", "tokens_per_s", "train_seconds", "total_seconds"),
)


@dataclasses.dataclass(frozen=True)
class Table:
    """The completed configs of a run folder, means over their seeds, and the noise between seeds."""

    spec: SweepSpec
    candidates: tuple[Candidate, ...]
    ce: Array
    artifact_bytes: Array
    ce_std: float


def load_table(folder: Path) -> Table:
    """A run folder, or one of `search_tables`: `sweep.yaml` and the table of trials."""
    spec = load_sweep(folder / "sweep.yaml")
    rows = [row for row in to_rows(results.load([str(folder)]).trials) if row["status"] == "completed"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["config_id"], []).append(row)
    candidates, ce, sizes, spreads = [], [], [], []
    for group in groups.values():
        config = config_of_row(group[0])
        candidate = "its settings cannot be read back" if config is None else found_again(spec, config)
        if isinstance(candidate, str):
            print(f"{group[0]['trial_id']} is left out: {candidate}")
            continue
        scores = [row["ce"] for row in group]
        candidates.append(candidate)
        ce.append(float(np.mean(scores)))
        sizes.append(float(np.mean([row["artifact_bytes"] for row in group])))
        spreads += [float(np.var(scores, ddof=1))] if len(scores) > 1 else []
    # of the typical config: those that hardly learn differ by far more
    ce_std = math.sqrt(float(np.median(spreads))) if spreads else 0.03
    return Table(spec, tuple(candidates), np.array(ce), np.array(sizes), ce_std)


def keep_table(folders: Sequence[Path], out: Path) -> None:
    """Make a small table of run folders of one sweep, of which the first says what the space is."""
    rows = to_rows(results.load([str(folder) for folder in folders]).trials)
    (out / "tables" / "trials").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folders[0] / "sweep.yaml", out / "sweep.yaml")
    kept = [{key: row[key] for key in row if key in KEPT or key.startswith("cfg_")} for row in rows]
    pq.write_table(trials_table(kept), out / "tables" / "trials" / "trials-000000.parquet", compression="zstd")
    print(f"{len(kept)} trials in {out}")


class World:
    """Answers what a config would score, without noise: `kind` is trees, gp or lookup.

    trees: gradient boosting; gp: a Gaussian process with one length scale for all columns, a linear part and another
    kernel than the searcher's; lookup: the nearest trial of the table that was not given yet, and nothing else exists.
    """

    def __init__(self, table: Table, kind: str) -> None:
        self.table, self.kind = table, kind
        self.encoding = Encoding(table.spec)
        rows = self.encoding.rows(table.candidates)
        self.scaler = StandardScaler().fit(rows)
        self.rows = self.scaler.transform(rows)
        expected = np.array([roughly_expected_bytes(one.config) for one in table.candidates])
        self.ratio = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 11)))
        self.ratio.fit(rows, np.log(table.artifact_bytes / expected))
        self.model = None if kind == "lookup" else _model(kind, table.ce_std).fit(self.rows, table.ce)
        self.reference = (float(table.ce.max()), math.log(table.artifact_bytes.max()))
        self.ratio_std = float((np.log(table.artifact_bytes / expected) - self.ratio.predict(rows)).std())
        self._known: dict[str, tuple[float, float]] = {}

    def nearest(self, candidate: Candidate, given: set[int]) -> int:
        """The place of the nearest trial that was not given yet."""
        row = self.scaler.transform(self.encoding.rows([candidate]))[0]
        distance = ((self.rows - row) ** 2).sum(axis=1)
        distance[list(given)] = math.inf
        return int(np.argmin(distance))

    def values(self, candidate: Candidate) -> tuple[float, float]:
        """ce and bytes, without noise. Of world lookup, only for its own configs."""
        if candidate.name not in self._known:
            if self.model is None:
                index = [one.name for one in self.table.candidates].index(candidate.name)
                found = float(self.table.ce[index]), float(self.table.artifact_bytes[index])
            else:
                rows = self.encoding.rows([candidate])
                ce = float(self.model.predict(self.scaler.transform(rows))[0])
                ratio = math.exp(float(self.ratio.predict(rows)[0]))
                found = max(ce, float(self.table.ce.min()) - 0.3), roughly_expected_bytes(candidate.config) * ratio
            self._known[candidate.name] = found
        return self._known[candidate.name]

    def hypervolume(self, values: Sequence[tuple[float, float]]) -> float:
        """Of (ce, bytes), in nats times the logarithm of bytes, up to the worst of the table."""
        points = [(ce, math.log(size)) for ce, size in values]
        return hypervolume(points, self.reference, ["min", "min"]) if points else 0.0


def _model(kind: str, noise_std: float) -> Any:
    if kind == "trees":
        return GradientBoostingRegressor(
            n_estimators=300, max_depth=3, learning_rate=0.06, subsample=0.7, random_state=0
        )
    kernel = ConstantKernel(1.0) * RBF(3.0) + ConstantKernel(0.1) * DotProduct(1.0) + WhiteKernel(0.05)
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
