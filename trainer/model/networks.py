"""The networks of a trial: score them as one, export and load their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from trainer.config.shape import TrialShape
from trainer.model.gpt import GPT
from trainer.model.losses import cross_entropies
from trainer.recipes.recipe import Recipe
from trainer.recipes.variants import plan


class Ensemble(nn.Module):
    """Several models as one: the average of their logits."""

    def __init__(self, members: Sequence[GPT]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.embedding = members[0].embedding

    def forward(self, tokens: Tensor) -> Tensor:
        """Cross-entropy of every token after the first: (b, t + 1) to (b, t) float32, nats."""
        logits = torch.stack([member.logits(tokens[:, :-1]) for member in self.members]).mean(dim=0)  # type: ignore
        return cross_entropies(logits, tokens[:, 1:])


Scored = GPT | Ensemble


def scored_model(recipe: Recipe, networks: Mapping[str, GPT]) -> Scored:
    """What is scored: the one stored network, or the ensemble of several."""
    stored = [networks[name] for name in recipe.stored]
    return stored[0] if len(stored) == 1 else Ensemble(stored)


def export_weights(recipe: Recipe, networks: Mapping[str, GPT]) -> dict[str, np.ndarray]:
    """Float32 copies of all weights that an artifact must hold, by their names in it."""
    exported = {}
    for name in recipe.stored:
        prefix = recipe.networks[name].prefix
        for weight_name, weight in networks[name].weights().items():
            exported[prefix + weight_name] = weight.detach().to("cpu", torch.float32).numpy().copy()
    return exported


def load_networks(
    config: TrialShape, weights: Mapping[str, np.ndarray], *, compute_dtype: torch.dtype = torch.float32
) -> dict[str, GPT]:
    """The stored networks of a config, clean, with `weights` in them. Raises KeyError if one is missing."""
    recipe = plan(config)
    networks = {name: GPT(recipe.networks[name], compute_dtype=compute_dtype) for name in recipe.stored}
    with torch.no_grad():
        for name, network in networks.items():
            for weight_name, weight in network.weights().items():
                weight.copy_(torch.from_numpy(weights[recipe.networks[name].prefix + weight_name]))
    return networks
