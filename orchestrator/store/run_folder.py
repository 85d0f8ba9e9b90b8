"""The run folder: names of the files of one sweep, and the check that it is the same sweep."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.store.requests import Requests
from orchestrator.store.sweep_versions import Change, SweepVersions, changes_between, in_words
from orchestrator.store.trial_folder import TrialFolder
from search_spaces.spec import yaml_document
from search_spaces.spec.load import load_sweep
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sections.search import METHODS
from search_spaces.spec.sweep_file import keys_that_may_change
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.errors import Busy
from trainer.files import TEMPORARY_NAME, read_json, remove_stray_temporaries, write_atomically
from trainer.locks import sole_owner
from trainer.result import TrialResult

# `frostline stop` and `status` hold the lock for a moment, to learn if a driver does.
SECONDS_TO_WAIT_FOR_A_QUESTION = 1.0


@contextmanager
def one_driver(root: Path) -> Iterator[None]:
    """Lock a run folder for this driver. Raises UsageError if another one is at work there."""
    try:
        with sole_owner(root, wait_seconds=SECONDS_TO_WAIT_FOR_A_QUESTION):
            yield
    except Busy as error:
        raise UsageError(f"{error}: one driver at a time; wait for it, or choose another --out") from error


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names of the files of one sweep under `root`, and the finished trials among them.

    Args:
        uri: of the run in an object store of which `root` is the local copy.
    """

    root: Path
    uri: str | None = None

    @property
    def shown(self) -> str:
        """The folder as a user would type it from here."""
        if self.uri is not None:
            return self.uri
        try:
            return str(self.root.relative_to(Path.cwd()))
        except ValueError:
            return str(self.root)

    @property
    def sweep_file(self) -> Path:
        return self.root / "sweep.yaml"

    @property
    def versions(self) -> SweepVersions:
        """Every version of the sweep file, the newest too."""
        return SweepVersions(self.root / "versions")

    @property
    def environment_file(self) -> Path:
        return self.root / "environment.json"

    @property
    def requests(self) -> Requests:
        """What `frostline stop` asks of the driver of this run."""
        return Requests(self.root / ".requests")

    @property
    def suggestions_file(self) -> Path:
        """The record of an adaptive search; see `search_record/suggestion_log.py`."""
        return self.root / "suggestions.jsonl"

    @property
    def early_stopping_file(self) -> Path:
        """The record of early stopping; see `early_stopping/stop_log.py`."""
        return self.root / "early_stopping.jsonl"

    @property
    def confirmation_file(self) -> Path:
        """The record of confirmation; see `confirmation/confirmation_log.py`."""
        return self.root / "confirmation.jsonl"

    @property
    def ledger_file(self) -> Path:
        """The record of what the run has cost; see `ledger/events.py`."""
        return self.root / "ledger.jsonl"

    @property
    def status_file(self) -> Path:
        """What the sweep does now; see `progress/status_file.py`."""
        return self.root / "status.json"

    @property
    def forecasts_file(self) -> Path:
        """What each call was expected to bring, and what it brought; see `simulator/forecast_log.py`."""
        return self.root / "forecasts.jsonl"

    @property
    def extensions_file(self) -> Path:
        """What `frostline extend` has added to the budget; see `ledger/extensions.py`."""
        return self.root / "extensions.jsonl"

    @property
    def canary_folder(self) -> Path:
        """Trials of the canary, while it runs and when it found faults."""
        return self.root / "canary"

    @property
    def canary_file(self) -> Path:
        """When the canary passed, and with what; see `canary/when.py`."""
        return self.root / "canary.json"

    @property
    def sentinel_folder(self) -> Path:
        """Sentinels that run now. Nobody else reads it, and no object store is sent it."""
        return self.root / ".sentinel"

    @property
    def sentinels_file(self) -> Path:
        """What sentinels have measured; see `sentinel/records.py`."""
        return self.root / "sentinels.jsonl"

    @property
    def explanations_file(self) -> Path:
        """What `frostline explain` was told; see `sentinel/records.py`."""
        return self.root / "explanations.jsonl"

    @property
    def tune_folder(self) -> Path:
        """Ray Tune's own files. Never read, removed at the end."""
        return self.root / ".tune"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    def trial(self, trial_id: str) -> TrialFolder:
        return TrialFolder(self.root / "trials" / trial_id)

    def finished(self) -> dict[str, TrialResult]:
        """Every finished trial of the folder, oldest first, planned by today's spec or not."""
        folders = [TrialFolder(path.parent) for path in self.root.glob("trials/*/result.json")]
        found = {folder.trial_id: folder.result() for folder in folders if folder.is_original()}
        results = {trial_id: result for trial_id, result in found.items() if result is not None}
        return dict(sorted(results.items(), key=lambda item: (item[1].finished_at, item[0])))

    def open_states(self) -> dict[str, TrialResult]:
        """Every trial of the folder that was told to end and may go on, as far as it has come."""
        folders = [TrialFolder(path.parent) for path in sorted(self.root.glob("trials/*/state.json"))]
        found = {folder.trial_id: folder.state() for folder in folders if folder.is_original()}
        return {trial_id: state for trial_id, state in found.items() if state is not None}

    def remove_stray_temporaries(self) -> None:
        """Remove temporary files that killed processes left; a trial that somebody still works on is left alone."""
        for folder in (self.root, self.versions.root, self.tables / "trials", self.tables / "curves"):
            remove_stray_temporaries(folder)
        for path in self.root.glob("trials/*/"):
            if any(path.rglob(TEMPORARY_NAME)):
                with suppress(Busy), sole_owner(path):
                    remove_stray_temporaries(path)
                    remove_stray_temporaries(path / "checkpoint")

    def check(self, resolved: dict[str, Any], data_sha256: Mapping[str, str]) -> list[Change]:
        """Refuse a folder that holds another sweep; a free folder is left as it is.

        Returns:
            What differs from the sweep that the folder holds, of what may differ.

        Args:
            resolved: the spec as plain values.
            data_sha256: fingerprint of each dataset by its name; a folder never mixes two of one name.

        Raises:
            UsageError: if the folder holds another sweep, or the data changed since.
        """
        environment = self._environment()
        if not self.sweep_file.exists():
            return []
        changes = changes_between(self._stored_spec(), resolved)
        if refused := [change for change in changes if change.section not in keys_that_may_change()]:
            raise UsageError(
                f"{self.root} holds another sweep, by its sweep.yaml: {in_words(refused, 'there', 'here')}. "
                "Choose another --out, or restore the spec"
            )
        for name, before in environment.get("data_sha256", {}).items():
            now = data_sha256.get(name, before)
            if now != before:
                raise UsageError(
                    f"{self.root} was run on other data under the name {name} (SHA-256 {before[:12]}…, now "
                    f"{now[:12]}…), and results of two datasets are never mixed. "
                    "Choose another --out, or restore the dataset"
                )
        return changes

    def kept_method(self, spec: SweepSpec) -> SweepSpec:
        """The spec with the method that the folder's sweep began with, where its file leaves that to frostline."""
        if not self.sweep_file.exists():
            return spec
        spec = self._with_earlier_defaults(spec)
        if spec.search.method != "auto":
            return spec
        stored = self._stored_spec().get("search")
        method = stored.get("method") if isinstance(stored, dict) else None
        return dataclasses.replace(spec, method=method) if method in METHODS else spec

    def _with_earlier_defaults(self, spec: SweepSpec) -> SweepSpec:
        """As the version that wrote the folder meant it: one without these sections had all seeds and no confirmation.

        What the spec itself says stands.
        """
        first = self.versions.first()
        written = self._written() if first is None else first
        replicates, confirm = spec.replicates, spec.confirm
        if "replicates" not in written and replicates.when == "auto":
            replicates = replicates.model_copy(update={"when": "always"})
        if "confirm" not in written and confirm.configs is None:
            confirm = confirm.model_copy(update={"configs": 0})
        return dataclasses.replace(spec, replicates=replicates, confirm=confirm)

    def _written(self) -> dict[str, Any]:
        try:
            return yaml_document.load(self.sweep_file).values
        except SpecError as error:
            raise UsageError(f"{self.sweep_file} is damaged: {error}; restore it, or choose another --out") from error

    def write_spec(self, resolved: dict[str, Any], data_sha256: Mapping[str, str], trial_ids: Sequence[str]) -> None:
        """Write the spec and the data's fingerprints, after `check`: from here on the folder is this sweep's.

        The earlier versions of the spec stay in `versions`, each with the ids of the trials that it planned.
        """
        # the fingerprint first: a folder with a sweep.yaml always has one
        environment = self._environment()
        environment["data_sha256"] = {**environment.get("data_sha256", {}), **data_sha256}
        self._write_environment(environment)
        text = yaml_document.dump(resolved)
        if self.sweep_file.exists():
            stored, is_same = self.sweep_file.read_text(), not changes_between(self._stored_spec(), resolved)
            if not len(self.versions):  # of an earlier frostline, which kept none
                written_at = self.sweep_file.stat().st_mtime
                self.versions.add(stored, trial_ids if is_same else None, written_at)
            if is_same:
                return
        self.versions.add(text, trial_ids)
        write_atomically(self.sweep_file, text.encode())

    def add_session(self, session: dict[str, Any]) -> None:
        """Append what a driver runs on (versions, commit, nodes) to `environment.json`."""
        environment = self._environment()
        self._write_environment({**environment, "sessions": [*environment.get("sessions", []), session]})

    def close_session(self, figures: dict[str, Any]) -> None:
        """Add what is known at its end to the session added last; nothing where the folder has vanished meanwhile."""
        environment = self._environment()
        if not environment.get("sessions"):
            return
        environment["sessions"][-1].update(figures)
        self._write_environment(environment)

    def _stored_spec(self) -> dict[str, Any]:
        """The spec of the folder as today's reader resolves it: another way to write the same is no change."""
        values = self._written()
        try:
            return self._with_earlier_defaults(load_sweep(self.sweep_file)).resolved()
        except SpecError:  # an earlier version accepted what this one refuses; its values still tell the difference
            return values

    def _environment(self) -> dict[str, Any]:
        try:
            environment = read_json(self.environment_file, {}, {"data_sha256": dict, "sessions": list})
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise UsageError(f"{error}: restore it, or choose another --out") from error
        wrong = [one for one in environment.get("sessions") or [] if not isinstance(one, dict)]
        wrong += [one for one in (environment.get("data_sha256") or {}).values() if not isinstance(one, str)]
        if wrong:
            raise UsageError(f"{self.environment_file} is damaged: it holds {wrong[0]}; restore it, or remove it")
        return environment

    def _write_environment(self, environment: dict[str, Any]) -> None:
        write_atomically(self.environment_file, json.dumps(environment, indent=1).encode())
