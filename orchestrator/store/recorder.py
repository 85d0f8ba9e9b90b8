"""Writes the Parquet tables from finished trials. One writer; every file is replaced whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from orchestrator.early_stopping.rule import Verdict
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.trial_folder import TrialFolder
from results.tables.schema import curves_table, flatten_config, trials_table
from search_spaces.spec.sweep_spec import SweepSpec, score_column
from trainer.files import replacing
from trainer.result import TrialResult

TRIALS_PER_FRAGMENT = 100


class Recorder:
    """Keeps `tables/` equal to the finished trials. Only the last fragment of a table is ever written again."""

    def __init__(
        self,
        folder: RunFolder,
        spec: SweepSpec,
        verdicts: dict[str, Verdict] | None = None,
        confirmed: dict[str, str | None] | None = None,
        cost_of: Callable[[str], dict[str, Any]] = lambda trial_id: {},
    ) -> None:
        self.folder, self.spec = folder, spec
        self.verdicts = {} if verdicts is None else verdicts  # of early stopping, by trial id
        self.confirmed = {} if confirmed is None else confirmed  # what a trial of confirmation is compared with, by id
        self.cost_of = cost_of  # the columns of what a trial has cost
        self.suspect_of: Callable[[Mapping[str, Any]], str | None] = lambda row: None  # why a row is not compared
        self.rows: list[dict[str, Any]] = []
        self.curves: list[list[dict[str, Any]]] = []  # of the last fragment, so that recording reads no curve twice

    def rebuild(self, finished: Mapping[str, TrialResult]) -> list[str]:
        """Write the tables anew from the trial folders; return the trials that cannot be read.

        Their results are set aside, so that they are done again.
        """
        self.rows, self.curves, damaged = [], [], []
        for trial_id, result in finished.items():
            try:
                self._add(trial_id, result)
            except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
                self.folder.trial(trial_id).set_aside("damaged")
                damaged.append(trial_id)
        if self.rows:
            self._write_last()
        for table in ("trials", "curves"):
            for path in sorted((self.folder.tables / table).glob(f"{table}-*.parquet"))[self._num_fragments() :]:
                path.unlink()
        return damaged

    def record(self, trial_id: str, result: TrialResult) -> dict[str, Any]:
        """Add one trial and return its row; the row of a trial that was told to end and went on is replaced."""
        index = next((index for index, row in enumerate(self.rows) if row["trial_id"] == trial_id), None)
        if index is not None:
            return self._replace_row(index, result)
        self._add(trial_id, result)
        self._write_last()
        return self.rows[-1]

    def mark(self, suspect_of: Callable[[Mapping[str, Any]], str | None]) -> None:
        """Bring the column `suspect` of all rows to what is known now."""
        self.suspect_of, changed = suspect_of, set()
        for index, row in enumerate(self.rows):
            suspect = suspect_of(row)
            if suspect != row.get("suspect"):
                row["suspect"] = suspect
                changed.add(index // TRIALS_PER_FRAGMENT)
        for index in sorted(changed):
            first = index * TRIALS_PER_FRAGMENT
            self._replace("trials", index, trials_table(self.rows[first : first + TRIALS_PER_FRAGMENT]))

    def _replace_row(self, index: int, result: TrialResult) -> dict[str, Any]:
        self.rows[index] = self._row(self.rows[index]["trial_id"], result)
        fragment = index // TRIALS_PER_FRAGMENT
        rows = self.rows[fragment * TRIALS_PER_FRAGMENT : (fragment + 1) * TRIALS_PER_FRAGMENT]
        curves = [self._curve(row) for row in rows]
        if fragment == self._num_fragments() - 1:
            self.curves = curves
        self._replace("curves", fragment, curves_table([point for curve in curves for point in curve]))
        self._replace("trials", fragment, trials_table(rows))
        return self.rows[index]

    def _add(self, trial_id: str, result: TrialResult) -> None:
        row = self._row(trial_id, result)
        curve = self._curve(row)
        if self.rows and len(self.rows) % TRIALS_PER_FRAGMENT == 0:
            self._write_last()
            self.curves = []
        self.rows.append(row)
        self.curves.append(curve)

    def looks(self) -> dict[str, dict[int, float]]:
        """What early stopping saw of each trial, by its id and by step."""
        found: dict[str, dict[int, float]] = {}
        for path in sorted((self.folder.tables / "curves").glob("curves-*.parquet")):
            for point in pq.read_table(path, columns=["trial_id", "step", "look_ce"]).to_pylist():
                if point["look_ce"] is not None and not math.isnan(point["look_ce"]):
                    found.setdefault(point["trial_id"], {})[point["step"]] = point["look_ce"]
        return found

    def _row(self, trial_id: str, result: TrialResult) -> dict[str, Any]:
        row = row_of(self.spec, self.folder.trial(trial_id), result)
        is_confirming = trial_id in self.confirmed
        stage = {"stage": "confirm" if is_confirming else "search", "confirm_against": self.confirmed.get(trial_id)}
        stopping = _stopping(self.verdicts.get(trial_id), score_column(self.spec.objectives))
        found = {**row, **stage, **stopping, **self.cost_of(trial_id)}
        return {**found, "suspect": self.suspect_of(found)}

    def _num_fragments(self) -> int:
        return -(-len(self.rows) // TRIALS_PER_FRAGMENT)

    def _write_last(self) -> None:
        index = self._num_fragments() - 1
        self._replace("curves", index, curves_table([point for curve in self.curves for point in curve]))
        self._replace("trials", index, trials_table(self.rows[index * TRIALS_PER_FRAGMENT :]))

    def _replace(self, name: str, index: int, table: pa.Table) -> None:
        with replacing(self.folder.tables / name / f"{name}-{index:06d}.parquet") as temporary:
            pq.write_table(table, temporary)

    def _curve(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        path = self.folder.trial(row["trial_id"]).curve_file
        if not path.exists():
            return []
        same = {key: row[key] for key in ("sweep", "trial_id", "seed")}
        return [{**same, **point} for point in pq.read_table(path).to_pylist()]


def rows_of_open_states(open_states: Mapping[str, TrialResult]) -> dict[str, TrialResult]:
    """Those of the trials that were told to end that have a row: an interrupted one simply waits."""
    return {trial_id: state for trial_id, state in open_states.items() if state.status != "interrupted"}


def row_of(spec: SweepSpec, folder: TrialFolder, result: TrialResult) -> dict[str, Any]:
    """One trial's row of the table: who it is, where it ran, what came of it, and every setting as `cfg_*`."""
    config = folder.config()
    if not folder.trial_id.startswith(config.trial_id):
        raise ValueError(f"the folder {folder.trial_id} holds the trial {config.trial_id}")
    row = {
        "sweep": spec.name,
        "trial_id": folder.trial_id,
        "config_id": config.config_id,
        "seed": config.seed,
        "recipe": config.recipe,
        "data": config.data,
        **folder.placement(),
        **vars(result),
        **flatten_config(config.model_dump(mode="json")),
    }
    return {**row, "feasible": feasible(spec, row)}


def _stopping(verdict: Verdict | None, column: str) -> dict[str, Any]:
    """The columns of early stopping. What is known of another score than today's objective is left out."""
    if verdict is None or verdict.action == "go_on":
        return {}
    if verdict.column != column:
        return {"stop_step": verdict.step, "stop_audited": verdict.action == "audit"}
    return {
        "stop_step": verdict.step,
        "stop_predicted": verdict.predicted,
        "stop_best_case": verdict.best_case,
        "stop_band": verdict.band,
        "stop_dominated_by": verdict.dominated_by,
        "stop_audited": verdict.action == "audit",
    }


def feasible(spec: SweepSpec, row: Mapping[str, Any]) -> bool | None:
    """Whether all constraints hold; None while one of their columns is unknown."""
    values = [(constraint, row.get(constraint.column)) for constraint in spec.constraints]
    if any(value is None for _, value in values):
        return None
    return all(constraint.holds(value) for constraint, value in values)
