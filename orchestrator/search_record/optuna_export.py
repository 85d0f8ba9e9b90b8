"""Exports a run as an Optuna study in a journal file, which optuna-dashboard opens. Optuna is never the truth here."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

import results
from orchestrator.errors import UsageError
from orchestrator.search.history import Observation, Told, observed
from orchestrator.search.method import parameter_name
from orchestrator.search.methods.tpe import distribution, encoded
from orchestrator.search.warm_start import config_of_row, in_order
from orchestrator.store.run_folder import RunFolder
from results.analysis.replicate_groups import to_rows
from search_spaces.configs.agreeing import found_again
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.files import write_atomically

# Of `create_trial`, the place where the dashboard looks for constraints: it does not show those of `set_constraint`.
DASHBOARD_CONSTRAINTS = "constraints"


def export(run: Path, out: Path) -> tuple[Path, int]:
    """Write the journal at once, and return its path and the number of trials in it.

    Raises:
        UsageError: if the run holds no tables.
    """
    try:
        rows = in_order(to_rows(results.load(run).trials))
    except results.ResultsError as error:
        raise UsageError(str(error)) from error
    spec = load_sweep(RunFolder(run).sweep_file)
    trials = [_trial(spec, observation, name) for name, observation in _observations(spec, rows)]
    backend = _Lines()
    ways = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
    directions = [ways[direction] for direction in spec.objectives.values()]
    study = optuna.create_study(storage=JournalStorage(backend), study_name=spec.name, directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(spec.objectives))
    study.add_trials(trials)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in backend.lines)
    write_atomically(out, text.encode())
    return out, len(trials)


class _Lines(BaseJournalBackend):
    """A journal in memory: a file that is written line by line is fsynced for each."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self.lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += json.loads(json.dumps(logs))


def _observations(spec: SweepSpec, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, Observation]]:
    """Every config of the run that the space holds, its replicates together, with the name of its first trial."""
    groups: dict[str, tuple[str, Candidate, list[Told]]] = {}
    for row in rows:
        config = config_of_row(row)
        candidate = "unknown" if config is None else found_again(spec, config)
        if not isinstance(candidate, str):
            groups.setdefault(candidate.name, (row["trial_id"], candidate, []))[2].append(Told.of_row(row))
    found = [(name, observed(candidate, told, spec.constraints)) for name, candidate, told in groups.values()]
    return [(name, one) for name, one in found if one is not None]


def _trial(spec: SweepSpec, observation: Observation, name: str) -> FrozenTrial:
    chosen = {parameter_name(one): (one, value) for one, _, value in observation.candidate.chosen}
    is_complete = observation.state == "completed" and all(one in observation.values for one in spec.objectives)
    constraints = list(observation.violations.values())
    return create_trial(
        params={key: encoded(one, value) for key, (one, value) in chosen.items()},
        distributions={key: distribution(one) for key, (one, _) in chosen.items()},
        state=TrialState.COMPLETE if is_complete else TrialState.PRUNED,
        values=[observation.values[one] for one in spec.objectives] if is_complete else None,
        user_attrs={"trial": name, **observation.values},
        system_attrs={DASHBOARD_CONSTRAINTS: constraints} if constraints else {},
    )
