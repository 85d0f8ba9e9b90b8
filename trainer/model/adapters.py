"""Adapters beside a frozen matrix: a gain per channel, LoRA, VeRA."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from trainer.model.linear import Map, linear


class Correction(nn.Module):
    """What is trained beside a frozen matrix W: a gain per channel, a low-rank pair, or VeRA's two vectors.

    y = gain * W x + lora_b lora_a x + vera_b (scale_b * scale_a * vera_a x) / rank, each term where it exists
    (LoRA: Hu et al., arXiv 2106.09685; VeRA: Kopiczko et al., arXiv 2310.11454, scaled as in PR #1301).
    """

    lora_a: Map | None
    lora_b: Map
    vera_a: Map | None
    vera_b: Map
    gain: nn.Parameter | None
    scale_a: nn.Parameter
    scale_b: nn.Parameter

    def __init__(self, maps: Mapping[str, Map], vectors: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        for name in ("lora_a", "lora_b", "vera_a", "vera_b"):
            self.add_module(name, maps.get(name))
        for name in ("gain", "scale_a", "scale_b"):
            self.register_parameter(name, vectors.get(name))

    def forward(self, x: Tensor, y: Tensor, *, rounds: bool) -> Tensor:  # x: (..., in), y = W x: (..., out)
        if self.gain is not None:
            y = y * self.gain
        if self.lora_a is not None:
            y = y + linear(linear(x, self.lora_a, rounds=rounds), self.lora_b, rounds=rounds)
        if self.vera_a is not None:
            scale = self.scale_a * self.scale_b / self.scale_a.numel()
            y = y + linear(linear(x, self.vera_a, rounds=rounds) * scale, self.vera_b, rounds=rounds)
        return y
