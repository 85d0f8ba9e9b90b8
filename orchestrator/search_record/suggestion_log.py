"""The record of an adaptive search: `suggestions.jsonl` of a run folder, one line a suggestion, written before it runs.

A line holds the suggestion, how it came about, and what was told since the line before. The first line holds what was
learned from earlier runs. So the record says all that each suggestion depended on, and a replay gives the same again.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.search.history import Arm, History, Observation, Prediction, Rejected, Suggestion, Told
from search_spaces.configs.agreeing import found_again
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sections.resources import ResourcesConfig
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.config.trial import TrialConfig
from trainer.files import write_atomically


@dataclasses.dataclass(frozen=True)
class SuggestionLog:
    """The file; it is only ever appended to, and a line that a killed driver left unfinished counts as not written."""

    path: Path

    def start(self, learned: Sequence[Observation]) -> None:
        """Write the first line, unless the file is there."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, _line({"learned": [_observation_to(one) for one in learned]}))

    def append(self, suggestion: Suggestion) -> None:
        """Write a suggestion to the disk before anything of it is started."""
        with self.path.open("ab") as file:
            file.write(_line(_suggestion_to(suggestion)))
            file.flush()
            os.fsync(file.fileno())

    def read(self, spec: SweepSpec) -> History | None:
        """The history of the run, its configs found again in today's space; None where none was written.

        What a killed driver left of a last line is left out; see `cut_unfinished_line`.

        Raises:
            UsageError: if the file is damaged.
        """
        if not self.path.exists():
            return None
        try:
            content = self.path.read_bytes()
            first, *lines = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
            learned = tuple(_observation_from(spec, one) for one in first["learned"])
            suggestions = tuple(_suggestion_from(spec, line) for line in lines)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UsageError(f"{self.path} is damaged ({error}): restore it, or choose another --out") from error
        told = tuple(one for suggestion in suggestions for one in suggestion.told)
        return History(learned=learned, suggestions=suggestions, told=told)

    def cut_unfinished_line(self) -> None:
        """Cut off a last line that a killed driver left unfinished: its trials were never started.

        Only for the driver: to others, a line that is being written looks unfinished.
        """
        if self.path.exists():
            content = self.path.read_bytes()
            os.truncate(self.path, content.rfind(b"\n") + 1)


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _suggestion_to(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "number": suggestion.number,
        "method": suggestion.method,
        "num_duplicates": suggestion.num_duplicates,
        **({} if suggestion.kinds is None else {"kinds": suggestion.kinds}),
        "told": [dataclasses.asdict(one) for one in suggestion.told],
        "rejected": [{**_candidate_to(one.candidate), "violations": one.violations} for one in suggestion.rejected],
        "arms": [_arm_to(arm) for arm in suggestion.arms],
    }


def _suggestion_from(spec: SweepSpec, line: Mapping[str, Any]) -> Suggestion:
    return Suggestion(
        number=line["number"],
        method=line["method"],
        num_duplicates=line["num_duplicates"],
        kinds=tuple(line["kinds"]) if "kinds" in line else None,
        told=tuple(Told(**one) for one in line["told"]),
        rejected=tuple(
            Rejected(candidate=_candidate_from(spec, one), violations=one["violations"]) for one in line["rejected"]
        ),
        arms=tuple(_arm_from(spec, one) for one in line["arms"]),
    )


def _arm_to(arm: Arm) -> dict[str, Any]:
    predicted = None if arm.predicted is None else dataclasses.asdict(arm.predicted)
    trial_ids = [trial.trial_id for trial in arm.trials]
    return {"trial_ids": trial_ids, "seeds": arm.seeds, "predicted": predicted, **_candidate_to(arm.candidate)}


def _arm_from(spec: SweepSpec, values: Mapping[str, Any]) -> Arm:
    predicted = None if values["predicted"] is None else Prediction(**values["predicted"])
    return Arm(candidate=_candidate_from(spec, values), seeds=tuple(values["seeds"]), predicted=predicted)


def _observation_to(one: Observation) -> dict[str, Any]:
    return {**_candidate_to(one.candidate), "state": one.state, "values": one.values, "violations": one.violations}


def _observation_from(spec: SweepSpec, values: Mapping[str, Any]) -> Observation:
    return Observation(
        candidate=_candidate_from(spec, values),
        state=values["state"],
        values=values["values"],
        violations=values["violations"],
    )


def _candidate_to(candidate: Candidate) -> dict[str, Any]:
    return {
        "config": candidate.config.model_dump(mode="json", exclude={"seed"}),
        "resources": candidate.resources.model_dump(mode="json", exclude_unset=True),
        "suffix": candidate.suffix,
    }


def _candidate_from(spec: SweepSpec, values: Mapping[str, Any]) -> Candidate:
    """One that today's space does not hold is run all the same, but no method learns from it."""
    config = TrialConfig.model_validate(values["config"])
    found = found_again(spec, config)
    return Candidate(
        config=config,
        resources=ResourcesConfig.model_validate(values["resources"]),
        suffix=values["suffix"],
        chosen=() if isinstance(found, str) else found.chosen,
    )
