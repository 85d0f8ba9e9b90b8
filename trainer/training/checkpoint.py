"""The checkpoint of a trial: networks, optimizers and counters.

Batches and dropout are pure functions of (seed, step), so no generator's state needs keeping; seeded weights are
regenerated, so they are not in it.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from trainer.files import replacing
from trainer.model.gpt import GPT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Path of a trial's checkpoint, and its owner: one trial, on one dataset, on one device.

    Continuing elsewhere would mix two trials, two datasets or two devices in one row.
    """

    path: Path
    trial_id: str
    data_sha256: str
    device_name: str

    @property
    def owner(self) -> dict[str, str]:
        return {"trial_id": self.trial_id, "data_sha256": self.data_sha256, "device_name": self.device_name}


def save_checkpoint(
    checkpoint: Checkpoint, networks: Mapping[str, GPT], optimizers: Sequence[Optimizer], progress: dict[str, Any]
) -> None:
    """Write networks, the current phase's optimizers and `progress` (plain values) atomically."""
    state = {
        "networks": {name: network.state_dict() for name, network in networks.items()},
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "progress": progress,
        "owner": checkpoint.owner,
    }
    with replacing(checkpoint.path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(checkpoint: Checkpoint, networks: Mapping[str, GPT]) -> dict[str, Any] | None:
    """Bring `networks` to what `save_checkpoint` wrote, and return all of it; None if there is no usable checkpoint.

    A checkpoint that is damaged, or another owner's, is no reason to fail: nothing is restored from it, and the trial
    starts over.
    """
    try:
        state = torch.load(checkpoint.path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return None
    if not _fits(state, networks) or state["owner"] != checkpoint.owner:
        return None
    for name, network in networks.items():
        network.load_state_dict(state["networks"][name])
    return dict(state)


def _fits(state: Any, networks: Mapping[str, GPT]) -> bool:
    """Whether all of `state` can be restored; a partial restore would continue from a wrong state."""
    if not isinstance(state, dict) or state.keys() != {"networks", "optimizers", "progress", "owner"}:
        return False
    shapes = {name: _shapes(network.state_dict()) for name, network in networks.items()}
    return shapes == {name: _shapes(saved) for name, saved in state["networks"].items()}


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
