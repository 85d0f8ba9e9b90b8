"""Names and shapes of every weight of a model, from its config alone."""

from __future__ import annotations

from itertools import chain
from math import prod

from trainer.config.shape import MATRICES_OF_ATTENTION, MATRICES_OF_MLP, ModelShape

Shape = tuple[int, ...]
MATRICES_OF_CORRECTIONS = ("lora_a", "lora_b", "vera_a", "vera_b", "branch_in", "branch_out")
MATRIX_NAMES = frozenset([*MATRICES_OF_ATTENTION, *chain(*MATRICES_OF_MLP.values()), *MATRICES_OF_CORRECTIONS])


def weight_shapes(model: ModelShape) -> dict[str, Shape]:
    """Every weight's name and shape, in the order they are stored in an artifact.

    Matrices are (out, in). Names are those of the torch model's parameters and buffers: `embedding`,
    `blocks.<layer>.<matrix>`, `blocks.<layer>.<gain>`, `final_norm`, `skip_gains`.
    """
    shapes: dict[str, Shape] = {"embedding": (model.vocab_size, model.dim)}
    for layer in range(model.num_layers):
        block = {**_matrix_shapes(model), **_vector_shapes(model)}
        shapes.update({f"blocks.{layer}.{name}": shape for name, shape in block.items()})
    if model.norm_gain:
        shapes["final_norm"] = (model.dim,)
    if model.unet_skips and model.num_layers > 1:
        shapes["skip_gains"] = (model.num_layers // 2, model.dim)
    return shapes


def count_params(model: ModelShape) -> int:
    """Number of parameters, learned and frozen."""
    return sum(prod(shape) for shape in weight_shapes(model).values())


def is_matrix(name: str) -> bool:
    """Whether the weight `name` is a matrix of a linear map (not the embedding, a gain or a norm)."""
    return name.rpartition(".")[2] in MATRIX_NAMES


def _matrix_shapes(model: ModelShape) -> dict[str, Shape]:
    dim, kv_dim, hidden = model.dim, model.kv_heads * model.head_dim, model.mlp_dim
    shapes: dict[str, Shape] = {"q": (dim, dim), "k": (kv_dim, dim), "v": (kv_dim, dim), "o": (dim, dim)}
    shapes.update({"gate": (hidden, dim), "up": (hidden, dim), "down": (dim, hidden)})
    shapes.update({"fc": (hidden, dim), "proj": (dim, hidden)})
    return {name: shapes[name] for name in model.matrices}


def _vector_shapes(model: ModelShape) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    if model.norm_gain:
        shapes.update({"attention_norm": (model.dim,), "mlp_norm": (model.dim,)})
    if model.qk_norm:
        shapes["q_gain"] = (model.num_heads,)
    if model.branch_scale:
        shapes.update({"attention_scale": (model.dim,), "mlp_scale": (model.dim,)})
    if model.input_mix:
        shapes["input_mix"] = (2, model.dim)
    return shapes
