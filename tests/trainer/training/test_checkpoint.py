"""A checkpoint is whole, or the trial starts over and says why."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from tiny import build, tiny_config

from trainer.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A checkpoint that is there."""
    checkpoint = Checkpoint(
        path=tmp_path / "state.pt", trial_id="a", data_sha256="b", accelerator="A40", device_name="NVIDIA A40"
    )
    save_checkpoint(checkpoint, {"model": build(tiny_config())}, [], {"step": 3})
    return checkpoint


def test_no_flipped_bit_is_restored(checkpoint: Checkpoint) -> None:
    """Whatever a damaged file leads to, the networks are as they were, or as they were saved."""
    whole, rng = checkpoint.path.read_bytes(), random.Random(0)
    network = build(tiny_config(seed=2))
    saved = {name: value.clone() for name, value in build(tiny_config()).state_dict().items()}
    start = {name: value.clone() for name, value in network.state_dict().items()}
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        checkpoint.path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        state, why = load_checkpoint(checkpoint, {"model": network})
        refused += state is None
        wanted = saved if state is not None else start
        assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())
        assert (why is None) == (state is not None)
        network.load_state_dict(start)
    assert refused > 100


def test_one_of_an_earlier_version_belongs_to_its_device(checkpoint: Checkpoint) -> None:
    """frostline 0.1.0 noted the device's own name: such a checkpoint goes on there, and nowhere else."""
    state = torch.load(checkpoint.path, weights_only=True)
    for device_name, is_restored in (("NVIDIA A40", True), ("NVIDIA H100", False)):
        owner = {"trial_id": "a", "data_sha256": "b", "device_name": device_name}
        torch.save({**state, "owner": owner}, checkpoint.path)
        found, why = load_checkpoint(checkpoint, {"model": build(tiny_config())})
        assert (found is not None) == is_restored and (why is None) == is_restored


def test_a_trial_without_one_begins(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """No checkpoint is no damage: nothing is said."""
    absent = dataclasses.replace(checkpoint, path=tmp_path / "absent.pt")
    assert load_checkpoint(absent, {"model": build(tiny_config())}) == (None, None)
