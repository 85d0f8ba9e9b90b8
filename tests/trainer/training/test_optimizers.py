from __future__ import annotations

import pytest
import torch
from tiny import COMPETITION, build, digest, digests, tiny_config, tiny_recipe
from torch.optim import AdamW, Muon

from trainer.config.training import OptimizerConfig
from trainer.frozen.random_maps import seeded_maps
from trainer.training.optimizers import build_optimizers, momentum_at, set_step


def test_muon_gets_the_matrices_and_adam_the_rest() -> None:
    """The baseline's groups: block matrices to Muon, embedding and vectors to Adam at their own rates without decay."""
    config = tiny_config(model=COMPETITION, optimizer={"name": "muon", "weight_decay": 0.1})
    model = build(config)
    adam, muon = build_optimizers(model, config.optimizer)
    assert isinstance(adam, AdamW) and isinstance(muon, Muon)
    names = {id(weight): name for name, weight in model.weights().items()}
    matrices = {names[id(w)].rpartition(".")[2] for group in muon.param_groups for w in group["params"]}
    assert matrices == {"q", "k", "v", "o", "fc", "proj"}
    embedding, vectors = adam.param_groups
    assert [names[id(w)] for w in embedding["params"]] == ["embedding"]
    assert {names[id(w)].rpartition(".")[2] for w in vectors["params"]} == {
        "q_gain", "attention_scale", "mlp_scale", "input_mix", "skip_gains"
    }  # fmt: skip
    assert (embedding["weight_decay"], vectors["weight_decay"], muon.param_groups[0]["weight_decay"]) == (0, 0, 0.1)


def test_every_learned_weight_is_in_exactly_one_group() -> None:
    """No weight is forgotten, none is updated twice, and no frozen one is in any group."""
    for name in ("adamw", "muon"):
        config = tiny_config(recipe="selective", optimizer={"name": name})
        model = build(config)
        optimizers = build_optimizers(model, config.optimizer)
        held = [id(w) for o in optimizers for group in o.param_groups for w in group["params"]]
        assert sorted(held) == sorted(id(w) for w in model.weights().values())


def test_rates_and_momentum_follow_the_step() -> None:
    """`set_step` scales each group's own peak, and Muon's momentum rises linearly to its end."""
    config = tiny_config(model=COMPETITION, optimizer={"name": "muon"})
    optimizers = build_optimizers(build(config), config.optimizer)
    set_step(optimizers, config.optimizer, factor=0.5, step=250)
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    assert rates == [0.025, 0.02, 0.02]
    assert optimizers[1].param_groups[0]["momentum"] == pytest.approx(0.9) == momentum_at(config.optimizer, 250)
    assert momentum_at(OptimizerConfig.model_validate({"name": "muon", "momentum_warmup_steps": 0}), 0) == 0.95


@pytest.mark.parametrize("recipe", ["selective", "full_adapter"])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_decay_and_momentum_leave_frozen_bytes_alone(name: str, recipe: str) -> None:
    """After 200 steps with weight decay the seeded maps have the bytes that their seed regenerates; all else moved."""
    config = tiny_recipe(recipe, optimizer={"name": name, "weight_decay": 0.5})
    model = build(config)
    before, seeded = digests(model), {key: digest(torch.from_numpy(values)) for key, values in seeded_maps(config)}
    optimizers = build_optimizers(model, config.optimizer)
    batch = torch.randint(0, 512, (2, 9), generator=torch.Generator().manual_seed(0))
    for step in range(200):
        set_step(optimizers, config.optimizer, factor=1.0, step=step)
        model(batch).mean().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    after = digests(model)
    assert seeded and {key: after[key] for key in seeded} == seeded
    assert {key for key in after if after[key] == before[key]} == set(seeded)
