"""A run folder with a search: what later runs learn from it, what is shown of it, and the export to Optuna."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from search_world import SPACE, load, row_of, with_method
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.search.adaptive import AdaptiveSearch
from orchestrator.search.history import History
from orchestrator.search.warm_start import config_of_row, in_order, learned_from
from orchestrator.search_record.optuna_export import export
from orchestrator.search_record.suggestion_log import SuggestionLog
from orchestrator.store.recorder import Recorder
from orchestrator.store.run_folder import RunFolder
from results.analysis.replicate_groups import to_rows
from results.report.markdown_report import write_report
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.result import TrialResult

import results  # isort: skip

DATA = "a" * 64


def finish(folder: RunFolder, spec: SweepSpec, limit: int = 10_000) -> RunFolder:
    """Run a search in a folder, with the results that its world gives."""
    log = SuggestionLog(folder.suggestions_file)
    log.start(())
    recorder, search = Recorder(folder, spec), AdaptiveSearch(spec, History(), record=log.append)
    folder.write_spec(spec.resolved(), {}, [])
    while len(search.trials) < limit and (trials := search.ask()):
        for trial in trials:
            row, one = row_of(trial), folder.trial(trial.trial_id)
            one.write_infeasible(trial.config, "any", "")  # placement and config
            moment = f"2026-01-01T00:{len(search.trials):02d}:00+00:00"
            values = {key: row[key] for key in ("status", "ce", "artifact_bytes", "total_bytes", "tokens_per_s")}
            result = TrialResult(**values, data_sha256=DATA, started_at=moment, finished_at=moment)
            result.save(one.result_file)
            search.tell(recorder.record(trial.trial_id, result))
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[RunFolder, SweepSpec]]:
    def run(**changes: Any) -> tuple[RunFolder, SweepSpec]:
        spec = load(tmp_path, with_method("ehvi", **changes))
        return finish(RunFolder(tmp_path / "run"), spec), spec

    return run


def test_every_config_is_read_back_from_its_row(make: Callable[..., tuple[RunFolder, SweepSpec]]) -> None:
    """The settings of the table give the config again, lists and sections of recipes among them."""
    folder, _ = make()
    rows = to_rows(results.load(folder.root).trials)
    configs = [config_of_row(row) for row in rows]
    assert len(rows) == 30 and [one.config_id for one in configs if one] == [row["config_id"] for row in rows]
    assert config_of_row({**rows[0], "cfg_model_dim": 4}) is None


def test_what_can_be_learned_from_an_earlier_run(
    make: Callable[..., tuple[RunFolder, SweepSpec]], tmp_path: Path
) -> None:
    """Rows of the same data that today's space holds, as observations; the others are counted by reason."""
    folder, spec = make()
    rows = in_order(to_rows(results.load(folder.root).trials))
    everything = learned_from(spec, rows, {"stdlib": DATA})
    assert (everything.num_used, everything.reasons) == (30, {})
    assert [one.state for one in everything.observations] == ["completed"] * 30
    assert learned_from(spec, rows, {"stdlib": "b" * 64}).reasons == {"the data are others": 30}
    changed = load(tmp_path, with_method("ehvi", base={**SPACE["base"], "train": {"steps": 21}}))
    assert learned_from(changed, rows, {"stdlib": DATA}).reasons == {"train.steps is 20, not 21": 30}
    smaller = load(tmp_path, with_method("ehvi", space={**SPACE["space"], "artifact.matrix_bits": {"choice": [4, 6]}}))
    learned = learned_from(smaller, rows, {"stdlib": DATA})
    [(reason, count)] = learned.reasons.items()
    assert reason == "artifact.matrix_bits is 8, which is not in the space" and learned.num_used == 30 - count > 0
    assert f"learned from {30 - count} of 30 earlier trials" in learned.text()


def test_what_was_learned_spares_the_start(make: Callable[..., tuple[RunFolder, SweepSpec]], tmp_path: Path) -> None:
    """With enough earlier configs the first suggestion is the method's own, and near the best place."""
    folder, spec = make()
    rows = in_order(to_rows(results.load(folder.root).trials))
    learned = learned_from(spec, rows, {"stdlib": DATA}).observations
    search = AdaptiveSearch(spec, History(learned=learned), record=lambda suggestion: None)
    [trial] = search.ask()
    assert search.history.suggestions[0].method == "ehvi"
    assert 0.002 < trial.config.optimizer.learning_rate < 0.05
    log = SuggestionLog(tmp_path / "s.jsonl")
    log.start(learned)
    again = log.read(spec)
    assert again is not None and [one.values for one in again.learned] == [one.values for one in learned]


def test_the_journal_is_a_study(make: Callable[..., tuple[RunFolder, SweepSpec]], tmp_path: Path) -> None:
    """Optuna reads it: every config once with its means, parameters by name, limits where the dashboard looks."""
    folder, spec = make(seeds=[1, 2], constraints=["artifact_bytes <= 40_000"])
    path, num_trials = export(folder.root, tmp_path / "optuna.log")
    study = optuna.load_study(study_name=spec.name, storage=JournalStorage(JournalFileBackend(str(path))))
    assert num_trials == len(study.trials) == 15
    assert [one.name for one in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["ce", "artifact_bytes"]
    first = study.trials[0]
    assert {"recipe", "model", "optimizer.learning_rate"} <= first.params.keys()
    assert first.system_attrs["constraints"] == [pytest.approx(first.values[1] / 40_000 - 1)]
    assert len({str(one.params) for one in study.trials}) == 15


def test_the_search_is_shown_and_replayed(make: Callable[..., tuple[RunFolder, SweepSpec]]) -> None:
    """A line for each config with prediction and result; a replay agrees; the report has a section on it."""
    folder, _ = make()
    shown = CliRunner().invoke(app, ["search", str(folder.root)])
    assert shown.exit_code == 0 and "30 configs: " in shown.output and "mean error of" in shown.output
    assert len([line for line in shown.output.splitlines() if " ± " in line]) >= 10
    replay = CliRunner().invoke(app, ["search", str(folder.root), "--replay"])
    assert replay.exit_code == 0 and "30 of 30 suggestions are the same" in replay.output
    page = write_report(folder.root).read_text()
    assert "## Search" in page and "| on the front | predicted |" in page


def test_a_replay_finds_what_was_tampered_with(make: Callable[..., tuple[RunFolder, SweepSpec]]) -> None:
    """A record whose results were changed gives other suggestions, and the exit code 1."""
    folder, _ = make()
    text = folder.suggestions_file.read_text()
    lines = [
        re.sub(r'"ce":\d', '"ce":1', line) if number % 3 else line for number, line in enumerate(text.splitlines())
    ]
    folder.suggestions_file.write_text("\n".join(lines) + "\n")
    done = CliRunner().invoke(app, ["search", str(folder.root), "--replay"])
    assert done.exit_code == 1 and "a replay gives" in done.output


def test_a_planned_run_has_no_search_to_show(tmp_path: Path) -> None:
    """It says so in one line."""
    done = CliRunner().invoke(app, ["search", str(tmp_path)])
    assert done.exit_code != 0 and "holds no suggestions" in str(done.exception)
