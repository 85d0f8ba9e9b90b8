"""Networks at their start: initial values of every learned weight."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from trainer.config.shape import ModelShape
from trainer.config.trial import TrialConfig
from trainer.model.gpt import GPT
from trainer.recipes.variants import plan
from trainer.recipes.weight_shapes import is_matrix

CORRECTION_STD = 0.02


def build_networks(config: TrialConfig, *, compute_dtype: torch.dtype = torch.float32) -> dict[str, GPT]:
    """Every network of a trial's recipe with its initial weights, on the CPU."""
    networks = {}
    for name, network in plan(config).networks.items():
        networks[name] = GPT(network, compute_dtype=compute_dtype)
        initialize(networks[name], seed=config.seed, prefix=network.prefix)
    return networks


def initialize(model: GPT, *, seed: int, prefix: str = "") -> None:
    """Set the initial value of every learned weight, each from its own generator.

    A weight's start depends on the seed, the network's prefix and its name alone: freezing one matrix leaves the start
    of all others as it was, so a frozen trial and its control begin at the same point.
    """
    with torch.no_grad():
        for name, parameter in model.weights().items():
            generator = torch.Generator().manual_seed(_seed_of(seed, prefix + name))
            parameter.copy_(_start(model.model, name, parameter.shape, generator))


def _start(model: ModelShape, name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    last = name.rpartition(".")[2]
    if name == "embedding":
        return model.embedding_std * torch.randn(shape, generator=generator)
    if last in ("lora_b", "branch_out"):
        return torch.zeros(shape)  # a correction begins as none
    if last in ("lora_a", "branch_in"):
        return CORRECTION_STD * torch.randn(shape, generator=generator)
    if last in ("o", "down", "proj") and model.zero_init_projections:
        return torch.zeros(shape)
    if is_matrix(name):
        if model.linear_std is not None:
            return model.linear_std * torch.randn(shape, generator=generator)
        return (2 * torch.rand(shape, generator=generator) - 1) * shape[1] ** -0.5
    if last == "input_mix":
        return torch.stack([torch.ones(shape[1]), torch.zeros(shape[1])])
    return torch.full(shape, {"q_gain": 1.5, "scale_b": 0.0}.get(last, 1.0))


def _seed_of(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"start/{seed}/{name}".encode()).digest()[:8], "little") >> 1
