"""A linear layer whose weight is a frozen random map: never trained, never stored."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.frozen.random_maps import map_values
from trainer.recipes.recipe import Scheme


class SeededLinear(nn.Module):
    """`x @ weight.T` with the frozen map of (scheme, seed, layer, shape); no bias.

    The weight is a non-persistent buffer: no optimizer, weight decay, checkpoint or artifact sees it. It is made in
    float32 on the CPU and rounded once to `dtype`, the precision of the forward pass, which is the layer's own:
    moving a model between devices takes the weight along, but `half()`, `bfloat16()`, `to(dtype)` or `to_empty()` on
    a parent leave its values as they are. So no conversion through another precision can change a bit of it.
    """

    weight: Tensor  # (out, in)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        seed: int,
        layer: str,
        scheme: Scheme,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        assert dtype in (torch.float32, torch.bfloat16)
        self.in_features, self.out_features = in_features, out_features
        self.seed, self.layer, self.scheme, self.dtype = seed, layer, scheme, dtype
        self.register_buffer("weight", self._make(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        # Autocast brings both sides to its own precision; casting here as well would do it twice.
        weight = self.weight if torch.is_autocast_enabled(x.device.type) else self.weight.to(x.dtype)
        return F.linear(x, weight)

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}, {self.scheme}, seed={self.seed}, layer={self.layer}"

    def _make(self) -> Tensor:
        shape = (self.out_features, self.in_features)
        return torch.from_numpy(map_values(self.scheme, shape=shape, seed=self.seed, layer=self.layer)).to(self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SeededLinear:
        """Move to the device that `fn` (of `to`, `cuda`, `half`, `to_empty`) moves tensors to, values unchanged."""
        device = fn(torch.empty(0, dtype=self.dtype, device=self.weight.device)).device
        # Values that went to the meta device are gone; they are made anew when the layer comes back.
        self.weight = (self._make() if self.weight.is_meta else self.weight).to(device)
        return self
