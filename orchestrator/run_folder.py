"""The run folder: where everything of one sweep lies. The trial folders are the truth, all else can be rebuilt."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import UsageError
from search_spaces import loader
from trainer.config import TrialConfig
from trainer.files import write_atomically
from trainer.result import TrialResult, utc_now

# What may change between two calls of the same sweep: how much is run and where, never what a trial is.
FREE_KEYS = ("budget", "seeds", "space", "cases", "admission", "resources", "constraints", "objectives")


MAX_CHANGES_TOLD = 3


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names of the files of one sweep under `root`, and the finished trials among them."""

    root: Path

    @property
    def sweep_file(self) -> Path:
        return self.root / "sweep.yaml"

    @property
    def environment_file(self) -> Path:
        return self.root / "environment.json"

    @property
    def stop_file(self) -> Path:
        """While it exists, running trials checkpoint and end."""
        return self.root / ".stop"

    @property
    def tune_folder(self) -> Path:
        """Where Ray Tune keeps what it wants to keep. Never read, removed at the end."""
        return self.root / ".tune"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    def trial(self, trial_id: str) -> Path:
        return self.root / "trials" / trial_id

    def result(self, trial_id: str) -> TrialResult | None:
        """The result of a finished trial, None of any other.

        A result that cannot be read is set aside, so that the trial is done again and nothing is thrown away.
        """
        path = self.trial(trial_id) / "result.json"
        try:
            return TrialResult.load(path)
        except FileNotFoundError:
            return None
        except ValueError:
            self.set_aside(trial_id, "damaged")
            return None

    def config(self, trial_id: str) -> TrialConfig:
        """What a trial is, from its own folder."""
        return TrialConfig.model_validate(yaml.load(self._read(trial_id, "config.yaml"), yaml.CSafeLoader))

    def placement(self, trial_id: str) -> dict[str, Any]:
        """Where a trial ran last: `accelerator_wanted`, `accelerator`, `num_gpus`, `node`."""
        placement = dict(json.loads(self._read(trial_id, "placement.json")))
        del placement["trial_id"]
        return placement

    def finished(self) -> dict[str, TrialResult]:
        """Every finished trial of the folder, oldest first, planned by today's spec or not."""
        # a copy that somebody made beside a trial has another name than its placement says
        trial_ids = [
            path.parent.name for path in self.root.glob("trials/*/result.json") if self._is_original(path.parent)
        ]
        results = {trial_id: result for trial_id in trial_ids if (result := self.result(trial_id)) is not None}
        return dict(sorted(results.items(), key=lambda item: (item[1].finished_at, item[0])))

    def refuse(self, trial_id: str, config: TrialConfig, accelerator_wanted: str, why: str) -> TrialResult:
        """Give a trial that is not to be trained its result: status `infeasible`, no device and no time."""
        folder = self.trial(trial_id)
        nowhere = {"accelerator": None, "num_gpus": None, "node": None}
        placement = {"trial_id": trial_id, "accelerator_wanted": accelerator_wanted, **nowhere}
        write_atomically(folder / "placement.json", json.dumps(placement).encode())
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_atomically(folder / "config.yaml", text.encode())
        result = TrialResult(status="infeasible", error=why, finished_at=utc_now())
        result.save(folder / "result.json")
        return result

    def set_aside(self, trial_id: str, why: str) -> None:
        """Let a trial count as not finished; what it left is kept beside as `result.<why>.json`."""
        path = self.trial(trial_id) / "result.json"
        path.replace(path.with_name(f"result.{why}.json"))

    def check(self, resolved: dict[str, Any], data_sha256: dict[str, str]) -> None:
        """Refuse a folder that holds another sweep; a free folder is left as it is.

        Args:
            resolved: the spec as plain values.
            data_sha256: fingerprint of each dataset by its name; a folder never mixes two of one name.

        Raises:
            UsageError: if the folder holds another sweep, or the data changed since.
        """
        environment = self._environment()
        if self.sweep_file.exists():
            try:
                there = loader.load(self.sweep_file).values
            except loader.LoadError as error:
                raise UsageError(
                    f"{self.sweep_file} is damaged: {error}; restore it, or choose another --out"
                ) from error
            changes = [
                change
                for change in _differences(there, resolved)
                if change.partition(".")[0].partition(":")[0] not in FREE_KEYS
            ]
            if changes:
                raise UsageError(
                    f"{self.root} holds another sweep, by its sweep.yaml: {'; '.join(changes[:MAX_CHANGES_TOLD])}. "
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

    def claim(self, resolved: dict[str, Any], data_sha256: dict[str, str]) -> None:
        """Make the folder this sweep's, after `check`."""
        # the fingerprint first: a folder with a sweep.yaml always has one
        environment = self._environment()
        environment["data_sha256"] = {**environment.get("data_sha256", {}), **data_sha256}
        self._write_environment(environment)
        write_atomically(self.sweep_file, loader.dump(resolved).encode())

    def note_session(self, session: dict[str, Any]) -> None:
        """Append what a driver runs on (versions, commit, nodes) to `environment.json`."""
        environment = self._environment()
        self._write_environment({**environment, "sessions": [*environment.get("sessions", []), session]})

    def close_session(self, figures: dict[str, Any]) -> None:
        """Add what is known at its end to the session noted last."""
        environment = self._environment()
        environment["sessions"][-1].update(figures)
        self._write_environment(environment)

    def _environment(self) -> dict[str, Any]:
        if not self.environment_file.exists():
            return {}
        try:
            return dict(json.loads(self.environment_file.read_text()))
        except ValueError as error:
            raise UsageError(
                f"{self.environment_file} is damaged ({error}): restore it, or choose another --out"
            ) from error

    def _write_environment(self, environment: dict[str, Any]) -> None:
        write_atomically(self.environment_file, json.dumps(environment, indent=1).encode())

    def _is_original(self, folder: Path) -> bool:
        try:
            return bool(json.loads((folder / "placement.json").read_text())["trial_id"] == folder.name)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _read(self, trial_id: str, name: str) -> str:
        return (self.trial(trial_id) / name).read_text()


def _differences(there: Any, here: Any, key: str = "") -> list[str]:
    """What differs between two specs, key by key: `base.train.steps: 50 there, 40 here`."""
    if isinstance(there, dict) and isinstance(here, dict):
        return [
            line
            for name in sorted({*there, *here})
            for line in _differences(there.get(name), here.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if there == here else [f"{key}: {there} there, {here} here"]
