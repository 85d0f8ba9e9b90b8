"""Reload an artifact into a clean model and score it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from trainer.artifact.read import Artifact, read
from trainer.config.trial import TrialConfig
from trainer.data.batches import ValidationRows, validation_rows
from trainer.data.dataset import Dataset
from trainer.data.token_bytes import ByteTables, load_byte_tables
from trainer.device import compute_dtype, place
from trainer.errors import DataError
from trainer.evaluate import Score, evaluate
from trainer.model.networks import Scored, load_networks, scored_model
from trainer.recipes.variants import plan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """The fixed tokens a trial is scored on, and how many bytes of text each token stands for."""

    rows: ValidationRows
    tables: ByteTables

    def score(self, model: Scored, config: TrialConfig, *, stride: int | None = None) -> Score:
        return evaluate(model, self.rows, self.tables, config, stride=stride)

    def first_tokens(self, num_tokens: int) -> Validation:
        """The first rows of these, as many as hold at most so many tokens, and at least one."""
        num_rows = max(1, min(self.rows.num_rows, num_tokens // self.rows.sequence_tokens))
        return dataclasses.replace(self, rows=dataclasses.replace(self.rows, num_rows=num_rows))

    def second_part(self) -> Validation | None:
        """The text that follows; None where it ends here."""
        rows = self.rows.after()
        return None if rows is None else dataclasses.replace(self, rows=rows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reloaded:
    """An artifact read back, and what it scores: in blocks, and with a sliding window where the config asks for it.

    `test` is its score in blocks on the second part of the validation text, where that was asked for.
    """

    artifact: Artifact
    score: Score
    sliding: Score | None
    test: Score | None = None


def open_validation(config: TrialConfig, dataset: Dataset) -> Validation:
    """The validation tokens that `config` is scored on. Raises DataError if the vocabularies differ."""
    if dataset.vocab_size != config.model.vocab_size:
        raise DataError(
            f"dataset {dataset.name} has {dataset.vocab_size} tokens in its vocabulary, but `model.vocab_size` is "
            f"{config.model.vocab_size}: set it to {dataset.vocab_size}, or choose another dataset"
        )
    rows = validation_rows(dataset, sequence_tokens=config.train.sequence_tokens, num_tokens=config.eval.tokens)
    return Validation(rows=rows, tables=load_byte_tables(dataset.tokenizer, dataset.vocab_size))


def reload_and_score(path: Path, *, dataset: Dataset, device: torch.device, scores_test: bool = False) -> Reloaded:
    """Read an artifact into a clean model and score it on `dataset` as its trial was scored.

    Args:
        scores_test: also on the second part of the validation text.

    Raises:
        ArtifactError: if the file is damaged.
        DataError: if the dataset has another vocabulary, or no second part.
    """
    artifact = read(path)
    config = artifact.config
    networks = load_networks(config, artifact.weights, compute_dtype=compute_dtype(config))
    for network in networks.values():
        place(network, config, device)
    model, validation = scored_model(plan(config), networks), open_validation(config, dataset)
    second = validation.second_part() if scores_test else None
    if scores_test and second is None:
        raise DataError(f"{dataset.name}: no validation text is left after `eval.tokens` to confirm on")
    return Reloaded(
        artifact=artifact,
        score=validation.score(model, config),
        sliding=validation.score(model, config, stride=config.eval.stride) if config.eval.stride else None,
        test=second.score(model, config) if second else None,
    )
