"""What a trial's training and scoring ask of a device: products, bytes, operations, from its config alone. Pure.

The numbers of operations and of the elements that they read and write were counted: every call that PyTorch 2.13
makes on a CPU without a compiler (`TorchDispatchMode`), in both families, with each setting on and off. They are linear
in the number of layers, and in tokens times width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator

from trainer.config.shape import ModelShape
from trainer.config.trial_settings import TrialSettings
from trainer.recipes.recipe import Network, Phase, Recipe
from trainer.recipes.weight_shapes import is_matrix

FP32_BYTES = 4
MMAP_BYTES = 2**25  # glibc's largest threshold
AUTOCAST_BYTES = 2.85  # of an element of a block, as some operations stay in float32 under autocast
# A forward pass alone, as a share of forward and backward.
FORWARD_ELEMENTS = 0.3
FORWARD_LAUNCHES = 0.35
FORWARD_FLOPS = 1 / 3

# Of a block, forward and backward: elements by token and unit of width (d, keys and values, hidden), and operations.
BLOCK_ELEMENTS = 113.0
KEY_ELEMENTS = 44.0
HIDDEN_ELEMENTS = {"geglu": 28.0, "gelu": 14.0, "relu2": 23.0}
BLOCK_LAUNCHES = {"geglu": 99, "gelu": 95, "relu2": 99}
NORM_GAIN = (16.0, 8)
INPUT_MIX = (22.0, 13)
BRANCH_SCALE = (16.0, 8)
UNET_SKIPS = (7.0, 4)
QK_NORM = (28.0, 36)  # by unit of width, and of keys and values
DROPOUT = (10.0, 4)  # by hidden unit
AUTOCAST_LAUNCHES = 18
# Of what stands beside a matrix: elements by token and output, and operations.
CORRECTIONS = {"lora_b": (13.0, 10), "vera_b": (13.0, 17), "gain": (8.0, 4), "branch_out": (13.0, 10)}
# Embedding and head: elements by token and word of the vocabulary, by token and unit of width, and operations.
HEAD_ELEMENTS = (12.0, 20.0)
HEAD_LAUNCHES = 34
SOFTCAP = (13.0, 6)
DISTILL = (27.0, 40)
INPUT_MIX_OF_HEAD = (25.0, 17)
PRODUCT_ELEMENTS = 4.0  # by weight of a matrix: read twice, its gradient written and added

# Of the update: elements by learned weight (AdamW reads and writes value and moments; clipping reads and writes the
# gradient), operations of a step, and of each tensor.
ADAM_ELEMENTS = 10.0
MUON_ELEMENTS = 40.0
UPDATE_LAUNCHES = 14.0
ADAM_LAUNCHES = 1.0
MUON_LAUNCHES = 23.0
NEWTON_SCHULZ_STEPS = 5
# The rows of a batch, read and put together.
BATCH_LAUNCHES = 10.0
ROW_LAUNCHES = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operations:
    """What a device is asked to do; sums and multiples are those of its parts.

    Args:
        flops: of matrix products, in the trial's precision.
        update_flops: of Muon's Newton–Schulz iterations, in bfloat16 whatever the trial's precision.
        bytes_moved: read and written, without a compiler, by tensors that a CPU's allocator keeps.
        large_bytes: likewise, by tensors of 32 MiB and more, which glibc takes from the system anew each time: on a
            CPU they take three times as long.
        launches: operations, each with a cost of its own on a CPU and in a card's driver.
    """

    flops: float = 0.0
    update_flops: float = 0.0
    bytes_moved: float = 0.0
    large_bytes: float = 0.0
    launches: float = 0.0

    def __add__(self, other: Operations) -> Operations:
        return _combined(lambda a, b: a + b, self, other)

    def __mul__(self, factor: float) -> Operations:
        return _combined(lambda a, _: a * factor, self, self)


NOTHING = Operations()


def _combined(combine: Callable[[float, float], float], one: Operations, other: Operations) -> Operations:
    return Operations(
        flops=combine(one.flops, other.flops),
        update_flops=combine(one.update_flops, other.update_flops),
        bytes_moved=combine(one.bytes_moved, other.bytes_moved),
        large_bytes=combine(one.large_bytes, other.large_bytes),
        launches=combine(one.launches, other.launches),
    )


def moved(num_bytes: float, tensor_elements: float) -> Operations:
    """Bytes of tensors that have so many float32 elements each."""
    if tensor_elements * FP32_BYTES >= MMAP_BYTES:
        return Operations(large_bytes=num_bytes)
    return Operations(bytes_moved=num_bytes)


def training_steps(config: TrialSettings, recipe: Recipe) -> Iterator[tuple[Phase, Operations]]:
    """Each phase of a recipe, with the operations of one of its steps."""
    frozen: dict[str, set[str]] = {name: set() for name in recipe.networks}
    for phase in recipe.phases:
        frozen[phase.network].update(phase.freezes)
        yield phase, _step(config, recipe, phase, frozen[phase.network])


def _step(config: TrialSettings, recipe: Recipe, phase: Phase, frozen: Collection[str]) -> Operations:
    train, network = config.train, recipe.networks[phase.network]
    length, parts = train.sequence_tokens, train.micro_batches
    tokens = train.batch_tokens // parts
    part = forward_backward(config, network, tokens, length, frozen)
    if phase.teacher is not None:
        teacher = recipe.networks[phase.teacher]
        vocabulary = tokens * teacher.model.vocab_size
        compared = moved(FP32_BYTES * DISTILL[0] * vocabulary, vocabulary) + Operations(launches=DISTILL[1])
        part = part + forward(config, teacher, tokens, length) + compared
    rows = Operations(launches=BATCH_LAUNCHES + ROW_LAUNCHES * train.batch_sequences)
    return part * parts + update(config, network, frozen) + rows


def forward_backward(
    config: TrialSettings, network: Network, tokens: int, length: int, frozen: Collection[str] = ()
) -> Operations:
    """Of one micro-batch of `tokens` in rows of `length`; a frozen matrix needs no gradient of its own."""
    model = network.model
    products = 6.0 * model.vocab_size * model.dim  # of each token: the tied head
    weights, corrected, launches = 0, 0.0, 0.0
    for name, weight in network.weights.items():
        if is_matrix(name):
            is_learned = weight.kind != "seeded" and name not in frozen
            products += (6.0 if is_learned else 4.0) * weight.num_params
            weights += weight.num_params
        elements, operations = CORRECTIONS.get(name.rpartition(".")[2], (0.0, 0))
        corrected += elements * weight.shape[0]
        launches += operations
    attention = 7.0 * model.num_layers * model.dim * length  # causal, and computed again on the way back
    block_bytes = AUTOCAST_BYTES if config.train.precision == "bf16" else FP32_BYTES
    of_blocks = (_block_elements(model) * model.num_layers + corrected) * tokens + PRODUCT_ELEMENTS * weights
    launches += _block_launches(config, model) * model.num_layers + _head_launches(model)
    return (
        moved(block_bytes * of_blocks, tokens * model.dim)
        + moved(FP32_BYTES * _head_elements(model) * tokens, tokens * model.vocab_size)
        + Operations(flops=(products + attention) * tokens, launches=launches)
    )


def forward(config: TrialSettings, network: Network, tokens: int, length: int) -> Operations:
    """Of a forward pass alone, as of a teacher or of a score."""
    whole = forward_backward(config, network, tokens, length)
    frozen = sum(weight.num_params for weight in network.weights.values() if weight.kind == "seeded")
    return Operations(
        flops=(whole.flops + 2.0 * frozen * tokens) * FORWARD_FLOPS,
        bytes_moved=whole.bytes_moved * FORWARD_ELEMENTS,
        large_bytes=whole.large_bytes * FORWARD_ELEMENTS,
        launches=whole.launches * FORWARD_LAUNCHES,
    )


def update(config: TrialSettings, network: Network, frozen: Collection[str] = ()) -> Operations:
    """Of the update of a step: clipping and the optimizer, of learned weights; it does not shrink with the batch."""
    has_muon = config.optimizer.name == "muon"
    elements, launches, flops = 0.0, UPDATE_LAUNCHES, 0.0
    for name, weight in network.weights.items():
        if weight.kind == "seeded" or name in frozen:
            continue
        launches += ADAM_LAUNCHES
        if has_muon and is_matrix(name):
            short, long = sorted(weight.shape)
            flops += NEWTON_SCHULZ_STEPS * (4.0 * short * short * long + 2.0 * short**3)
            elements += MUON_ELEMENTS * weight.num_params
            launches += MUON_LAUNCHES
        else:
            elements += ADAM_ELEMENTS * weight.num_params
    return Operations(update_flops=flops, bytes_moved=FP32_BYTES * elements, launches=launches)


def scoring(config: TrialSettings, recipe: Recipe, num_tokens: int, stride: int | None = None) -> Operations:
    """Of the score of `num_tokens` by every stored network, in blocks or with a window that slides by `stride`."""
    length = config.train.sequence_tokens
    num_rows = max(1, num_tokens // length) if stride is None else 1 + -(-max(0, num_tokens - length) // stride)
    rows = min(num_rows, config.eval.batch_sequences)
    batch = Operations(launches=ROW_LAUNCHES * rows + BATCH_LAUNCHES)
    for name in recipe.stored:
        batch = batch + forward(config, recipe.networks[name], rows * length, length)
    return batch * (num_rows / rows)


def _block_elements(model: ModelShape) -> float:
    """Of one block, forward and backward, for each token."""
    by_width = BLOCK_ELEMENTS + sum(elements for elements, _ in _extras(model))
    by_keys = KEY_ELEMENTS + (QK_NORM[0] if model.qk_norm else 0.0)
    by_hidden = HIDDEN_ELEMENTS[model.mlp] + (DROPOUT[0] if model.dropout else 0.0)
    return by_width * model.dim + by_keys * model.kv_heads * model.head_dim + by_hidden * model.mlp_dim


def _block_launches(config: TrialSettings, model: ModelShape) -> float:
    launches = BLOCK_LAUNCHES[model.mlp] + sum(operations for _, operations in _extras(model))
    autocast = AUTOCAST_LAUNCHES if config.train.precision == "bf16" else 0
    return launches + (DROPOUT[1] if model.dropout else 0) + autocast


def _extras(model: ModelShape) -> Iterator[tuple[float, int]]:
    """What a block has beyond the plainest: elements by token and unit of width, and operations."""
    given = ((model.norm_gain, NORM_GAIN), (model.input_mix, INPUT_MIX), (model.branch_scale, BRANCH_SCALE))
    yield from (extra for is_there, extra in given if is_there)
    if model.unet_skips:
        yield UNET_SKIPS
    if model.qk_norm:
        yield QK_NORM


def _head_elements(model: ModelShape) -> float:
    """Of embedding, head and loss, for each token."""
    by_word = HEAD_ELEMENTS[0] + (SOFTCAP[0] if model.logit_softcap else 0.0)
    by_width = HEAD_ELEMENTS[1] + (INPUT_MIX_OF_HEAD[0] if model.input_mix else 0.0)
    return by_word * model.vocab_size + by_width * model.dim


def _head_launches(model: ModelShape) -> float:
    softcap, mix = SOFTCAP[1] if model.logit_softcap else 0, INPUT_MIX_OF_HEAD[1] if model.input_mix else 0
    return HEAD_LAUNCHES + softcap + mix
