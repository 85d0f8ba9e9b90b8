"""The one checkpoint of a trial: everything that the rest of its training depends on, nothing else.

Batches and dropout are pure functions of (seed, step), so no generator's state needs keeping; seeded weights are
regenerated, so they are not in it.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from trainer.files import replacing
from trainer.model import GPT


def save_checkpoint(path: Path, model: GPT, optimizers: list[Optimizer], progress: dict[str, Any]) -> None:
    """Write model, optimisers and `progress` (plain values and tensors), whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "progress": progress,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, model: GPT, optimizers: list[Optimizer]) -> dict[str, Any] | None:
    """Restore what `save_checkpoint` wrote and return its `progress`; None if there is no usable checkpoint.

    A checkpoint that is damaged or was written for other shapes is no reason to fail: nothing is restored from it,
    and the trial starts over.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return None
    if not _fits(state, model, optimizers):
        return None
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return dict(state["progress"])


def _fits(state: Any, model: GPT, optimizers: list[Optimizer]) -> bool:
    """Whether all of `state` can be restored: half a restore would train on from a point that never was."""
    if not isinstance(state, dict) or state.keys() != {"model", "optimizers", "progress"}:
        return False
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    sizes = [[len(group["params"]) for group in optimizer.param_groups] for optimizer in optimizers]
    saved_sizes = [[len(group["params"]) for group in saved["param_groups"]] for saved in state["optimizers"]]
    return shapes == {name: tensor.shape for name, tensor in state["model"].items()} and sizes == saved_sizes
