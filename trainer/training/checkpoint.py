"""The checkpoint of a trial: networks, optimizers and counters.

Batches and dropout are pure functions of (seed, step), so no generator's state needs keeping; seeded weights are
regenerated, so they are not in it.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch.optim import Optimizer

from trainer.files import replacing
from trainer.model.gpt import GPT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Path of a trial's checkpoint, and what it belongs to: one trial, one dataset, one accelerator.

    Any device of the accelerator may go on from it, on this host or another. Another accelerator may only with
    `moves_anywhere`: one row would hold the work of two.
    """

    path: Path
    trial_id: str
    data_sha256: str
    accelerator: str
    device_name: str
    moves_anywhere: bool = False

    @property
    def owner(self) -> dict[str, str]:
        return {"trial_id": self.trial_id, "data_sha256": self.data_sha256, "accelerator": self.accelerator}

    def objection(self, owner: dict[str, str]) -> str | None:
        """Why a checkpoint of this owner cannot be gone on from; None if it can."""
        if (owner.get("trial_id"), owner.get("data_sha256")) != (self.trial_id, self.data_sha256):
            return "its checkpoint is of another trial or other data"
        # frostline 0.1.0 noted the device's own name instead of the accelerator
        before, now = owner.get("accelerator"), self.accelerator
        if before is None:
            before, now = owner.get("device_name"), self.device_name
        if before == now or self.moves_anywhere:
            return None
        return f"its checkpoint is of {before}, and this is {now}"


def save_checkpoint(
    checkpoint: Checkpoint, networks: Mapping[str, GPT], optimizers: Sequence[Optimizer], progress: dict[str, Any]
) -> None:
    """Write networks, the current phase's optimizers and `progress` (plain values) atomically.

    Raises:
        OSError: if the disk is full or cannot be written.
    """
    state = {
        "networks": {name: network.state_dict() for name, network in networks.items()},
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "progress": progress,
        "owner": checkpoint.owner,
    }
    with replacing(checkpoint.path) as temporary, temporary.open("wb") as file:
        writer = _Writer(file)
        try:
            torch.save(state, cast(IO[bytes], writer))  # it needs no more than `write`
        except RuntimeError:
            if writer.error is not None:
                raise writer.error from None
            raise


class _Writer:
    """A file that keeps the error of a write: of a full disk, `torch.save` says no more than that a write failed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self.file.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def load_checkpoint(checkpoint: Checkpoint, networks: Mapping[str, GPT]) -> tuple[dict[str, Any] | None, str | None]:
    """Bring `networks` to what `save_checkpoint` wrote.

    A checkpoint that is damaged, or of another owner, is no reason to fail: nothing is restored from it, and the trial
    starts over.

    Returns:
        All that was written, or None and why the trial starts over; two None where there is no checkpoint.
    """
    if not checkpoint.path.exists():
        return None, None
    try:
        with zipfile.ZipFile(checkpoint.path) as archive:
            damaged = archive.testzip()  # `torch.load` does not look at the checksums
        state = torch.load(checkpoint.path, map_location="cpu", weights_only=True)
        fits = damaged is None and _fits(state, networks)
    except Exception:  # whatever a damaged file leads to, it is no reason to fail
        fits = False
    if not fits:
        return None, "its checkpoint is damaged"
    if objection := checkpoint.objection(state["owner"]):
        return None, objection
    for name, network in networks.items():
        network.load_state_dict(state["networks"][name])
    return dict(state), None


def _fits(state: Any, networks: Mapping[str, GPT]) -> bool:
    """Whether all of `state` can be restored; a partial restore would continue from a wrong state."""
    if not isinstance(state, dict) or state.keys() != {"networks", "optimizers", "progress", "owner"}:
        return False
    if not isinstance(state["owner"], dict) or not isinstance(state["progress"], dict):
        return False
    shapes = {name: _shapes(network.state_dict()) for name, network in networks.items()}
    return shapes == {name: _shapes(saved) for name, saved in state["networks"].items()}


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
