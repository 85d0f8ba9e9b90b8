"""The validation tokens of a trial, and the score of an artifact on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from trainer.artifact.decode import Artifact
from trainer.config.shape import TrialShape
from trainer.data.shards import ValidationData
from trainer.data.token_bytes import ByteTables, load_byte_tables
from trainer.data.validation_rows import ValidationRows, validation_rows
from trainer.device import compute_dtype, place
from trainer.errors import DataError
from trainer.model.networks import Scored, load_networks, scored_model
from trainer.recipes.variants import plan
from trainer.scoring.evaluate import Score, evaluate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """The fixed tokens a trial is scored on, and how many bytes of text each token stands for."""

    rows: ValidationRows
    tables: ByteTables
    advance: Callable[[float], None] = lambda _: None  # is told the share that is scored

    def score(self, model: Scored, config: TrialShape, *, stride: int | None = None) -> Score:
        return evaluate(model, self.rows, self.tables, config, stride=stride, advance=self.advance)

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

    artifact: Artifact[Any]
    score: Score
    sliding: Score | None
    test: Score | None = None


def open_validation(config: TrialShape, data: ValidationData) -> Validation:
    """The validation tokens that `config` is scored on. Raises DataError if the vocabularies differ."""
    if data.vocab_size != config.model.vocab_size:
        raise DataError(
            f"dataset {data.name} has {data.vocab_size} tokens in its vocabulary, but `model.vocab_size` is "
            f"{config.model.vocab_size}: set it to {data.vocab_size}, or choose another dataset"
        )
    rows = validation_rows(data, sequence_tokens=config.train.sequence_tokens, num_tokens=config.eval.tokens)
    return Validation(rows=rows, tables=load_byte_tables(data.tokenizer, data.vocab_size))


def score_artifact(
    artifact: Artifact[Any], validation: Validation, device: torch.device, *, scores_test: bool = False
) -> Reloaded:
    """Score a decoded artifact in a clean model, as its trial was scored.

    Args:
        scores_test: also on the second part of the validation text.

    Raises:
        DataError: if there is no second part.
    """
    config = artifact.config
    second = validation.second_part() if scores_test else None
    if scores_test and second is None:
        raise DataError("no validation text is left after `eval.tokens` to confirm on")
    networks = load_networks(config, artifact.weights, compute_dtype=compute_dtype(config))
    for network in networks.values():
        place(network, config, device)
    model = scored_model(plan(config), networks)
    return Reloaded(
        artifact=artifact,
        score=validation.score(model, config),
        sliding=validation.score(model, config, stride=config.eval.stride) if config.eval.stride else None,
        test=second.score(model, config) if second else None,
    )
