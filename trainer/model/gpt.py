"""The GPT in both families: the study's (PR #1301) and the competition baseline's.

Shapes in comments: b sequences, t tokens, d width, h heads, k key/value heads, e head width, f MLP width, v vocabulary.
Which weights are learned and which are regenerated from a seed comes from the recipe's network; the forward pass does
not know. The block is one function of (block, stream, input), so that one compiled graph serves every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.frozen.seeded_linear import SeededLinear
from trainer.model.adapters import Correction
from trainer.model.linear import Map, fused_linear, linear
from trainer.model.losses import distill_losses, logits_of, rms_norm, token_losses
from trainer.recipes.recipe import Network, Weight
from trainer.recipes.weight_shapes import is_matrix

ROPE_BASE = 10_000.0
VECTORS_OF_BLOCK = ("attention_norm", "mlp_norm", "q_gain", "attention_scale", "mlp_scale", "input_mix")


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions on the first 2 * cosine.size(-1) dimensions of each head; the rest passes through.

    Args:
        x: (b, t, h, e).
        cosine, sine: (t, rope_dims / 2).
    """
    half = cosine.size(-1)
    cosine, sine = cosine[:, None, :].to(x.dtype), sine[:, None, :].to(x.dtype)  # (t, 1, half)
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([first * cosine + second * sine, second * cosine - first * sine, rest], dim=-1)


class Block(nn.Module):
    """Attention and MLP around one residual stream. Gains that the family lacks are None."""

    q: Map
    k: Map
    v: Map
    o: Map
    gate: Map
    up: Map
    down: Map
    fc: Map
    proj: Map
    branch_in: Map
    branch_out: Map
    attention_norm: nn.Parameter | None
    mlp_norm: nn.Parameter | None
    q_gain: nn.Parameter | None
    attention_scale: nn.Parameter | None
    mlp_scale: nn.Parameter | None
    input_mix: nn.Parameter | None

    def __init__(
        self,
        network: Network,
        maps: Mapping[str, Map],
        vectors: Mapping[str, nn.Parameter],
        corrections: Mapping[str, Correction],
    ) -> None:
        super().__init__()
        self.model, self.branch, self.rounds = network.model, network.branch if "branch_in" in maps else None, False
        for name, module in maps.items():
            self.add_module(name, module)
        for name in VECTORS_OF_BLOCK:
            self.register_parameter(name, vectors.get(name))
        self.corrections = nn.ModuleDict(dict(corrections))

    def forward(self, x: Tensor, x0: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:  # x, x0: (b, t, d)
        if self.input_mix is not None:
            x = self.input_mix[0] * x + self.input_mix[1] * x0
        attended = self.attend(rms_norm(x, self.attention_norm), cosine, sine)
        x = x + (attended if self.attention_scale is None else self.attention_scale * attended)
        mixed = self.mix(rms_norm(x, self.mlp_norm))
        return x + (mixed if self.mlp_scale is None else self.mlp_scale * mixed)

    def attend(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        model, (b, t, _) = self.model, x.shape
        queries, keys, values = self.project(x, "q", "k", "v")
        queries = queries.view(b, t, model.num_heads, model.head_dim)
        keys = keys.view(b, t, model.kv_heads, model.head_dim)
        values = values.view(b, t, model.kv_heads, model.head_dim)
        if self.q_gain is not None:
            queries, keys = rms_norm(queries), rms_norm(keys)
        queries, keys = rotate(queries, cosine, sine), rotate(keys, cosine, sine)
        if self.q_gain is not None:
            queries = queries * self.q_gain.to(queries.dtype)[:, None]
        y = F.scaled_dot_product_attention(
            queries.transpose(1, 2),
            keys.to(queries.dtype).transpose(1, 2),
            values.to(queries.dtype).transpose(1, 2),
            is_causal=True,
            enable_gqa=model.kv_heads != model.num_heads,
        )
        return self.project(y.transpose(1, 2).reshape(b, t, model.dim), "o")[0]

    def mix(self, x: Tensor) -> Tensor:
        if self.model.mlp == "geglu":
            gate, up = self.project(x, "gate", "up")
            return self.project(self.drop(F.gelu(gate) * up), "down")[0]
        (hidden,) = self.project(x, "fc")
        hidden = F.gelu(hidden) if self.model.mlp == "gelu" else F.relu(hidden).square()
        y = self.project(self.drop(hidden), "proj")[0]
        if self.branch is not None:
            narrow = linear(x, self.branch_in, rounds=self.rounds)
            narrow = F.gelu(narrow) if self.branch == "gelu" else narrow
            y = y + linear(narrow, self.branch_out, rounds=self.rounds)
        return y

    def project(self, x: Tensor, *names: str) -> list[Tensor]:
        """Apply the block's maps of these names to one input, each with its correction if it has one."""
        ys = fused_linear(x, [getattr(self, name) for name in names], rounds=self.rounds)
        for i, name in enumerate(names):
            if name in self.corrections:
                ys[i] = self.corrections[name](x, ys[i], rounds=self.rounds)
        return ys

    def drop(self, hidden: Tensor) -> Tensor:
        return F.dropout(hidden, self.model.dropout, self.training) if self.model.dropout else hidden


class GPT(nn.Module):
    """A decoder with tied embedding. Weights are named as in the recipe's network."""

    def __init__(self, network: Network, *, compute_dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model = model = network.model
        parts = {name: _part(network, name, compute_dtype) for name in network.weights}
        self.embedding = cast(nn.Parameter, parts["embedding"])
        self.final_norm: nn.Parameter | None
        self.skip_gains: nn.Parameter | None
        for name in ("final_norm", "skip_gains"):
            self.register_parameter(name, cast("nn.Parameter | None", parts.get(name)))
        self.blocks = nn.ModuleList(_block(network, parts, f"blocks.{i}.") for i in range(model.num_layers))
        self.rounds = False
        self._rope: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}
        self._compiled: dict[Callable[..., Any], Callable[..., Any]] = {}
        assert set(self.weights()) == {name for name, weight in network.weights.items() if weight.kind != "seeded"}

    def forward(self, tokens: Tensor, *, compiled: bool = False) -> Tensor:
        """Cross-entropy of every token after the first.

        Args:
            tokens: (b, t + 1), integers.
            compiled: use the graphs that `compile_blocks` made. Scores are always taken without, so that a score
                does not depend on what a compiler fused.

        Returns:
            (b, t) float32, nats.
        """
        return self._head(
            token_losses, self.stream(tokens[:, :-1], compiled=compiled), tokens[:, 1:], compiled=compiled
        )

    def logits(self, inputs: Tensor, *, compiled: bool = False) -> Tensor:
        """(b, t) tokens to (b, t, v) float32."""
        return self._head(logits_of, self.stream(inputs, compiled=compiled), compiled=compiled)

    def distill(
        self, tokens: Tensor, teacher_logits: Tensor, *, temperature: float, alpha: float, compiled: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Losses of every token after the first when learning from a teacher, see `distill_losses`: two of (b, t)."""
        x = self.stream(tokens[:, :-1], compiled=compiled)
        return self._head(distill_losses, x, tokens[:, 1:], teacher_logits, temperature, alpha, compiled=compiled)

    def stream(self, inputs: Tensor, *, compiled: bool) -> Tensor:
        """The residual stream after the last block: (b, t) tokens to (b, t, d)."""
        run_block = self._compiled[Block.forward] if compiled and self._compiled else Block.forward
        x = F.embedding(inputs, self.embedding)
        if self.model.input_mix:
            x = rms_norm(x)
        # a copy: the first block would see one tensor twice, and be compiled a second time for that
        x0 = x.clone() if self.model.input_mix else x
        cosine_sine = self._rotations(inputs.size(1), x.device)
        skips: list[Tensor] = []
        num_encoders = self.model.num_layers // 2
        for layer, block in enumerate(self.blocks):
            if self.skip_gains is not None and layer >= num_encoders and skips:
                x = x + self.skip_gains[layer - num_encoders] * skips.pop()
            x = run_block(cast(Block, block), x, x0, *cosine_sine)
            if self.skip_gains is not None and layer < num_encoders:
                skips.append(x)
        return x

    def _head(self, head: Callable[..., Any], x: Tensor, *more: object, compiled: bool) -> Any:
        run_head = self._compiled[head] if compiled and self._compiled else head
        return run_head(x, self.final_norm, self.embedding, self.model.logit_softcap, self.rounds, *more)

    def compile_blocks(self) -> None:
        """Compile the block once for all layers, and the heads."""
        functions = (Block.forward, token_losses, logits_of, distill_losses)
        self._compiled = {f: torch.compile(f, fullgraph=True, dynamic=False) for f in functions}

    def round_products(self) -> None:
        """Take bfloat16 products by rounding, see `fused_linear`; instead of autocast, on processors without them."""
        self.rounds = True
        for block in self.blocks:
            block.rounds = True  # type: ignore[assignment]

    def weights(self) -> dict[str, nn.Parameter]:
        """Every weight that is not regenerated from a seed, by its name, in no particular order."""
        return {name.removesuffix(".weight"): parameter for name, parameter in self.named_parameters()}

    def freeze(self, names: Sequence[str]) -> None:
        """Let weights keep their values from now on: no gradient, and so no decay and no momentum.

        They stay float32 under bfloat16 too, since checkpoint and artifact need what was trained: 4 bytes a weight,
        where a learned one takes 16 under AdamW (its value, its gradient, two moments) and a seeded one 2. For gate
        and up of 12L 384d, 7,077,888 weights, that is 28 MB of 113. A bfloat16 copy beside them would add 2 bytes for
        as long as the phase lasts, to spare a cast whose result lives for one step and is as large.
        """
        weights = self.weights()
        for name in names:
            weights[name].requires_grad_(False)
            weights[name].grad = None

    def _rotations(self, num_tokens: int, device: torch.device) -> tuple[Tensor, Tensor]:
        key = (num_tokens, device)
        if key not in self._rope:
            dims = self.model.rope_dims or self.model.head_dim
            # in numpy's float64, so that every device rotates by the same float32 angles
            frequencies = ROPE_BASE ** -(np.arange(0, dims, 2) / dims)
            angles = np.arange(num_tokens)[:, None] * frequencies
            cosine, sine = (torch.from_numpy(f(angles)).float().to(device) for f in (np.cos, np.sin))
            self._rope[key] = (cosine, sine)
        return self._rope[key]


def _block(network: Network, parts: Mapping[str, Map | nn.Parameter], prefix: str) -> Block:
    own = {name.removeprefix(prefix): part for name, part in parts.items() if name.startswith(prefix)}
    plain = {name: part for name, part in own.items() if "." not in name}
    corrections: dict[str, dict[str, Map | nn.Parameter]] = {}
    for name, part in own.items():
        if "." in name:
            _, matrix, last = name.split(".")
            corrections.setdefault(matrix, {})[last] = part
    made = {matrix: Correction(*_maps_and_vectors(parts)) for matrix, parts in corrections.items()}
    return Block(network, *_maps_and_vectors(plain), made)


def _maps_and_vectors(
    parts: Mapping[str, Map | nn.Parameter],
) -> tuple[dict[str, Map], dict[str, nn.Parameter]]:
    maps = {name: part for name, part in parts.items() if not isinstance(part, nn.Parameter)}
    return maps, {name: part for name, part in parts.items() if isinstance(part, nn.Parameter)}


def _part(network: Network, name: str, compute_dtype: torch.dtype) -> Map | nn.Parameter:
    """The module or parameter of one weight, its values not yet set."""
    weight = network.weights[name]
    if not is_matrix(name):
        return nn.Parameter(torch.empty(*weight.shape))
    if weight.kind == "seeded":
        return _seeded(network.prefix + name, weight, compute_dtype)
    # by way of meta, which skips a random start that is about to be overwritten
    linear_map = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    return linear_map.to_empty(device="cpu")


def _seeded(layer: str, weight: Weight, compute_dtype: torch.dtype) -> SeededLinear:
    num_outputs, num_inputs = weight.shape
    return SeededLinear(
        num_inputs, num_outputs, layer=layer, seed=weight.seed, scheme=weight.scheme, dtype=compute_dtype
    )
