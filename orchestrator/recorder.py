"""From finished trials to the Parquet tables. One writer; every fragment is replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.run_folder import RunFolder
from orchestrator.spec import SweepSpec
from results.schema import curves_table, flatten_config, trials_table
from trainer.files import replacing
from trainer.result import TrialResult

TRIALS_PER_FRAGMENT = 500


class Recorder:
    """Keeps `tables/` equal to the finished trials. Only the last fragment of a table is ever written again."""

    def __init__(self, folder: RunFolder, spec: SweepSpec) -> None:
        self.folder, self.spec = folder, spec
        self.rows: list[dict[str, Any]] = []

    def rebuild(self, finished: Mapping[str, TrialResult]) -> None:
        """Write the tables anew from the trial folders."""
        self.rows = [row_of(self.spec, self.folder, trial_id, result) for trial_id, result in finished.items()]
        num_fragments = self._num_fragments()
        for index in range(num_fragments):
            self._write(index)
        for table in ("trials", "curves"):
            for path in sorted((self.folder.tables / table).glob(f"{table}-*.parquet"))[num_fragments:]:
                path.unlink()

    def record(self, trial_id: str, result: TrialResult) -> dict[str, Any]:
        """Add one finished trial and return its row."""
        self.rows.append(row_of(self.spec, self.folder, trial_id, result))
        self._write(self._num_fragments() - 1)
        return self.rows[-1]

    def _num_fragments(self) -> int:
        return -(-len(self.rows) // TRIALS_PER_FRAGMENT)

    def _write(self, index: int) -> None:
        rows = self.rows[index * TRIALS_PER_FRAGMENT : (index + 1) * TRIALS_PER_FRAGMENT]
        self._replace("curves", index, curves_table([point for row in rows for point in self._curve(row)]))
        self._replace("trials", index, trials_table(rows))

    def _replace(self, name: str, index: int, table: pa.Table) -> None:
        with replacing(self.folder.tables / name / f"{name}-{index:06d}.parquet") as temporary:
            pq.write_table(table, temporary)

    def _curve(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        path = self.folder.trial(row["trial_id"]) / "curve.parquet"
        if not path.exists():
            return []
        same = {key: row[key] for key in ("sweep", "trial_id", "seed")}
        return [{**same, **point} for point in pq.read_table(path).to_pylist()]


def row_of(spec: SweepSpec, folder: RunFolder, trial_id: str, result: TrialResult) -> dict[str, Any]:
    """One trial's row of the table: who it is, where it ran, what came of it, and every setting as `cfg_*`."""
    config = folder.config(trial_id)
    row = {
        "sweep": spec.name,
        "trial_id": trial_id,
        "config_id": config.config_id,
        "seed": config.seed,
        "recipe": config.recipe,
        "data": config.data,
        **folder.placement(trial_id),
        **vars(result),
        **flatten_config(config.model_dump(mode="json")),
    }
    return {**row, "feasible": feasible(spec, row)}


def feasible(spec: SweepSpec, row: Mapping[str, Any]) -> bool | None:
    """Whether all constraints hold; None while one of their columns is unknown."""
    values = [(constraint, row.get(constraint.column)) for constraint in spec.constraints]
    if any(value is None for _, value in values):
        return None
    return all(constraint.holds(value) for constraint, value in values)
