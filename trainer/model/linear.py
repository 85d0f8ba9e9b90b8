"""Linear maps: fused where they share an input, frozen and learned ones apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.frozen.seeded_linear import SeededLinear

Map = nn.Linear | SeededLinear


def rounded(x: Tensor) -> Tensor:
    """The nearest bfloat16 values, as float32; gradients are rounded on their way back as well."""
    return x.to(torch.bfloat16).to(torch.float32)


def fused_linear(x: Tensor, maps: Sequence[Map], *, rounds: bool) -> list[Tensor]:
    """Apply linear maps that share an input as one product per kind of weight: one for learned, one for frozen.

    Frozen and learned weights never share a product, so a frozen one costs no weight gradient.

    Args:
        x: (..., in).
        maps: their weights are (out, in).
        rounds: take bfloat16 products on a processor that has none: operands and results are rounded to bfloat16,
            products and sums are float32, as the units of a GPU do it. PyTorch's own bfloat16 kernels are up to 50
            times slower than this on such a processor.
    """
    outputs: dict[int, Tensor] = {}
    x = rounded(x) if rounds else x
    for frozen in (False, True):
        chosen = [i for i, linear in enumerate(maps) if linear.weight.requires_grad != frozen]
        if chosen:
            weights = [maps[i].weight for i in chosen]
            weight = weights[0] if len(weights) == 1 else torch.cat(weights)
            y = rounded(F.linear(x, rounded(weight))) if rounds else F.linear(x, weight)
            outputs.update(zip(chosen, y.split([w.shape[0] for w in weights], dim=-1), strict=True))
    return [outputs[i] for i in range(len(maps))]


def linear(x: Tensor, weight_map: Map, *, rounds: bool) -> Tensor:
    """One linear map, see `fused_linear`."""
    return fused_linear(x, (weight_map,), rounds=rounds)[0]
