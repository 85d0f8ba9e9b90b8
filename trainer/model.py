"""The GPT, both families in one file: the study's (PR #1301) and the competition baseline's.

Shapes in comments: b sequences, t tokens, d width, h heads, k key/value heads, e head width, f MLP width, v vocabulary.
Which weights are learned and which are regenerated from a seed comes from the recipe's plan; the forward pass does
not know. The block is one function of (block, stream, input), so that one compiled graph serves every layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import FreezeConfig, ModelConfig, TrialConfig
from trainer.frozen import SeededLinear
from trainer.recipes import plan
from trainer.shapes import is_matrix, weight_shapes

Map = nn.Linear | SeededLinear
NORM_EPSILON = 1e-6
ROPE_BASE = 10_000.0


def rms_norm(x: Tensor, gain: Tensor | None = None) -> Tensor:
    """Root-mean-square norm over the last axis, with or without a learned gain."""
    return F.rms_norm(x, (x.size(-1),), gain, NORM_EPSILON)


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
        chosen = [i for i, linear in enumerate(maps) if isinstance(linear, SeededLinear) == frozen]
        if chosen:
            weights = [maps[i].weight for i in chosen]
            weight = weights[0] if len(weights) == 1 else torch.cat(weights)
            y = rounded(F.linear(x, rounded(weight))) if rounds else F.linear(x, weight)
            outputs.update(zip(chosen, y.split([w.shape[0] for w in weights], dim=-1), strict=True))
    return [outputs[i] for i in range(len(maps))]


class Block(nn.Module):
    """Attention and MLP around one residual stream. Gains and maps that the family lacks are None or absent."""

    q: Map
    k: Map
    v: Map
    o: Map
    gate: Map
    up: Map
    down: Map
    fc: Map
    proj: Map
    attention_norm: nn.Parameter | None
    mlp_norm: nn.Parameter | None
    q_gain: nn.Parameter | None
    attention_scale: nn.Parameter | None
    mlp_scale: nn.Parameter | None
    input_mix: nn.Parameter | None

    def __init__(self, model: ModelConfig, maps: Mapping[str, Map], vectors: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.model, self.rounds = model, False
        for name, module in maps.items():
            self.add_module(name, module)
        for name in ("attention_norm", "mlp_norm", "q_gain", "attention_scale", "mlp_scale", "input_mix"):
            self.register_parameter(name, vectors.get(name))

    def forward(self, x: Tensor, x0: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:  # x, x0: (b, t, d)
        if self.input_mix is not None:
            x = self.input_mix[0] * x + self.input_mix[1] * x0
        attended = self.attend(rms_norm(x, self.attention_norm), cosine, sine)
        x = x + (attended if self.attention_scale is None else self.attention_scale * attended)
        mixed = self.mix(rms_norm(x, self.mlp_norm))
        return x + (mixed if self.mlp_scale is None else self.mlp_scale * mixed)

    def attend(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        model, (b, t, _) = self.model, x.shape
        queries, keys, values = fused_linear(x, (self.q, self.k, self.v), rounds=self.rounds)
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
        return fused_linear(y.transpose(1, 2).reshape(b, t, model.dim), (self.o,), rounds=self.rounds)[0]

    def mix(self, x: Tensor) -> Tensor:
        if self.model.mlp == "relu2":
            (hidden,) = fused_linear(x, (self.fc,), rounds=self.rounds)
            return fused_linear(self.drop(F.relu(hidden).square()), (self.proj,), rounds=self.rounds)[0]
        gate, up = fused_linear(x, (self.gate, self.up), rounds=self.rounds)
        return fused_linear(self.drop(F.gelu(gate) * up), (self.down,), rounds=self.rounds)[0]

    def drop(self, hidden: Tensor) -> Tensor:
        return F.dropout(hidden, self.model.dropout, self.training) if self.model.dropout else hidden


class GPT(nn.Module):
    """A decoder with tied embedding. Weights are named as in `trainer.shapes.weight_shapes`."""

    def __init__(self, config: TrialConfig, *, compute_dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model = model = config.model
        kinds = plan(config).kinds
        shapes = weight_shapes(model)
        blocks = []
        for layer in range(model.num_layers):
            prefix = f"blocks.{layer}."
            names = [name for name in shapes if name.startswith(prefix)]
            maps = {n.removeprefix(prefix): _map(config, n, compute_dtype) for n in names if is_matrix(n)}
            vectors = {n.removeprefix(prefix): _empty(shapes[n]) for n in names if not is_matrix(n)}
            blocks.append(Block(model, maps, vectors))
        self.embedding = _empty(shapes["embedding"])
        self.final_norm: nn.Parameter | None
        self.skip_gains: nn.Parameter | None
        self.blocks = nn.ModuleList(blocks)
        for name in ("final_norm", "skip_gains"):
            self.register_parameter(name, _empty(shapes[name]) if name in shapes else None)
        self.rounds = False
        self._rope: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}
        self._run_block: Callable[..., Tensor] = Block.forward
        self._run_head: Callable[..., Tensor] = token_losses
        assert set(self.weights()) == {name for name, kind in kinds.items() if kind != "seeded"}

    def forward(self, tokens: Tensor, *, compiled: bool = False) -> Tensor:
        """Cross-entropy of every token after the first.

        Args:
            tokens: (b, t + 1), integers.
            compiled: use the graphs that `compile_blocks` made. Scores are always taken without, so that a score
                does not depend on what a compiler fused.

        Returns:
            (b, t) float32, nats.
        """
        run_block, run_head = (self._run_block, self._run_head) if compiled else (Block.forward, token_losses)
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        x = F.embedding(inputs, self.embedding)
        if self.model.input_mix:
            x = rms_norm(x)
        # a copy: the first block would see one tensor twice, and be compiled a second time for that
        x0 = x.clone() if self.model.input_mix else x
        cosine_sine = self._rotations(inputs.size(1), x.device)
        skips: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            skip = layer - (self.model.num_layers - self.model.num_layers // 2)
            if self.skip_gains is not None and skip >= 0:
                x = x + self.skip_gains[skip] * skips.pop()
            x = run_block(cast(Block, block), x, x0, *cosine_sine)
            if self.skip_gains is not None and layer < self.model.num_layers // 2:
                skips.append(x)
        return run_head(x, self.final_norm, self.embedding, self.model.logit_softcap, targets, self.rounds)

    def compile_blocks(self) -> None:
        """Compile the block once for all layers, and the head with the loss.

        Graphs that an earlier trial left in this process are dropped first: they count towards PyTorch's limit of
        graphs per function, and its cache on disk makes them cheap to get back.
        """
        torch.compiler.reset()
        self._run_block = torch.compile(Block.forward, fullgraph=True, dynamic=False)
        self._run_head = torch.compile(token_losses, fullgraph=True, dynamic=False)

    def round_products(self) -> None:
        """Take bfloat16 products by rounding, see `fused_linear`; instead of autocast, on processors without them."""
        self.rounds = True
        for block in self.blocks:
            block.rounds = True  # type: ignore[assignment]

    def weights(self) -> dict[str, nn.Parameter]:
        """Every weight that is not regenerated from a seed, by its stored name, in no particular order."""
        return {name.removesuffix(".weight"): parameter for name, parameter in self.named_parameters()}

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Overwrite all weights. Raises KeyError or RuntimeError if names or shapes differ."""
        with torch.no_grad():
            for name, parameter in self.weights().items():
                parameter.copy_(torch.from_numpy(weights[name]))

    def export_weights(self) -> dict[str, np.ndarray]:
        """Float32 copies of all weights that an artifact must hold."""
        return {name: p.detach().to("cpu", torch.float32).numpy().copy() for name, p in self.weights().items()}

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


def token_losses(
    x: Tensor, norm: Tensor | None, embedding: Tensor, softcap: float | None, targets: Tensor, rounds: bool
) -> Tensor:
    """Cross-entropy in nats of each target: (b, t, d) stream and (b, t) targets to (b, t) float32."""
    x = rms_norm(x, norm)
    logits = F.linear(rounded(x), rounded(embedding)) if rounds else F.linear(x, embedding).float()
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def initialise(model: GPT, seed: int) -> None:
    """Give every learned weight its start, each from its own generator.

    A weight's start depends on the seed and its name alone: freezing one matrix leaves the start of all others as it
    was, so a frozen trial and its control begin at the same point.
    """
    with torch.no_grad():
        for name, parameter in model.weights().items():
            generator = torch.Generator().manual_seed(_seed_of(seed, name))
            parameter.copy_(_start(model.model, name, parameter.shape, generator))


def build(config: TrialConfig, *, compute_dtype: torch.dtype = torch.float32) -> GPT:
    """A model at its start, on the CPU."""
    model = GPT(config, compute_dtype=compute_dtype)
    initialise(model, config.seed)
    return model


def _start(model: ModelConfig, name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    last = name.rpartition(".")[2]
    if name == "embedding":
        return model.embedding_std * torch.randn(shape, generator=generator)
    if last in ("o", "down", "proj") and model.zero_init_projections:
        return torch.zeros(shape)
    if is_matrix(name):
        if model.linear_std is not None:
            return model.linear_std * torch.randn(shape, generator=generator)
        return (2 * torch.rand(shape, generator=generator) - 1) * shape[1] ** -0.5
    if last == "input_mix":
        return torch.stack([torch.ones(shape[1]), torch.zeros(shape[1])])
    return torch.full(shape, 1.5 if last == "q_gain" else 1.0)


def _seed_of(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"start/{seed}/{name}".encode()).digest()[:8], "little") >> 1


def _map(config: TrialConfig, name: str, compute_dtype: torch.dtype) -> Map:
    num_outputs, num_inputs = weight_shapes(config.model)[name]
    if plan(config).kinds[name] == "seeded":
        freeze = config.freeze or FreezeConfig()
        seed = config.seed if freeze.seed is None else freeze.seed
        return SeededLinear(num_inputs, num_outputs, layer=name, seed=seed, scheme=freeze.scheme, dtype=compute_dtype)
    # by way of meta, which skips a random start that `initialise` or `load_weights` would overwrite
    return nn.Linear(num_inputs, num_outputs, bias=False, device="meta").to_empty(device="cpu")


def _empty(shape: Sequence[int]) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape))
