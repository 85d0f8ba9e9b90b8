from __future__ import annotations

import pytest
import torch
from tiny import COMPETITION, STUDY, build, tiny_config, tiny_recipe
from torch import Tensor

from trainer.model.gpt import Block, rotate
from trainer.model.networks import build_networks, export_weights, load_networks, scored_model
from trainer.recipes.variants import RECIPES, plan

FAMILIES = pytest.mark.parametrize("model", [STUDY, COMPETITION], ids=["study", "competition"])


def tokens(num_sequences: int = 2, num_tokens: int = 17) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 512, (num_sequences, num_tokens), generator=generator)


@FAMILIES
def test_the_model_is_causal(model: dict[str, object]) -> None:
    """Changing a later token changes no earlier loss."""
    gpt = build(tiny_config(model={**model, "zero_init_projections": False}))
    changed = tokens()
    changed[:, 10] = (changed[:, 10] + 1) % 512
    before, after = gpt(tokens()), gpt(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.equal(before[:, 9:], after[:, 9:])


@FAMILIES
def test_a_fresh_model_is_as_good_as_guessing(model: dict[str, object]) -> None:
    """At the start the loss is near ln(vocabulary)."""
    assert abs(build(tiny_config(model=model))(tokens(8)).mean().item() - torch.tensor(512.0).log().item()) < 0.3


def test_freezing_leaves_every_other_weight_where_its_control_starts() -> None:
    """A selective trial and its baseline begin at the same values of all weights that both learn."""
    control, frozen = build(tiny_config()).weights(), build(tiny_config(recipe="selective")).weights()
    assert len(frozen) < len(control)
    assert all(torch.equal(weight, control[name]) for name, weight in frozen.items())


def test_the_start_follows_the_seed_and_no_global_generator() -> None:
    """Another seed is another start; torch's own generator has no say in it."""
    torch.manual_seed(1)
    one = build(tiny_config(seed=1)).weights()
    torch.manual_seed(2)
    same, other = build(tiny_config(seed=1)).weights(), build(tiny_config(seed=2)).weights()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.0.q"], other["blocks.0.q"])


def test_every_learned_weight_gets_a_gradient_and_no_frozen_one_does() -> None:
    """Backward reaches all parameters; frozen maps are buffers and have no gradient to get."""
    gpt = build(tiny_config(recipe="selective"))
    gpt(tokens()).mean().backward()
    assert all(weight.grad is not None for weight in gpt.weights().values())
    assert all(buffer.grad is None and not buffer.requires_grad for buffer in gpt.buffers())


def test_maps_that_share_an_input_give_the_same_whether_fused_or_alone() -> None:
    """One product for gate and up equals two products."""
    block = build(tiny_config()).blocks[0]
    assert isinstance(block, Block)
    x = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(3))
    alone = block.down(torch.nn.functional.gelu(block.gate(x)) * block.up(x))
    torch.testing.assert_close(block.mix(x), alone)


def test_rotation_keeps_lengths_and_depends_on_distance_alone() -> None:
    """Rotary positions: norms stay, and a query-key product depends on how far apart the two are."""
    gpt = build(tiny_config(model={**STUDY, "rope_dims": 8}))
    cosine, sine = gpt._rotations(12, torch.device("cpu"))
    one = torch.randn(1, 1, 1, 16, generator=torch.Generator().manual_seed(4))
    query, key = (rotate(v.expand(1, 12, 1, 16), cosine, sine)[0, :, 0] for v in (one, one.flip(-1)))
    torch.testing.assert_close(query.norm(dim=-1), one.norm().expand(12))
    products = query @ key.T
    torch.testing.assert_close(products[5, 2], products[9, 6])
    torch.testing.assert_close(query[:, 8:], one[0, 0, :, 8:].expand(12, 8))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch.compile's own code warns, of itself
def test_one_compiled_block_serves_all_layers_and_gives_the_same_losses() -> None:
    """Compiling makes two graphs, block and head, however many layers there are; losses agree with plain PyTorch."""
    from torch._dynamo.utils import counters

    for model in (STUDY, {**COMPETITION, "num_layers": 4}):
        torch.compiler.reset()
        counters.clear()
        gpt = build(tiny_config(model=model))
        gpt.compile_blocks()
        compiled = gpt(tokens(), compiled=True)
        compiled.mean().backward()
        assert counters["stats"]["unique_graphs"] == 2
        torch.testing.assert_close(compiled, gpt(tokens()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_weights_survive_export_and_load(recipe: str) -> None:
    """Clean networks of any recipe with exported weights give the same losses bit for bit."""
    config = tiny_recipe(recipe, seed=5)
    networks, planned = build_networks(config), plan(config)
    clean = load_networks(config, export_weights(planned, networks))
    assert torch.equal(scored_model(planned, networks)(tokens()), scored_model(planned, clean)(tokens()))
