"""The operations that are expected of a config are those that PyTorch does."""

from __future__ import annotations

import dataclasses

import pytest
from tiny import COMPETITION, STUDY, tiny_config, tiny_recipe
from torch_calls import calls_of

from orchestrator.estimates import operations
from orchestrator.estimates.operations import NOTHING, Operations, forward, scoring, training_steps, update
from trainer.config.trial import TrialConfig
from trainer.recipes.variants import RECIPES, plan

TRAIN = {"sequence_tokens": 64, "batch_sequences": 8}
MODEL = {**STUDY, "num_layers": 3, "dim": 64, "num_heads": 4}
WIDE = {**COMPETITION, "dim": 64}
CASES: dict[str, TrialConfig] = {
    **{
        name: tiny_recipe(name, model={**MODEL, "mlp": "gelu" if name == "low_rank" else "geglu"}, train=TRAIN)
        for name in RECIPES
    },
    "competition, muon": tiny_config(model=WIDE, train=TRAIN, optimizer={"name": "muon"}),
    "lora": tiny_recipe("full_adapter", model=MODEL, train=TRAIN, adapter={"kind": "lora", "rank": 4}),
    "dropout": tiny_config(model={**MODEL, "dropout": 0.1}, train=TRAIN),
    "muon, frozen": tiny_recipe("selective", model=MODEL, train=TRAIN, optimizer={"name": "muon"}),
}


def last_step(config: TrialConfig) -> tuple[Operations, Operations]:
    """Of a step of the last phase: forward and backward, and the update."""
    recipe = plan(config)
    *_, (phase, step) = training_steps(config, recipe)
    of_update = update(config, recipe.networks[phase.network], phase.freezes)
    rows = Operations(
        launches=operations.BATCH_LAUNCHES + operations.ROW_LAUNCHES * config.train.batch_sequences,
    )
    return step + (of_update + rows) * -1.0, of_update


def attention_flops(config: TrialConfig) -> float:
    """Which PyTorch's counter of FLOPs does not see on a CPU."""
    recipe = plan(config)
    phase = recipe.phases[-1]
    models = [recipe.networks[phase.network].model] + ([recipe.networks[phase.teacher].model] if phase.teacher else [])
    shares = (1.0, operations.FORWARD_FLOPS)
    each = (7.0 * m.num_layers * m.dim * share for m, share in zip(models, shares, strict=False))
    return sum(each) * config.train.sequence_tokens * config.train.batch_tokens


@pytest.mark.parametrize("name", CASES)
def test_what_is_counted_is_what_pytorch_does(name: str) -> None:
    """FLOPs of products to the last one; calls and bytes within 8 %."""
    config = CASES[name]
    real, (step, of_update) = calls_of(config), last_step(config)
    assert step.flops - attention_flops(config) == pytest.approx(real.flops, rel=1e-9)
    assert step.launches == pytest.approx(real.launches, rel=0.08)
    assert step.bytes_moved + step.large_bytes == pytest.approx(real.bytes_moved, rel=0.08)
    assert of_update.update_flops == real.update_flops
    assert of_update.bytes_moved == pytest.approx(real.update_bytes, rel=0.08)


def test_newton_schulz_does_not_shrink_with_the_batch() -> None:
    """Four times the rows are four times the products; the update stays what it is."""
    small, large = (
        tiny_config(model=WIDE, train={**TRAIN, "batch_sequences": rows}, optimizer={"name": "muon"})
        for rows in (8, 32)
    )
    (step, of_update), (big_step, same_update) = last_step(small), last_step(large)
    assert big_step.flops == pytest.approx(4 * step.flops) and same_update == of_update
    assert of_update.update_flops > 0 and last_step(CASES["baseline"])[1].update_flops == 0


def test_micro_batches_take_more_operations_and_the_same_products() -> None:
    """And one update."""
    whole, parts = (tiny_config(model=MODEL, train={**TRAIN, "micro_batches": n}) for n in (1, 4))
    (step, of_update), (in_parts, same_update) = last_step(whole), last_step(parts)
    assert in_parts.flops == pytest.approx(step.flops) and in_parts.launches == pytest.approx(4 * step.launches)
    assert of_update == same_update


def test_phases_after_a_freeze_cost_less() -> None:
    """Frozen matrices have no gradient of their own and no update."""
    config = CASES["progressive"]
    (_, before), (_, after) = training_steps(config, plan(config))
    assert after.flops < before.flops and after.bytes_moved < before.bytes_moved


def test_tensors_above_the_allocator_s_limit_are_counted_apart() -> None:
    """Logits of 16,384 tokens and 1,024 words are 64 MiB; the blocks' tensors are small."""
    model = {**STUDY, "vocab_size": 1024}
    config = tiny_config(model=model, train={"sequence_tokens": 256, "batch_sequences": 64})
    [(_, step)] = training_steps(config, plan(config))
    assert step.large_bytes > 12 * 4 * 16_384 * 1024 and step.bytes_moved > 0
    [(_, tiny)] = training_steps(CASES["baseline"], plan(CASES["baseline"]))
    assert tiny.large_bytes == 0


@pytest.mark.parametrize(
    ("num_tokens", "stride", "rows"), [(1024, None, 16), (1024, 64, 16), (1024, 16, 61), (64, 1, 1)]
)
def test_a_sliding_window_scores_rows_for_its_stride(num_tokens: int, stride: int | None, rows: int) -> None:
    """A window that slides by 16 of 64 tokens takes four times the passes."""
    config = CASES["baseline"]
    recipe = plan(config)
    one_row = forward(config, recipe.networks["model"], 64, 64).flops
    assert scoring(config, recipe, num_tokens, stride).flops == pytest.approx(rows * one_row)


def test_an_ensemble_scores_every_member() -> None:
    """Twice the products of one."""
    ensemble, one = CASES["ensemble"], CASES["baseline"]
    assert scoring(ensemble, plan(ensemble), 512).flops == pytest.approx(2 * scoring(one, plan(one), 512).flops)


def test_operations_add_and_scale() -> None:
    """Field by field."""
    one = Operations(flops=1, update_flops=2, bytes_moved=3, large_bytes=4, launches=5)
    assert one + NOTHING == one and one + one == one * 2
    assert dataclasses.astuple(one * 3) == (3, 6, 9, 12, 15)
