"""Trials small enough for tests, in both families."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from trainer.config.trial import TrialConfig
from trainer.model.gpt import GPT
from trainer.model.initialization import build_networks

STUDY = {"vocab_size": 512, "num_layers": 2, "dim": 32, "num_heads": 2}
COMPETITION = {**STUDY, "family": "competition", "num_layers": 3, "num_heads": 4, "num_kv_heads": 2}
TRAIN = {"steps": 12, "sequence_tokens": 32, "batch_sequences": 4, "checkpoint_every_seconds": 1e9}


def tiny_config(*, model: dict[str, Any] = STUDY, train: dict[str, Any] | None = None, **settings: Any) -> TrialConfig:
    """A trial on the dataset `tiny`; any section may be overridden."""
    values = {"data": "tiny", "model": model, "train": {**TRAIN, **(train or {})}, "eval": {"tokens": 1024}}
    return TrialConfig.model_validate({**values, **settings})


def tiny_recipe(recipe: str, **settings: Any) -> TrialConfig:
    """A tiny trial of any recipe, with the sections that it needs."""
    model = {**STUDY, "mlp": "gelu"} if recipe == "low_rank" else STUDY
    sections: dict[str, dict[str, Any]] = {
        "full_adapter": {"adapter": {"rank": 4}},
        "low_rank": {"low_rank": {"rank": 4}},
        "distill": {"distill": {"teacher_layers": 1, "teacher_dim": 16, "teacher_heads": 2}},
    }
    return tiny_config(recipe=recipe, **{"model": model, **sections.get(recipe, {}), **settings})


def build(config: TrialConfig) -> GPT:
    """The network `model` of a trial at its start."""
    return build_networks(config)["model"]


def digests(network: GPT) -> dict[str, str]:
    """SHA-256 of every weight's bytes, the seeded ones among them, by name."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return {name.removesuffix(".weight"): digest(tensor) for name, tensor in tensors}


def digest(tensor: torch.Tensor) -> str:
    """SHA-256 of a tensor's bytes."""
    return hashlib.sha256(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
