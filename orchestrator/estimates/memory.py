"""How much memory a trial takes at its peak, from its config alone, as the trainer measures it on that device. Pure.

The activations that a block keeps for its backward pass were counted (`torch.autograd.graph.saved_tensors_hooks`,
PyTorch 2.13, without a compiler) with each setting on and off; they are linear in tokens times width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from orchestrator.estimates.operations import MMAP_BYTES
from trainer.config.shape import ModelShape
from trainer.config.trial_settings import TrialSettings
from trainer.recipes.recipe import Network, Phase, Recipe
from trainer.recipes.variants import plan
from trainer.recipes.weight_shapes import is_matrix

FP32_BYTES = 4
BF16_BYTES = 2
# A block keeps so many float32 elements a token: by unit of width, of keys and values, and of the hidden layer.
SAVED_BY_WIDTH = 7.5
SAVED_BY_KEYS = 3.0
SAVED_BY_HIDDEN = {"geglu": 4.0, "gelu": 2.0, "relu2": 2.0}
SAVED_BY_NORM_GAIN, SAVED_BY_INPUT_MIX, SAVED_BY_BRANCH_SCALE, SAVED_BY_QK_NORM = 2.0, 1.0, 2.0, 1.0
# Beside a frozen matrix, by output of a gain and by rank of a pair.
SAVED_BY_CORRECTION = {"gain": 1.0, "lora_a": 1.0, "vera_a": 2.0, "branch_in": 2.0}
# The inputs of a block's maps, which only a learned map keeps: those that share one have one letter.
INPUTS = {"q": "q", "k": "q", "v": "q", "o": "o", "gate": "m", "up": "m", "fc": "m", "down": "h", "proj": "h"}
AUTOCAST_SAVED = 0.61
# Readings of docs/gpu.md: 6L 192d, 12L 384d and 9L 512d, compiled in bf16, keep 0.55 to 0.66 of what was counted.
COMPILED_SAVED = 0.66
# Tensors of (tokens, vocabulary) at the peak, around the head: kept, and on the way back.
HEAD_TENSORS = 3.0
SOFTCAP_TENSORS = 1.0
DISTILL_TENSORS = 4.0  # the teacher's among them
HEAD_BY_WIDTH = 3.0
# Without gradients: of (tokens, vocabulary), and of (tokens, width) and (tokens, hidden).
SCORE_TENSORS = 2.0
SCORE_BY_WIDTH, SCORE_BY_HIDDEN = 8.0, 3.0
ADAM_MOMENTS, MUON_MOMENTS = 2, 1
NEWTON_SCHULZ_BYTES = 16  # by weight of the largest matrix: its update, and five products in bfloat16

# A process on a CPU is measured by what it holds: Python and torch with its libraries, and what the allocator of the
# system keeps of what was freed. Measured; see docs/forecast.md.
PROCESS_BYTES = 410e6
KEPT_BY_ALLOCATOR = 1.35  # over what tensors below `MMAP_BYTES` take; larger ones go back to the system at once
PACK_BYTES = 36.0  # by stored weight: copies, codes, and the memory of the compressors


def peak_memory_bytes(config: TrialSettings, *, on_card: bool) -> int:
    """The peak that the row of this trial is expected to have as `peak_memory_bytes`.

    On a card it is what tensors take, as CUDA's allocator counts them; its context and what it keeps beside them are
    `memory/fit.CARD_CONTEXT_BYTES`. On a CPU it is all of the process.
    """
    recipe = plan(config)
    compiled = on_card if config.train.compile is None else config.train.compile
    kept = 1.0 if on_card else KEPT_BY_ALLOCATOR
    weights = sum(_weight_bytes(config, network) for network in recipe.networks.values())
    moments = max(_moments_bytes(config, recipe, phase, frozen) for phase, frozen in _phases(recipe))
    passes = _Passes(compiled, kept)
    training = max(_step_bytes(config, recipe, phase, frozen, passes) for phase, frozen in _phases(recipe))
    tensors = weights + max(training, moments + _scoring_bytes(config, recipe, kept))
    if on_card:
        return round(tensors)
    num_stored = recipe.num_params() - recipe.num_params("seeded")
    return round(PROCESS_BYTES + max(tensors, weights + PACK_BYTES * num_stored))


@dataclasses.dataclass(frozen=True)
class _Passes:
    """How passes are made: whether blocks are compiled, and how much an allocator keeps over what tensors take."""

    compiled: bool
    kept: float

    def taken(self, elements_of_token: float, tokens: int, width: int) -> float:
        """Bytes of tensors of (tokens, width)."""
        is_small = FP32_BYTES * tokens * width < MMAP_BYTES
        return FP32_BYTES * tokens * elements_of_token * (self.kept if is_small else 1.0)


def _phases(recipe: Recipe) -> Iterator[tuple[Phase, frozenset[str]]]:
    """Each phase, with the weights of its network that are frozen by then."""
    frozen: dict[str, frozenset[str]] = {name: frozenset() for name in recipe.networks}
    for phase in recipe.phases:
        frozen[phase.network] = frozen[phase.network] | set(phase.freezes)
        yield phase, frozen[phase.network]


def _weight_bytes(config: TrialSettings, network: Network) -> float:
    """Learned weights and those that were trained stay float32; seeded ones have the precision of the products."""
    seeded = BF16_BYTES if config.train.precision == "bf16" else FP32_BYTES
    return float(sum(w.num_params * (seeded if w.kind == "seeded" else FP32_BYTES) for w in network.weights.values()))


def _learned(network: Network, frozen: Collection[str]) -> Iterator[tuple[str, int]]:
    for name, weight in network.weights.items():
        if weight.kind != "seeded" and name not in frozen:
            yield name, weight.num_params


def _moments_bytes(config: TrialSettings, recipe: Recipe, phase: Phase, frozen: Collection[str]) -> float:
    has_muon = config.optimizer.name == "muon"
    return float(
        sum(
            FP32_BYTES * num_params * (MUON_MOMENTS if has_muon and is_matrix(name) else ADAM_MOMENTS)
            for name, num_params in _learned(recipe.networks[phase.network], frozen)
        )
    )


def _step_bytes(config: TrialSettings, recipe: Recipe, phase: Phase, frozen: Collection[str], passes: _Passes) -> float:
    """Of a step beside the weights: moments, gradients, activations of one micro-batch, the head; or the update."""
    network = recipe.networks[phase.network]
    learned = dict(_learned(network, frozen))
    held = _moments_bytes(config, recipe, phase, frozen) + FP32_BYTES * sum(learned.values())
    tokens = config.train.batch_tokens // config.train.micro_batches
    saved = _saved_elements(network, frozen) * (COMPILED_SAVED if passes.compiled else 1.0)
    saved *= AUTOCAST_SAVED if config.train.precision == "bf16" else 1.0
    of_head = _head_elements(network.model, is_distilled=phase.teacher is not None)
    model = network.model
    activations = passes.taken(saved, tokens, model.dim) + passes.taken(of_head, tokens, model.vocab_size)
    matrices = [num_params for name, num_params in learned.items() if is_matrix(name)]
    has_muon = config.optimizer.name == "muon"
    update = NEWTON_SCHULZ_BYTES * max(matrices, default=0) if has_muon else 0.0
    return held + max(activations, update)


def _saved_elements(network: Network, frozen: Collection[str] = ()) -> float:
    """Of all blocks, for each token."""
    model = network.model
    by_width = (
        SAVED_BY_WIDTH
        + SAVED_BY_NORM_GAIN * model.norm_gain
        + SAVED_BY_INPUT_MIX * model.input_mix
        + SAVED_BY_BRANCH_SCALE * model.branch_scale
        + SAVED_BY_QK_NORM * model.qk_norm
    )
    by_hidden = SAVED_BY_HIDDEN[model.mlp] + (1.0 if model.dropout else 0.0)
    kept = by_width * model.dim + SAVED_BY_KEYS * model.kv_heads * model.head_dim + by_hidden * model.mlp_dim
    corrected = sum(
        SAVED_BY_CORRECTION.get(name.rpartition(".")[2], 0.0) * weight.shape[0]
        for name, weight in network.weights.items()
    )
    return kept * model.num_layers + corrected - _inputs_not_kept(network, frozen)


def _inputs_not_kept(network: Network, frozen: Collection[str]) -> float:
    """Elements by token of the inputs that no learned map needs for its gradient."""
    model, kept, every = network.model, set(), set()
    for name, weight in network.weights.items():
        block, _, last = name.rpartition(".")
        is_learned = weight.kind != "seeded" and name not in frozen
        if last in INPUTS:
            every.add((block, INPUTS[last]))
            kept |= {(block, INPUTS[last])} if is_learned else set()
        elif last == "lora_a":
            block, matrix = block.split(".corrections.")
            kept.add((block, INPUTS[matrix]))
        elif last == "branch_in":
            kept.add((block, "m"))
    return float(sum(model.mlp_dim if which == "h" else model.dim for _, which in every - kept))


def _head_elements(model: ModelShape, *, is_distilled: bool) -> float:
    """Around the head, for each token."""
    tensors = HEAD_TENSORS + (SOFTCAP_TENSORS if model.logit_softcap else 0.0)
    return (tensors + (DISTILL_TENSORS if is_distilled else 0.0)) * model.vocab_size + HEAD_BY_WIDTH * model.dim


def _scoring_bytes(config: TrialSettings, recipe: Recipe, kept: float) -> float:
    """Of a batch of a score; an ensemble holds the logits of all members at once, twice."""
    model = recipe.networks[recipe.stored[0]].model
    length = config.train.sequence_tokens
    most_rows = max(1, config.eval.tokens // length) if config.eval.tokens else config.eval.batch_sequences
    tokens = min(config.eval.batch_sequences, most_rows) * length
    members = len(recipe.stored)
    tensors = SCORE_TENSORS + (2.0 * members if members > 1 else 0.0) + (1.0 if model.logit_softcap else 0.0)
    in_block = SCORE_BY_WIDTH * model.dim + SCORE_BY_HIDDEN * model.mlp_dim
    passes = _Passes(compiled=False, kept=kept)
    return passes.taken(in_block, tokens, model.dim) + passes.taken(
        tensors * model.vocab_size, tokens, model.vocab_size
    )
