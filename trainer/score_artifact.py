"""Reload an artifact into a clean model and score it."""

from __future__ import annotations

from pathlib import Path

import torch

from trainer.artifact.read import read
from trainer.data.dataset import Dataset
from trainer.errors import DataError
from trainer.scoring.validation import Reloaded, open_validation, score_artifact


def reload_and_score(path: Path, *, dataset: Dataset, device: torch.device, scores_test: bool = False) -> Reloaded:
    """Read an artifact into a clean model and score it on `dataset` as its trial was scored.

    Args:
        scores_test: also on the second part of the validation text.

    Raises:
        ArtifactError: if the file is damaged.
        DataError: if the dataset has another vocabulary, or no second part.
    """
    artifact = read(path)
    try:
        return score_artifact(artifact, open_validation(artifact.config, dataset), device, scores_test=scores_test)
    except DataError as error:
        raise DataError(f"{dataset.name}: {error}") from error
