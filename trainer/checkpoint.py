"""The one checkpoint of a trial: everything that the rest of its training depends on, nothing else.

Batches and dropout are pure functions of (seed, step), so no generator's state needs keeping; seeded weights are
regenerated, so they are not in it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from trainer.files import replacing
from trainer.model import GPT


def save_checkpoint(
    path: Path, networks: Mapping[str, GPT], optimizers: Sequence[Optimizer], progress: dict[str, Any]
) -> None:
    """Write networks, the present phase's optimisers and `progress` (plain values), whole or not at all."""
    state = {
        "networks": {name: network.state_dict() for name, network in networks.items()},
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "progress": progress,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, networks: Mapping[str, GPT]) -> dict[str, Any] | None:
    """Bring `networks` to what `save_checkpoint` wrote, and return all of it; None if there is no usable checkpoint.

    A checkpoint that is damaged or was written for other shapes is no reason to fail: nothing is restored from it,
    and the trial starts over.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return None
    if not _fits(state, networks):
        return None
    for name, network in networks.items():
        network.load_state_dict(state["networks"][name])
    return dict(state)


def _fits(state: Any, networks: Mapping[str, GPT]) -> bool:
    """Whether all of `state` can be restored: half a restore would train on from a point that never was."""
    if not isinstance(state, dict) or state.keys() != {"networks", "optimizers", "progress"}:
        return False
    shapes = {name: _shapes(network.state_dict()) for name, network in networks.items()}
    return shapes == {name: _shapes(saved) for name, saved in state["networks"].items()}


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
