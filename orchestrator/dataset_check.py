"""Checks the datasets that a plan needs, before anything starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.load import problem_at
from search_spaces.spec.sweep_spec import SweepSpec
from trainer.config.trial import TrialConfig
from trainer.data.batches import batch
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.validation_rows import validation_rows
from trainer.errors import DataError

# Of the tokens that the search is scored on: fewer say little.
MIN_SHARE_TO_CONFIRM = 0.25


def check_data(spec: SweepSpec, trials: Sequence[PlannedTrial], data_root: Path) -> dict[str, str]:
    """Open every dataset of the plan; the fingerprint (SHA-256) of each by its name.

    Raises:
        SpecError: if one is missing or damaged, of another vocabulary, or too short for some trial.
    """
    datasets: dict[str, Dataset] = {}
    for name in sorted({trial.config.data for trial in trials}):
        try:
            datasets[name] = open_dataset(name, data_root)
        except DataError as error:
            raise problem_at(spec, _data_key(spec), rule=f"{error} (data folder: {data_root})") from error
    for config in {trial.config.config_id: trial.config for trial in trials}.values():
        _check_config(spec, config, datasets[config.data])
    return {name: dataset.sha256 for name, dataset in datasets.items()}


def check_text_to_confirm(
    spec: SweepSpec, trials: Sequence[PlannedTrial], data_root: Path, note: Callable[[str], None]
) -> SweepSpec:
    """The spec, without confirmation where the search uses all validation text and the file does not insist on it.

    Raises:
        SpecError: if the file does.
    """
    if not spec.num_confirmed:
        return spec
    for config in {trial.config.config_id: trial.config for trial in trials}.values():
        dataset = open_dataset(config.data, data_root)
        rows = validation_rows(dataset, sequence_tokens=config.train.sequence_tokens, num_tokens=config.eval.tokens)
        after = rows.after()
        if after is None or after.num_rows < MIN_SHARE_TO_CONFIRM * rows.num_rows:
            left = 0 if after is None else after.num_tokens
            rule = (
                f"the validation text of {dataset.name} has {left:,} tokens beside the {rows.num_tokens:,} that the "
                "search is scored on: too few to confirm on; lower eval.tokens"
            )
            if spec.confirm.configs:
                raise problem_at(spec, "confirm.configs", rule=rule, value=spec.confirm.configs)
            note(f"no confirmation: {rule}")
            return dataclasses.replace(spec, confirm=spec.confirm.model_copy(update={"configs": 0}))
    return spec


def _check_config(spec: SweepSpec, config: TrialConfig, dataset: Dataset) -> None:
    if dataset.vocab_size != config.model.vocab_size:
        rule = f"must be {dataset.vocab_size}, the vocabulary of dataset {dataset.name}"
        raise problem_at(spec, "base.model.vocab_size", rule=rule, value=config.model.vocab_size)
    length = config.train.sequence_tokens
    try:
        validation_rows(dataset, sequence_tokens=length, num_tokens=config.eval.tokens)
        batch(dataset, seed=0, step=0, num_sequences=1, sequence_tokens=length)
    except DataError as error:
        raise problem_at(spec, "base.train.sequence_tokens", rule=str(error), value=length) from error


def _data_key(spec: SweepSpec) -> str:
    return "space.data" if any(parameter.key == "data" for parameter in spec.parameters) else "base.data"
