"""The memory that is expected of a config is what PyTorch keeps, and what was measured on a card."""

from __future__ import annotations

import pytest
from tiny import COMPETITION, STUDY, tiny_config, tiny_recipe
from torch_calls import calls_of

from orchestrator.estimates import memory
from orchestrator.estimates.memory import peak_memory_bytes
from trainer.config.trial import TrialConfig
from trainer.recipes.variants import RECIPES, plan

TRAIN = {"sequence_tokens": 64, "batch_sequences": 16}
MODEL = {**STUDY, "num_layers": 3, "dim": 64, "num_heads": 4}
CASES: dict[str, TrialConfig] = {
    **{
        name: tiny_recipe(name, model={**MODEL, "mlp": "gelu" if name == "low_rank" else "geglu"}, train=TRAIN)
        for name in RECIPES
    },
    "competition": tiny_config(model={**COMPETITION, "dim": 64}, train=TRAIN),
    "lora": tiny_recipe("full_adapter", model=MODEL, train=TRAIN, adapter={"kind": "lora", "rank": 4}),
    "dropout": tiny_config(model={**MODEL, "dropout": 0.1}, train=TRAIN),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_kept_for_the_way_back_is_what_pytorch_keeps(name: str) -> None:
    """Of blocks and head together, within 12 %: inputs that no learned map needs are not kept."""
    config = CASES[name]
    phase = plan(config).phases[-1]
    network = plan(config).networks[phase.network]
    model = network.model
    of_head = 1 + bool(model.logit_softcap) + 2 * (phase.teacher is not None)
    head = of_head * model.vocab_size + memory.HEAD_BY_WIDTH * model.dim
    # weights of maps that share an input are put together for one product
    together = sum(w.num_params for n, w in network.weights.items() if n.endswith((".q", ".k", ".v", ".gate", ".up")))
    expected = 4 * (config.train.batch_tokens * (memory._saved_elements(network, phase.freezes) + head) + together)
    assert calls_of(config).kept_bytes == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(
    ("layers", "dim", "heads", "recipe", "megabytes"),
    [
        (6, 192, 6, "baseline", 1497),
        (6, 192, 6, "selective", 1412),
        (12, 384, 6, "baseline", 5624),
        (12, 384, 6, "selective", 5248),
        (9, 512, 8, "baseline", 5757),
        (9, 512, 8, "selective", 5361),
    ],
)
def test_the_readings_of_a_card_are_expected(layers: int, dim: int, heads: int, recipe: str, megabytes: int) -> None:
    """Those of docs/gpu.md, bf16 and compiled on an H100: never less, and at most a quarter more."""
    config = TrialConfig.model_validate(
        {
            "recipe": recipe,
            "model": {"num_layers": layers, "dim": dim, "num_heads": heads},
            "train": {"precision": "bf16", "batch_sequences": 64, "sequence_tokens": 512},
        }
    )
    assert 1.0 <= peak_memory_bytes(config, on_card=True) / (megabytes * 1e6) <= 1.25


def bytes_of(**settings: object) -> int:
    train = {**TRAIN, **settings.pop("train", {})}  # type: ignore[dict-item]
    return peak_memory_bytes(tiny_config(train=train, **{"model": MODEL, **settings}), on_card=True)  # type: ignore


def test_what_saves_memory_is_expected_to() -> None:
    """Micro-batches, frozen matrices, Muon's single moment, bfloat16, a compiler."""
    whole = bytes_of(train={"batch_sequences": 64})
    assert bytes_of(train={"batch_sequences": 64, "micro_batches": 8}) < 0.4 * whole
    assert bytes_of(recipe="selective", train={"batch_sequences": 64}) < whole
    wide = {**MODEL, "dim": 256}
    assert bytes_of(model=wide, optimizer={"name": "muon"}) < bytes_of(model=wide)
    assert bytes_of(train={"batch_sequences": 64, "precision": "bf16"}) < whole
    assert bytes_of(train={"batch_sequences": 64, "compile": False}) > whole


def test_the_largest_stage_counts() -> None:
    """Scores of many rows at once may need more than training with few."""
    few = {"train": {"batch_sequences": 1, "sequence_tokens": 64}}
    small = bytes_of(**few, eval={"tokens": 64})
    assert bytes_of(**few, eval={"tokens": 65_536, "batch_sequences": 1024}) > 4 * small


def test_a_process_on_a_cpu_has_more_than_its_tensors() -> None:
    """Python, torch, and what the allocator keeps."""
    config = CASES["baseline"]
    assert peak_memory_bytes(config, on_card=False) > peak_memory_bytes(config, on_card=True) + memory.PROCESS_BYTES


def test_a_teacher_and_a_second_member_take_their_place() -> None:
    """Their weights lie on the device all the time."""
    alone, taught = (
        peak_memory_bytes(tiny_recipe(name, model=MODEL, train=TRAIN), on_card=True)
        for name in ("selective", "distill")
    )
    assert taught > alone
    assert bytes_of(recipe="ensemble") > bytes_of(recipe="baseline")
