"""Writes the Parquet tables from finished trials. One writer; `table_files.py` says what readers may count on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from orchestrator.early_stopping.rule import Verdict
from orchestrator.store.run_folder import RunFolder
from orchestrator.store.table_files import TableFiles, joined, most_trials, without
from orchestrator.store.trial_folder import TrialFolder
from results.tables.schema import curves_schema, flatten_config, trials_table
from search_spaces.spec.sweep_spec import SweepSpec, score_column
from trainer.result import TrialResult

# A file with so many trials is written for each trial that ends. To write a larger one may take this share of the time:
# with 10,000 trials a row waits for a few seconds. If the driver is killed then, the next one finds the trial's folder.
TRIALS_WRITTEN_AT_ONCE = 100
SHARE_OF_WRITING = 0.05
UNREADABLE = (OSError, ValueError, KeyError, TypeError, NotImplementedError, yaml.YAMLError)


class Recorder:
    """Keeps `tables/` equal to the finished trials."""

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
        self.clock: Callable[[], float] = time.monotonic
        self.rows: list[dict[str, Any]] = []
        self._row_of: dict[str, int] = {}  # places in `rows`, by trial id
        self._file_of: dict[str, int] = {}  # numbers of files, by trial id
        self._sizes = Counter[int]()  # trials of each file
        self._unwritten: dict[str, pa.Table] = {}  # curves of the trials that are in no file yet, or otherwise
        self._written: set[str] = set()  # ids of the trials that may be in a file
        self._last: dict[str, tuple[int, pa.Table]] = {}  # of each table the file written last: the next is the same
        self._may_write_at_seconds = 0.0
        self._files = TableFiles(folder.tables)

    def rebuild(self, finished: Mapping[str, TrialResult]) -> list[str]:
        """Write the tables anew from the trial folders; return the trials that cannot be read.

        Their results are set aside, so that they are done again. Each trial stays in the file that it is in.
        """
        self._file_of, self._sizes, self._unwritten, self._last = {}, Counter(), {}, {}
        rows: dict[str, dict[str, Any]] = {}
        for number, trial_ids in self._by_file(finished).items():
            of_file = self._rebuild_file(number, {trial_id: finished[trial_id] for trial_id in trial_ids})
            rows.update(of_file)
            self._sizes[number] = len(of_file)
            self._file_of.update(dict.fromkeys(of_file, number))
        self.rows = [rows[trial_id] for trial_id in finished if trial_id in rows]
        self._row_of = {row["trial_id"]: place for place, row in enumerate(self.rows)}
        self._written = set(rows)
        return [trial_id for trial_id in finished if trial_id not in rows]

    def record(self, trial_id: str, result: TrialResult) -> dict[str, Any]:
        """Add one trial and return its row; the row of a trial that was told to end and went on is replaced.

        The files may have it only a few seconds later, see `write_if_due`.
        """
        row = self._row(trial_id, result)
        curve = self._curve(row)
        if trial_id in self._row_of:
            self.rows[self._row_of[trial_id]] = row
        else:
            self._row_of[trial_id] = len(self.rows)
            self.rows.append(row)
            self._file_of[trial_id] = _open_file(self._sizes)
            self._sizes[self._file_of[trial_id]] += 1
        self._unwritten[trial_id] = curve
        if self._sizes[self._file_of[trial_id]] <= TRIALS_WRITTEN_AT_ONCE:
            self.write()
        self.write_if_due()
        return row

    def write_if_due(self) -> None:
        """Write what waits to be written, if the last time was long enough ago; call it every second."""
        if self._unwritten and self.clock() >= self._may_write_at_seconds:
            self.write()

    def write(self) -> None:
        """Write all that waits to be written."""
        began = self.clock()
        for number in sorted({self._file_of[trial_id] for trial_id in self._unwritten}):
            changed = [trial_id for trial_id in self._unwritten if self._file_of[trial_id] == number]
            self._write_file(number, changed)
            for trial_id in changed:
                del self._unwritten[trial_id]
        ended = self.clock()
        self._may_write_at_seconds = ended + (ended - began) * (1 / SHARE_OF_WRITING - 1)

    def mark(self, suspect_of: Callable[[Mapping[str, Any]], str | None]) -> None:
        """Bring the column `suspect` of all rows to what is known now."""
        self.write()
        self.suspect_of, changed = suspect_of, set()
        for row in self.rows:
            suspect = suspect_of(row)
            if suspect != row.get("suspect"):
                row["suspect"] = suspect
                changed.add(self._file_of[row["trial_id"]])
        self._last.pop("trials", None)
        for number in sorted(changed):
            self._files.replace("trials", number, trials_table(self._rows_of(number)))

    def looks(self) -> dict[str, dict[int, float]]:
        """What early stopping saw of each trial, by its id and by step."""
        found: dict[str, dict[int, float]] = {}
        for number in self._files.numbers():
            points = self._files.read("curves", number, ["trial_id", "step", "look_ce"])
            if points is not None:
                is_look = pc.fill_null(pc.invert(pc.is_nan(points["look_ce"])), fill_value=False)
                for point in points.filter(is_look).to_pylist():
                    found.setdefault(point["trial_id"], {})[point["step"]] = point["look_ce"]
        return found

    def _by_file(self, trial_ids: Iterable[str]) -> dict[int, list[str]]:
        """Trials by the number of the file that they are in, or shall be in; of all files that there are."""
        places, sizes = self._files.places(), Counter[int]()
        found: dict[int, list[str]] = {number: [] for number in self._files.numbers()}
        for trial_id in sorted(trial_ids, key=lambda one: one not in places):  # those that are in no file come last
            number = places.get(trial_id, _open_file(sizes))
            found.setdefault(number, []).append(trial_id)
            sizes[number] += 1
        return found

    def _rebuild_file(self, number: int, finished: Mapping[str, TrialResult]) -> dict[str, dict[str, Any]]:
        """The rows by trial id, without those that cannot be read."""
        rows: dict[str, dict[str, Any]] = {}
        curves = [curves_schema().empty_table()]
        for trial_id, result in finished.items():
            try:
                row = self._row(trial_id, result)
                curves.append(self._curve(row))
                rows[trial_id] = row
            except UNREADABLE:
                self.folder.trial(trial_id).set_aside("damaged")
        self._files.replace("curves", number, joined(curves))
        self._files.replace("trials", number, trials_table(rows.values()))
        return rows

    def _write_file(self, number: int, changed: Sequence[str]) -> None:
        """Write the two files of a number with these trials as they are now, and all others as they were."""
        curves = [self._unwritten[trial_id] for trial_id in changed]
        rows = trials_table(self.rows[self._row_of[trial_id]] for trial_id in changed)
        again = self._written.intersection(changed)
        self._written.update(changed)  # also if it fails: of the two files one may have them then
        for table, new in (("curves", joined(curves)), ("trials", rows)):
            others = [without(one, again) if again else one for one in self._others(table, number, changed)]
            whole = joined([*others, new])
            self._files.replace(table, number, whole)
            self._last[table] = number, whole

    def _others(self, table: str, number: int, changed: Sequence[str]) -> list[pa.Table]:
        """What a file holds beside these trials, and of them, if it has them already."""
        if self._sizes[number] == len(changed):
            return []
        known, found = self._last.get(table, (None, None))
        if known != number:
            found = self._files.read(table, number)
        if found is None:  # somebody has removed or damaged it
            rows = [row for row in self._rows_of(number) if row["trial_id"] not in changed]
            found = trials_table(rows) if table == "trials" else joined([self._curve(row) for row in rows])
        return [found]

    def _rows_of(self, number: int) -> list[dict[str, Any]]:
        return [row for row in self.rows if self._file_of[row["trial_id"]] == number]

    def _row(self, trial_id: str, result: TrialResult) -> dict[str, Any]:
        row = row_of(self.spec, self.folder.trial(trial_id), result)
        is_confirming = trial_id in self.confirmed
        stage = {"stage": "confirm" if is_confirming else "search", "confirm_against": self.confirmed.get(trial_id)}
        stopping = _stopping(self.verdicts.get(trial_id), score_column(self.spec.objectives))
        found = {**row, **stage, **stopping, **self.cost_of(trial_id)}
        return {**found, "suspect": self.suspect_of(found)}

    def _curve(self, row: Mapping[str, Any]) -> pa.Table:
        """The points of a trial, in the columns of the table of curves."""
        schema, path = curves_schema(), self.folder.trial(row["trial_id"]).curve_file
        if not path.exists():
            return schema.empty_table()
        with pq.ParquetFile(path) as file:
            points = file.read()
        same = {name: pa.repeat(row[name], len(points)) for name in ("sweep", "trial_id", "seed")}
        known = {**{name: points.column(name) for name in points.column_names}, **same}
        nulls = pa.nulls(len(points))
        return pa.Table.from_arrays([known.get(one.name, nulls).cast(one.type) for one in schema], schema=schema)


def _open_file(sizes: Counter[int]) -> int:
    """The number of the file that a further trial goes to, by the sizes of those that there are."""
    last = max(sizes, default=0)
    return last if sizes[last] < most_trials(last) else last + 1


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
